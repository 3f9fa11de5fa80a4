//! Reloads keys that other processes change in the database, and rotates keys automatically.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use super::administration::KeyAdministration;
use super::database::KeyDatabase;
use super::source::KeySource;
use crate::session::SessionCache;
use guarita_core::Timestamp;
use guarita_store::Change;
use guarita_telemetry::events::{KeyAnnounced, KeyRotationFailed, KeysRead, KeysUnread};

/// Polling interval of keys.
const POLL_INTERVAL: Duration = Duration::from_secs(60);
/// Interval of attempts to read keys that are known to have changed.
const AGAIN: Duration = Duration::from_millis(500);

/// Follows the keys in the database.
#[derive(Debug)]
pub struct Follower {
    vault: KeyDatabase,
    source: watch::Sender<KeySource>,
    changes: Receiver<Change>,
    clock: fn() -> Timestamp,
}

impl Follower {
    /// Subscribes to changes. `source` receives changed keys; `clock` is `model::clock::now`.
    pub fn new(
        vault: KeyDatabase,
        registry: &SessionCache,
        source: watch::Sender<KeySource>,
        clock: fn() -> Timestamp,
    ) -> Self {
        Self { vault, source, changes: registry.changes(), clock }
    }

    /// Runs forever; drop it to stop.
    pub async fn run(mut self) {
        let mut slow_look = interval(POLL_INTERVAL);
        slow_look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut again = interval(AGAIN);
        again.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut failing = false;
        loop {
            tokio::select! {
                // What has failed is tried again soon.
                _ = again.tick(), if failing => {}
                _ = slow_look.tick() => self.prune().await,
                change = self.changes.recv() => match change {
                    Ok(Change::Keys | Change::Unknown) | Err(RecvError::Lagged(_)) => {}
                    Ok(
                        Change::Session(_) | Change::User(_) | Change::ApiKey(_) | Change::Clients
                        | Change::Tokens(_),
                    ) => continue,
                    Err(RecvError::Closed) => return,
                },
            }
            match self.vault.read().await {
                Ok(keys) => {
                    if failing {
                        KeysRead.emit();
                    }
                    failing = false;
                    self.source.send_if_modified(|source| {
                        let same =
                            matches!(source, KeySource::Vault(known) if known.same_as(&keys));
                        if !same {
                            *source = KeySource::Vault(Arc::new(keys));
                        }
                        !same
                    });
                }
                Err(fault) => {
                    if !failing {
                        KeysUnread { error: fault }.emit();
                    }
                    failing = true;
                }
            }
        }
    }

    async fn prune(&self) {
        if let Err(fault) = self.vault.prune((self.clock)()).await {
            tracing::warn!(error = %fault, "removing expired keys failed");
        }
    }
}

/// Rotates the keys of tokens automatically.
#[derive(Debug)]
pub struct KeyRotation {
    administration: KeyAdministration,
    every: Duration,
    clock: fn() -> Timestamp,
}

impl KeyRotation {
    /// Interval of checks.
    const PERIOD: Duration = Duration::from_secs(30);

    /// Creates it without starting it.
    pub const fn new(
        administration: KeyAdministration,
        every: Duration,
        clock: fn() -> Timestamp,
    ) -> Self {
        Self { administration, every, clock }
    }

    /// Runs forever; drop it to stop.
    pub async fn run(self) {
        let mut ticks = interval(Self::PERIOD);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            match self.administration.rotate_if_due(self.every, (self.clock)()).await {
                Ok(Some(made)) => {
                    let from = made.signs_from.map(Timestamp::rfc3339);
                    KeyAnnounced::Rotated { id: &made.id, signs_from: from.as_deref() }.emit();
                }
                Ok(None) => {}
                Err(error) => KeyRotationFailed { error }.emit(),
            }
        }
    }
}
