//! `guarita schema`: the JSON Schema of the configuration.

use std::io::Write as _;
use std::process::ExitCode;

use crate::config::schema;

/// Print the JSON Schema of the configuration.
#[derive(Debug, clap::Args)]
pub struct SchemaArgs {}

/// Runs the command. Exit code 0, or 1 if nothing could be written.
pub fn run(_arguments: SchemaArgs) -> ExitCode {
    match std::io::stdout().lock().write_all(schema::text().as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
