//! What a command changes is in the audit files, as what a gateway does is.
//!
//! A gateway alone writes to its `audit.directory`, and its lines hang on each other. So commands have a chain of
//! their own, in the directory `commands` within it, at the node where they run. Two that run at once take turns.

use std::future::Future;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use super::migrate::{Failure, fault, with_store};
use crate::adapters::store::Store;
use crate::adapters::telemetry::{Audit, Event, Name};
use crate::app::config::Config;
use crate::model::clock;

/// Within `audit.directory`.
pub(super) const DIRECTORY: &str = "commands";
/// Longest wait for another command to end.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(20);

/// What a command is about to do.
#[derive(Clone, Copy, Debug)]
pub(super) struct Act<'a> {
    /// Its words, without what is secret.
    pub(super) verb: &'a str,
    /// Whom or what it is about; written masked where it is an address or a CPF.
    pub(super) about: Option<&'a str>,
}

/// As [`with_store`], with one line that says what was done, or refused. Where no line can be written, nothing is
/// done.
pub(super) fn with_recorded_store<F>(
    file: &Path,
    act: Act<'_>,
    work: impl FnOnce(Config, Store) -> F,
) -> Result<(), Failure>
where
    F: Future<Output = Result<(), Failure>>,
{
    with_store(file, async |config, store| {
        let directory = config.audit.directory.join(DIRECTORY);
        let audit = open(&directory, config.audit.keep).await.map_err(|error| {
            let place = directory.display();
            fault(format!("nothing was done, as it cannot be audited: {place}: {error}"))
        })?;
        let done = work(config, store).await;
        let name = if done.is_ok() { Name::CommandSucceeded } else { Name::CommandFailed };
        let event = Event { subject: act.about, reason: Some(act.verb), ..Event::new(name) };
        audit.record(&event, clock::now());
        audit.close();
        if !audit.is_healthy() {
            let _ = super::migrate::say("the audit line of this command could not be written");
        }
        done
    })
}

/// Waits for a command that writes there now.
async fn open(directory: &Path, keep: Duration) -> io::Result<Audit> {
    let began = Instant::now();
    loop {
        match Audit::open(directory, keep) {
            Err(error) if error.kind() == io::ErrorKind::Other && began.elapsed() < PATIENCE => {
                tokio::time::sleep(PAUSE).await;
            }
            opened => return opened,
        }
    }
}
