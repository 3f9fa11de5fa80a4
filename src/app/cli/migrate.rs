//! `guarita migrate`: migrates the database to the schema of this version.

use std::future::Future;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::verb::CONFIG;
use crate::adapters::store::Store;
use crate::app::config::{self, Config};

/// `guarita migrate`
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The configuration file.
    #[arg(long, value_name = "FILE", default_value = CONFIG)]
    pub config: PathBuf,
}

/// Creates the database if it is missing and applies pending migrations. Exit code 2 if it fails.
pub fn run(arguments: Arguments) -> ExitCode {
    let Arguments { config } = arguments;
    finish(with_store(&config, async |_, store| {
        store.close().await;
        say("the database is up to date")
    }))
}

/// Why a command failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// Refused: exit code 1.
    Refused(String),
    /// Could not be done: exit code 2.
    Fault(String),
}

impl std::fmt::Display for Failure {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (Self::Refused(message) | Self::Fault(message)) = self;
        formatter.write_str(message)
    }
}

/// Any other error becomes a fault.
pub(super) fn fault(error: impl std::fmt::Display) -> Failure {
    Failure::Fault(error.to_string())
}

/// Reads the configuration, opens the store and runs the work on it.
pub(super) fn with_store<F>(
    file: &Path,
    work: impl FnOnce(Config, Store) -> F,
) -> Result<(), Failure>
where
    F: Future<Output = Result<(), Failure>>,
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
pub(super) fn say(line: &str) -> Result<(), Failure> {
    writeln!(std::io::stdout().lock(), "{line}").map_err(fault)
}

/// The exit code. A failure is written to standard error.
pub(super) fn finish(outcome: Result<(), Failure>) -> ExitCode {
    let (code, message) = match outcome {
        Ok(()) => return ExitCode::SUCCESS,
        Err(Failure::Refused(message)) => (1, message),
        Err(Failure::Fault(message)) => (2, message),
    };
    // A closed standard error is ignored.
    let _ = writeln!(std::io::stderr().lock(), "guarita: {message}");
    ExitCode::from(code)
}

#[cfg(test)]
mod tests {
    use clap::Args as _;

    use super::*;

    #[test]
    fn the_arguments_hold_together() {
        Arguments::augment_args(clap::Command::new("migrate")).debug_assert();
    }
}
