//! The feed of changes made by other processes on the same store, at most 1 s late.

use std::time::{Duration, Instant};

use tokio::time::{MissedTickBehavior, interval, timeout};

use super::Registry;
use crate::adapters::store::{Change, Fault, Store};

/// How often the store is asked.
const PERIOD: Duration = Duration::from_millis(200);
/// Longest wait for its answer.
const TIMEOUT: Duration = Duration::from_millis(800);
/// Changes read at once.
const BATCH: i64 = 1_000;
/// Beyond this silence the place in the feed is given up, long before changes are pruned
/// ([`super::Sweep`]), and memory is emptied.
const MAX_GAP: Duration = Duration::from_secs(600);

/// Follows the table `changes` and takes what it names out of the registry's memory. While it is
/// silent for more than 1 s, the registry asks the store on every request.
#[derive(Debug)]
pub struct Feed {
    store: Store,
    registry: Registry,
    position: Option<i64>,
    heard: Instant,
}

impl Feed {
    /// A feed that has not begun. There is one per registry.
    pub fn new(store: Store, registry: Registry) -> Self {
        Self { store, registry, position: None, heard: Instant::now() }
    }

    /// Follows for ever; drop it to stop.
    pub async fn run(mut self) {
        let mut ticks = interval(PERIOD);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut failing = false;
        loop {
            ticks.tick().await;
            let outcome = timeout(TIMEOUT, self.poll()).await.unwrap_or(Err(Fault::Timeout));
            match outcome {
                Ok(()) if failing => tracing::info!("the feed of changes is heard again"),
                Err(ref fault) if !failing => {
                    tracing::error!(error = %fault, "the feed of changes is silent");
                }
                Ok(()) | Err(_) => {}
            }
            failing = outcome.is_err();
        }
    }

    /// Applies what was committed since the last time.
    pub async fn poll(&mut self) -> Result<(), Fault> {
        // Taken first: what is committed after this moment may be missing from the answer.
        let began = Instant::now();
        match self.position.filter(|_| self.heard.elapsed() < MAX_GAP) {
            Some(position) => self.advance(position).await?,
            None => self.begin().await?,
        }
        self.heard = began;
        self.registry.heard(began);
        Ok(())
    }

    /// Takes the newest place, then empties memory: what it held may be older than that place.
    async fn begin(&mut self) -> Result<(), Fault> {
        let position = self.store.follow().await?.last_change().await?;
        self.registry.clear();
        self.position = Some(position);
        Ok(())
    }

    async fn advance(&mut self, mut position: i64) -> Result<(), Fault> {
        loop {
            let batch = self.store.follow().await?.changes_after(position, BATCH).await?;
            let changes: Vec<Change> = batch.iter().map(|(_, change)| *change).collect();
            self.registry.apply(&changes);
            let Some((last, _)) = batch.last() else { return Ok(()) };
            position = *last;
            self.position = Some(position);
        }
    }
}

#[cfg(test)]
#[path = "feed_tests.rs"]
mod tests;
