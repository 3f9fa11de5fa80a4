//! What all commands share: how they open the store, print and end.

use crate::config;
use crate::config::Config;
use guarita_store::Store;
use std::fmt::Display;
use std::future::Future;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

/// Why a command failed.
#[derive(Debug)]
pub(super) enum CommandError {
    /// Refused: exit code 1.
    Refused(String),
    /// Could not be done: exit code 2.
    Fault(String),
}

impl std::fmt::Display for CommandError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (Self::Refused(message) | Self::Fault(message)) = self;
        formatter.write_str(message)
    }
}

/// Any other error becomes a fault.
pub(super) fn fault(error: impl std::fmt::Display) -> CommandError {
    CommandError::Fault(error.to_string())
}

/// Reads the configuration, opens the store and runs the work on it.
pub(super) fn with_store<F>(
    file: &Path,
    work: impl FnOnce(Config, Store) -> F,
) -> Result<(), CommandError>
where
    F: Future<Output = Result<(), CommandError>>,
{
    let config = config::load(file).map_err(fault)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(fault)?.block_on(async {
        let store = Store::open(&config.store).await.map_err(fault)?;
        let done = work(config, store.clone()).await;
        store.hinted().await;
        done
    })
}

/// Writes one line to standard output.
pub(super) fn say(line: &str) -> Result<(), CommandError> {
    writeln!(std::io::stdout().lock(), "{line}").map_err(fault)
}

/// The exit code. A failure is written to standard error.
pub(super) fn finish(outcome: Result<(), CommandError>) -> ExitCode {
    let (code, message) = match outcome {
        Ok(()) => return ExitCode::SUCCESS,
        Err(CommandError::Refused(message)) => (1, message),
        Err(CommandError::Fault(message)) => (2, message),
    };
    // A closed standard error is ignored.
    let _ = writeln!(std::io::stderr().lock(), "guarita: {message}");
    ExitCode::from(code)
}

/// The default configuration file.
pub(super) const CONFIG: &str = "conf/guarita.toml";

/// Writes one error message to standard error.
pub(super) fn complain(message: &dyn Display) {
    // A closed standard error is ignored.
    drop(writeln!(std::io::stderr(), "{message}"));
}
