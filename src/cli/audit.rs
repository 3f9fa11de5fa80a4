//! `guarita audit verify`

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use super::recorded;
use crate::cli::command::CONFIG;
use crate::cli::command::{CommandError, fault, finish, say};
use crate::config;
use guarita_core::time;
use guarita_telemetry::audit::{AuditCheckpoint, VerificationReport, verify};

/// Verification attempts, so that a running gateway has the time to write the checkpoint of its newest lines.
const LOOKS: u32 = 5;
/// Pause between two attempts.
const PAUSE: Duration = Duration::from_millis(200);

/// `guarita audit`
#[derive(Debug, clap::Args)]
pub struct AuditArgs {
    #[command(subcommand)]
    verb: AuditCommand,
}

#[derive(Debug, clap::Subcommand)]
enum AuditCommand {
    /// Verify that the audit files are unmodified; print where they are not.
    Verify {
        /// The configuration file.
        #[arg(long, value_name = "FILE", default_value = CONFIG)]
        config: PathBuf,
        /// A seal from the log that the files must contain; may be repeated.
        #[arg(long, value_name = "NUMBER:HASH", value_parser = seal)]
        expect: Vec<AuditCheckpoint>,
        /// Verify the audit files of commands run on this node instead of the gateway's.
        #[arg(long)]
        commands: bool,
    },
}

fn seal(text: &str) -> Result<AuditCheckpoint, &'static str> {
    AuditCheckpoint::parse(text).ok_or("must be NUMBER:HASH, as written in the log")
}

/// Runs the command. Exit code 0 if all files verify, 1 if they do not, 2 if they cannot be read.
pub fn run(arguments: AuditArgs) -> ExitCode {
    let AuditCommand::Verify { config, expect, commands } = arguments.verb;
    finish(verified(&config, &expect, commands))
}

fn verified(
    config: &Path,
    expected: &[AuditCheckpoint],
    commands: bool,
) -> Result<(), CommandError> {
    let mut directory = config::load(config).map_err(fault)?.audit.directory;
    if commands {
        directory.push(recorded::DIRECTORY);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let report = runtime
        .map_err(fault)?
        .block_on(verify_settled(&directory, expected))
        .map_err(|cause| fault(format!("{}: {cause}", directory.display())))?;
    for resumed in &report.resumed {
        say(&format!("resumed: {resumed}"))?;
    }
    let misfits: Vec<_> = report.misfits.iter().chain(&report.unsealed).collect();
    for misfit in &misfits {
        say(&misfit.to_string())?;
    }
    if !misfits.is_empty() {
        return Err(CommandError::Refused("the audit files have been modified".into()));
    }
    let VerificationReport { files, lines, seals, newest, .. } = report;
    let newest = newest.map(|seal| format!(", newest seal {seal}")).unwrap_or_default();
    say(&format!("ok: {files} files, {lines} lines, {seals} seals{newest}"))
}

/// Verifies again while only the newest lines have no seal: a running gateway may be about to write it.
async fn verify_settled(
    directory: &Path,
    expected: &[AuditCheckpoint],
) -> std::io::Result<VerificationReport> {
    let mut report = verify(directory, expected, time::now())?;
    for _ in 1..LOOKS {
        if report.unsealed.is_none() || !report.misfits.is_empty() {
            break;
        }
        tokio::time::sleep(PAUSE).await;
        report = verify(directory, expected, time::now())?;
    }
    Ok(report)
}

#[cfg(test)]
mod tests {
    use clap::Args as _;

    use super::*;

    #[test]
    fn the_arguments_hold_together() {
        AuditArgs::augment_args(clap::Command::new("audit")).debug_assert();
    }
}
