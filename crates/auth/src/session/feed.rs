//! The change feed: changes made by other processes on the same database, at most 1 s late.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use super::SessionCache;
use super::cursor::{FeedCursor, MAX_GAP};
use super::notify::ChangeNotifications;
use guarita_core::Timestamp;
use guarita_kv as ephemeral;
use guarita_store::{Change, NotedChange, Store, StoreError, XidHorizon};
use guarita_telemetry::Metrics;

/// Polling interval.
const PERIOD: Duration = Duration::from_millis(200);
/// Notifications within this time are handled together.
const PAUSE: Duration = Duration::from_millis(5);
/// Time-out of a poll.
const TIMEOUT: Duration = Duration::from_millis(800);
/// Number of changes read at once.
const BATCH: i64 = 1_000;

/// Follows the table `changes` and removes what it names from the caches. While the feed is unavailable for more
/// than 1 s, the database is queried on every request.
///
/// The table is polled every 200 ms, and at once when another process sends a notification.
#[derive(Debug)]
pub struct ChangeFeed {
    store: Store,
    registry: SessionCache,
    metrics: Option<Arc<Metrics>>,
    clock: Option<fn() -> Timestamp>,
    offset: ClockOffset,
    redis: Option<ephemeral::RedisNotifications>,
    place: Option<FeedCursor>,
    heard: Instant,
}

/// The offset of the local clock from the database's clock, as last measured by the feed; clones share it.
#[derive(Clone, Debug, Default)]
pub struct ClockOffset(Arc<AtomicI64>);

impl ClockOffset {
    /// In whole seconds; negative if the local clock is behind. Up to 2 s are within the measurement error.
    pub fn seconds(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }

    fn note(&self, now: Timestamp, horizon: &XidHorizon) {
        let theirs = horizon.now_ms.div_euclid(1_000);
        self.0.store(now.seconds().saturating_sub(theirs), Ordering::Relaxed);
    }
}

impl ChangeFeed {
    /// Creates a feed without starting it. There is one per registry.
    pub fn new(store: Store, registry: SessionCache) -> Self {
        let (metrics, clock, redis, place) = (None, None, None, None);
        let offset = ClockOffset::default();
        Self { store, registry, metrics, clock, offset, redis, place, heard: Instant::now() }
    }

    /// Measures the delay of changes.
    pub fn measured(self, metrics: Arc<Metrics>) -> Self {
        Self { metrics: Some(metrics), ..self }
    }

    /// Compares this clock with the database's.
    pub fn comparing(self, clock: fn() -> Timestamp) -> Self {
        Self { clock: Some(clock), ..self }
    }

    /// The result of the comparison.
    pub fn clock_offset(&self) -> ClockOffset {
        self.offset.clone()
    }

    /// Also sends and receives notifications of gateways that share a Redis.
    pub fn hinted(self, redis: Option<ephemeral::RedisNotifications>) -> Self {
        Self { redis, ..self }
    }

    /// Runs forever; drop it to stop.
    pub async fn run(mut self) {
        let hinted = Notify::new();
        let hints =
            ChangeNotifications::new(self.store.clone(), self.redis.take(), self.metrics.clone());
        tokio::select! {
            () = hints.run(&hinted) => {}
            () = self.follow(&hinted) => {}
        }
    }

    async fn follow(mut self, hinted: &Notify) {
        let mut ticks = interval(PERIOD);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut failing = false;
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = hinted.notified() => sleep(PAUSE).await,
            }
            let outcome = timeout(TIMEOUT, self.poll()).await.unwrap_or(Err(StoreError::Timeout));
            match outcome {
                Ok(()) if failing => tracing::info!("the change feed is available again"),
                Err(ref fault) if !failing => {
                    tracing::error!(error = %fault, "the change feed is unavailable");
                }
                Ok(()) | Err(_) => {}
            }
            failing = outcome.is_err();
        }
    }

    /// Applies the changes committed since the last poll.
    pub async fn poll(&mut self) -> Result<(), StoreError> {
        // Taken first: what is committed after this moment may be missing from the answer.
        let began = Instant::now();
        let is_sure = self.heard.elapsed() < MAX_GAP && self.advance().await?;
        if !is_sure {
            // Given up for good: the beginning may have to be tried again.
            self.place = None;
            self.begin().await?;
        }
        self.heard = began;
        self.registry.heard(began);
        Ok(())
    }

    /// Moves to the newest position, then clears the caches, which may be older than that.
    async fn begin(&mut self) -> Result<(), StoreError> {
        // Whoever has a lower number has committed it or never will, and whoever comes later gets a higher one.
        let mut transaction = self.store.follow_exclusive().await?;
        let horizon = transaction.horizon().await?;
        let newest = transaction.last_change().await?;
        // At once: others wait for its end.
        transaction.commit().await?;
        self.registry.clear();
        self.place = Some(FeedCursor::new(&horizon, newest));
        Ok(())
    }

    /// Continues from the cursor; returns whether all changes since are known.
    async fn advance(&mut self) -> Result<bool, StoreError> {
        let Some(place) = &mut self.place else { return Ok(false) };
        loop {
            let began = Instant::now();
            let mut transaction = self.store.follow().await?;
            let horizon = transaction.horizon().await?;
            if let Some(clock) = self.clock {
                self.offset.note(clock(), &horizon);
            }
            if !place.holds(&horizon) {
                // At once: to begin anew may take some attempts.
                self.registry.clear();
                return Ok(false);
            }
            let late = transaction.changes_with(&place.missing()).await?;
            let new = transaction.changes_after(place.newest(), BATCH).await?;
            let changes: Vec<Change> = late.iter().chain(&new).map(|it| it.change).collect();
            self.registry.apply(&changes);
            if let Some(metrics) = &self.metrics {
                for change in late.iter().chain(&new) {
                    metrics.revocation().learnt(age(change, &horizon) + began.elapsed());
                }
            }
            let numbers = |changes: &[NotedChange]| -> Vec<i64> {
                changes.iter().map(|it| it.number).collect()
            };
            let (late, new) = (numbers(&late), numbers(&new));
            let Ok(skipped) = place.skipped(&new) else { return Ok(false) };
            let boundary = if skipped.is_empty() { 0 } else { transaction.boundary().await? };
            place.advance(new.last().copied(), &late, &horizon, (&skipped, boundary));
            if new.is_empty() {
                return Ok(true);
            }
        }
    }
}

/// The time between the write of a change and its reception, by the database's clock.
fn age(change: &NotedChange, horizon: &XidHorizon) -> Duration {
    let age = horizon.now_ms.saturating_sub(change.noted_ms);
    Duration::from_millis(u64::try_from(age).unwrap_or(0))
}

#[cfg(test)]
#[path = "feed_tests.rs"]
mod tests;
