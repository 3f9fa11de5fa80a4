//! What is over is removed, in small batches.

use std::time::{Duration, Instant};

use tokio::time::{MissedTickBehavior, interval};

use crate::adapters::store::{Fault, Store};
use crate::model::Timestamp;

/// How often.
const PERIOD: Duration = Duration::from_secs(60);
/// Rows per transaction: the writer is free again after some milliseconds.
const BATCH: i64 = 500;
/// Longest round: a backlog is worked off in several, with time for others after each transaction.
const LONGEST_ROUND: Duration = Duration::from_secs(30);
/// A feed that was silent for longer begins anew, so older changes are of no use.
const KEEP_CHANGES: Duration = Duration::from_secs(3_600);
/// Sessions and refresh tokens stay for a day after their end: a reused token is still recognised.
const KEEP_ENDED: Duration = Duration::from_secs(86_400);

/// What a used refresh token's successor is derived from is kept so long: the longest grace.
pub const KEEP_SUCCESSOR_SEEDS: Duration = Duration::from_secs(60);

/// Removes old changes, and sessions, refresh tokens, revoked tokens of providers, known devices, links, mails, rates
/// and tickets that ended.
#[derive(Debug)]
pub struct Sweep {
    store: Store,
    clock: fn() -> Timestamp,
}

impl Sweep {
    /// A sweep that has not begun. `clock` is `model::clock::now`.
    pub fn new(store: Store, clock: fn() -> Timestamp) -> Self {
        Self { store, clock }
    }

    /// Sweeps once a minute, for ever; drop it to stop.
    pub async fn run(self) {
        let mut ticks = interval(PERIOD);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if let Err(fault) = self.sweep((self.clock)()).await {
                tracing::warn!(error = %fault, "what is over could not be removed");
            }
        }
    }

    /// One round of at most 30 s; how many rows went. Between two transactions it rests as long as the last
    /// one took, so that others write as much as it does.
    pub async fn sweep(&self, now: Timestamp) -> Result<u64, Fault> {
        let mut removed = 0;
        let began = Instant::now();
        while began.elapsed() < LONGEST_ROUND {
            let turn = Instant::now();
            let ended = now.minus(KEEP_ENDED);
            let mut transaction = self.store.begin_write().await?;
            let batch = transaction.prune_changes(now.minus(KEEP_CHANGES), BATCH).await?
                + transaction
                    .forget_successor_seeds(now.minus(KEEP_SUCCESSOR_SEEDS), BATCH)
                    .await?
                + transaction.remove_ended_refresh_tokens(ended, BATCH).await?
                + transaction.remove_ended_sessions(ended).await?
                + transaction.prune_revoked_tokens(now, BATCH).await?
                + transaction.prune_devices(now, BATCH).await?
                + transaction.prune_links(ended, BATCH).await?
                + transaction.prune_rates(BATCH).await?
                + transaction.prune_tickets(BATCH).await?
                + transaction.remove_expired_mails(BATCH, ended).await?;
            transaction.commit().await?;
            removed += batch;
            if batch == 0 {
                break;
            }
            tokio::time::sleep(turn.elapsed()).await;
        }
        Ok(removed)
    }
}
