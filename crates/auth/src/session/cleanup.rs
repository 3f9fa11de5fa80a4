//! Removes expired rows, in small transactions, by one process on the database at a time.

use std::time::{Duration, Instant};

use tokio::time::{MissedTickBehavior, interval};

use guarita_core::{Timestamp, random};
use guarita_store::{Store, StoreError, Transaction};

/// Interval of the cleanup.
const PERIOD: Duration = Duration::from_secs(60);
/// Number of rows that one statement removes, so that the writer is released after some milliseconds.
const BATCH: i64 = 500;
/// Maximum duration of a round; a backlog is removed in several rounds, with pauses after each transaction.
const LONGEST_ROUND: Duration = Duration::from_secs(30);
/// Duration of the lease after the last transaction: longer than the pause between rounds, so that the same process
/// keeps it.
const TURN: Duration = Duration::from_secs(90);
/// Older changes are removed: a change feed that was not read for longer starts again.
const KEEP_CHANGES: Duration = Duration::from_secs(3_600);
/// Sessions and refresh tokens are kept for a day after they ended, so that reuse of a token is still detected.
const KEEP_ENDED: Duration = Duration::from_secs(86_400);

/// How long the seed of a used refresh token's successor is kept: the maximum grace period.
pub const KEEP_SUCCESSOR_SEEDS: Duration = Duration::from_secs(60);

/// What one transaction removes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Changes,
    SuccessorSeeds,
    RefreshTokens,
    EndedSessions,
    RevokedSessions,
    RevokedTokens,
    Devices,
    Links,
    Rates,
    Tickets,
    Mails,
}

impl Part {
    const ALL: [Self; 11] = [
        Self::Changes,
        Self::SuccessorSeeds,
        Self::RefreshTokens,
        Self::EndedSessions,
        Self::RevokedSessions,
        Self::RevokedTokens,
        Self::Devices,
        Self::Links,
        Self::Rates,
        Self::Tickets,
        Self::Mails,
    ];

    /// At most 1,000 rows.
    async fn remove(
        self,
        transaction: &mut Transaction,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        let ended = now.minus(KEEP_ENDED);
        match self {
            Self::Changes => transaction.prune_changes(KEEP_CHANGES, BATCH).await,
            Self::SuccessorSeeds => {
                transaction.forget_successor_seeds(now.minus(KEEP_SUCCESSOR_SEEDS), BATCH).await
            }
            Self::RefreshTokens => transaction.remove_ended_refresh_tokens(ended, BATCH).await,
            Self::EndedSessions => transaction.remove_ended_sessions(ended, BATCH).await,
            Self::RevokedSessions => transaction.remove_revoked_sessions(ended, BATCH).await,
            Self::RevokedTokens => transaction.prune_revoked_tokens(now, BATCH).await,
            Self::Devices => transaction.prune_devices(now, BATCH).await,
            Self::Links => transaction.prune_links(ended, BATCH).await,
            Self::Rates => transaction.prune_rates(BATCH).await,
            Self::Tickets => transaction.prune_tickets(BATCH).await,
            Self::Mails => transaction.remove_expired_mails(BATCH, ended).await,
        }
    }
}

/// Removes old changes, and expired sessions, refresh tokens, revoked provider tokens, known devices, links, mails,
/// rates and tickets.
#[derive(Debug)]
pub struct ExpiryCleanup {
    store: Store,
    clock: fn() -> Timestamp,
    /// The id of this process, for the lease.
    holder: String,
    turn: Duration,
}

impl ExpiryCleanup {
    /// Creates it without starting it. `clock` is `model::clock::now`.
    pub fn new(store: Store, clock: fn() -> Timestamp) -> Self {
        Self { store, clock, holder: random::ordered_uuid().to_string(), turn: TURN }
    }

    /// Runs once a minute, forever; drop it to stop.
    pub async fn run(self) {
        let mut ticks = interval(PERIOD);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if let Err(fault) = self.sweep((self.clock)()).await {
                tracing::warn!(error = %fault, "removing expired rows failed");
            }
        }
    }

    /// One round of at most 30 s; returns the number of removed rows. None if another process has the lease, which
    /// expires 90 s after its last transaction.
    pub async fn sweep(&self, now: Timestamp) -> Result<u64, StoreError> {
        let (mut removed, began) = (0, Instant::now());
        let mut parts = Part::ALL.to_vec();
        while !parts.is_empty() {
            let mut left = Vec::new();
            for part in parts {
                if began.elapsed() >= LONGEST_ROUND {
                    return Ok(removed);
                }
                match self.batch(part, now).await? {
                    None => return Ok(removed),
                    Some(0) => {}
                    Some(rows) => {
                        removed += rows;
                        left.push(part);
                    }
                }
            }
            parts = left;
        }
        Ok(removed)
    }

    /// One transaction; returns the number of removed rows, or [`None`] if another process has the lease. Afterwards it
    /// pauses as long as the transaction took, so that others get half of the time.
    async fn batch(&self, part: Part, now: Timestamp) -> Result<Option<u64>, StoreError> {
        let mut transaction = self.store.begin_sweep().await?;
        // The wait for others is none of it.
        let began = Instant::now();
        if !transaction.take_turn("sweep", &self.holder, self.turn).await? {
            return Ok(None);
        }
        let removed = part.remove(&mut transaction, now).await?;
        transaction.commit().await?;
        if removed > 0 {
            tokio::time::sleep(began.elapsed()).await;
        }
        Ok(Some(removed))
    }
}

#[cfg(test)]
#[path = "cleanup_tests.rs"]
mod tests;
