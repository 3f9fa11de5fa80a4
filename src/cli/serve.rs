//! `guarita serve`: runs the gateway until it is stopped.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::cli::command::CONFIG;
use crate::server;

/// Run the gateway.
#[derive(Debug, clap::Args)]
pub struct ServeArgs {
    /// The configuration file.
    #[arg(long, value_name = "FILE", default_value = CONFIG)]
    config: PathBuf,
}

/// Runs the command.
pub fn run(arguments: ServeArgs) -> ExitCode {
    until_stopped(&arguments.config)
}

/// Serves until SIGTERM or SIGINT. Exit code 0 after a drain, 2 if the start fails.
pub fn until_stopped(config: &Path) -> ExitCode {
    match server::run(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            crate::cli::command::complain(&fault);
            ExitCode::from(2)
        }
    }
}
