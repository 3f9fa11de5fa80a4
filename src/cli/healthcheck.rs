//! `guarita healthcheck`: checks the readiness of a running gateway, for container runtimes.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::ExitCode;
use std::time::Duration;

use crate::cli::command::complain;

/// Time-out of each step.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Check whether a running gateway is ready.
#[derive(Debug, clap::Args)]
pub struct HealthcheckArgs {
    /// The gateway's ops address.
    #[arg(long, default_value = "127.0.0.1:9090")]
    address: SocketAddr,
}

/// Runs the command. Exit code 0 if the gateway is ready, 1 if it is not or cannot be reached.
pub fn run(arguments: HealthcheckArgs) -> ExitCode {
    match ask(arguments.address) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            complain(&"not ready");
            ExitCode::FAILURE
        }
        Err(error) => {
            complain(&format!("{}: {error}", arguments.address));
            ExitCode::FAILURE
        }
    }
}

fn ask(address: SocketAddr) -> io::Result<bool> {
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    stream.write_all(b"GET /readyz HTTP/1.0\r\nhost: localhost\r\n\r\n")?;
    let mut answer = [0; 12];
    stream.read_exact(&mut answer)?;
    Ok(answer.ends_with(b" 200"))
}
