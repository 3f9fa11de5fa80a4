//! `guarita migrate`: migrates the database to the schema of this version.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::cli::command::CONFIG;
use crate::cli::command::{finish, say, with_store};

/// `guarita migrate`
#[derive(Debug, clap::Args)]
pub struct MigrateArgs {
    /// The configuration file.
    #[arg(long, value_name = "FILE", default_value = CONFIG)]
    pub config: PathBuf,
}

/// Creates the database if it is missing and applies pending migrations. Exit code 2 if it fails.
pub fn run(arguments: MigrateArgs) -> ExitCode {
    let MigrateArgs { config } = arguments;
    finish(with_store(&config, async |_, store| {
        store.close().await;
        say("the database is up to date")
    }))
}

#[cfg(test)]
mod tests {
    use clap::Args as _;

    use super::*;

    #[test]
    fn the_arguments_hold_together() {
        MigrateArgs::augment_args(clap::Command::new("migrate")).debug_assert();
    }
}
