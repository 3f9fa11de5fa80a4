//! Audit of the commands that change something.
//!
//! Only the gateway writes to its `audit.directory`, and its lines form a hash chain. So commands have a chain of
//! their own, in the subdirectory `commands`, on the node where they run. Commands that run at once wait for each
//! other.

use std::future::Future;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::cli::command::{CommandError, fault, with_store};
use crate::config::Config;
use guarita_core::time;
use guarita_store::Store;
use guarita_telemetry::Audit;
use guarita_telemetry::events::CommandEnded;

/// Subdirectory of `audit.directory`.
pub(super) const DIRECTORY: &str = "commands";
/// Longest wait for another command to end.
const LOCK_TIMEOUT: Duration = Duration::from_secs(10);
/// Pause between two attempts.
const PAUSE: Duration = Duration::from_millis(20);

/// The command to record.
#[derive(Clone, Copy, Debug)]
pub(super) struct AuditedCommand<'a> {
    /// The command and subcommand, without secrets.
    pub(super) verb: &'a str,
    /// The subject of the command; e-mail addresses and CPFs are masked.
    pub(super) about: Option<&'a str>,
}

/// Like [`with_store`], with one audit line for the success or failure of the command. If the audit files cannot
/// be written, nothing is done.
pub(super) fn with_recorded_store<F>(
    file: &Path,
    act: AuditedCommand<'_>,
    work: impl FnOnce(Config, Store) -> F,
) -> Result<(), CommandError>
where
    F: Future<Output = Result<(), CommandError>>,
{
    with_store(file, async |config, store| {
        let directory = config.audit.directory.join(DIRECTORY);
        let audit = open(&directory, config.audit.keep).await.map_err(|error| {
            let place = directory.display();
            fault(format!("nothing was done, because it cannot be audited: {place}: {error}"))
        })?;
        let done = work(config, store).await;
        CommandEnded { command: act.verb, subject: act.about, succeeded: done.is_ok() }
            .emit(&audit, time::now());
        audit.close();
        if !audit.is_healthy() {
            let _ = crate::cli::command::say("the audit line of this command could not be written");
        }
        done
    })
}

/// Opens the audit files; waits for another command that writes them now.
async fn open(directory: &Path, keep: Duration) -> io::Result<Audit> {
    let began = Instant::now();
    loop {
        match Audit::open(directory, keep) {
            Err(error)
                if error.kind() == io::ErrorKind::Other && began.elapsed() < LOCK_TIMEOUT =>
            {
                tokio::time::sleep(PAUSE).await;
            }
            opened => return opened,
        }
    }
}
