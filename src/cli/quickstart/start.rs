//! The `quickstart` command.

use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;
use std::process::ExitCode;

use super::{accounts, certificates, configuration, instructions};
use crate::cli::command::complain;
use crate::cli::{demo_upstream, serve};

/// Run a gateway to try out, with a demo upstream and two accounts.
#[derive(Debug, clap::Args)]
pub struct QuickstartArgs {
    /// The directory of certificates, configuration and database.
    #[arg(long, default_value = "data")]
    directory: PathBuf,
    /// The address that the gateway listens on.
    #[arg(long, default_value = "127.0.0.1:8443")]
    address: SocketAddr,
    /// The address of metrics and health.
    #[arg(long, default_value = "127.0.0.1:9090")]
    ops: SocketAddr,
    /// The address that the demo upstream listens on.
    #[arg(long, default_value = "127.0.0.1:9000")]
    upstream: SocketAddr,
}

/// Runs the command.
pub fn run(arguments: QuickstartArgs) -> ExitCode {
    match prepare(&arguments) {
        Ok(text) => {
            // A closed standard output must not keep the gateway from running.
            drop(std::io::stdout().write_all(text.as_bytes()));
            serve::until_stopped(&arguments.directory.join("guarita.toml"))
        }
        Err(problem) => {
            complain(&problem);
            ExitCode::from(2)
        }
    }
}

/// Creates everything that the gateway needs; returns the text to print.
fn prepare(arguments: &QuickstartArgs) -> Result<String, String> {
    let directory = &arguments.directory;
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .map_err(|error| format!("{}: {error}", directory.display()))?;
    certificates::ensure(directory).map_err(|fault| fault.to_string())?;
    configuration::ensure(directory, arguments.address, arguments.ops, arguments.upstream)
        .map_err(|error| format!("{}: {error}", directory.display()))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    let made = runtime.block_on(accounts::ensure(&directory.join("guarita.toml")))?;
    demo_upstream::start(arguments.upstream)
        .map_err(|error| format!("demo upstream on {}: {error}", arguments.upstream))?;
    Ok(instructions::text(directory, arguments.address.port(), &made))
}
