//! When a key was last used: written periodically, in batches, in the background.

use std::time::Duration;

use tokio::sync::mpsc;

use guarita_core::{ApiKeyId, Timestamp};
use guarita_store::{Store, StoreError, Transaction};

/// Minimum time between two recorded uses of a key.
pub const PERIOD: Duration = Duration::from_secs(60);
/// Maximum number of queued uses; further ones are written with the key's next use.
const WAITING: usize = 4_096;
/// Number of uses written per batch.
const BATCH: usize = 500;
/// Number of uses written on one connection before it is released.
const FEW: usize = 100;
/// Interval of batches.
const PAUSE: Duration = Duration::from_millis(200);

/// The sender of uses.
#[derive(Debug, Clone)]
pub struct Uses(mpsc::Sender<ApiKeyId>);

impl Uses {
    /// Records a use. Returns false if the queue is full; then the next use tries again.
    pub fn record(&self, key: ApiKeyId) -> bool {
        self.0.try_send(key).is_ok()
    }
}

/// Writes recorded uses.
#[derive(Debug)]
pub struct Usage {
    store: Store,
    receiver: mpsc::Receiver<ApiKeyId>,
    clock: fn() -> Timestamp,
}

impl Usage {
    /// Creates a writer without starting it, and its sender. `clock` is `model::clock::now`.
    pub fn new(store: Store, clock: fn() -> Timestamp) -> (Self, Uses) {
        let (sender, receiver) = mpsc::channel(WAITING);
        (Self { store, receiver, clock }, Uses(sender))
    }

    /// Runs forever; drop it to stop.
    pub async fn run(mut self) {
        let mut told = Vec::with_capacity(BATCH);
        while self.receiver.recv_many(&mut told, BATCH).await > 0 {
            if let Err(fault) = self.write(&told).await {
                tracing::warn!(error = %fault, "recording the use of API keys failed");
            }
            told.clear();
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn write(&self, told: &[ApiKeyId]) -> Result<(), StoreError> {
        // Each by itself, as the uses of sessions.
        for few in told.chunks(FEW) {
            let written = self.store.write_many_at_once().run(|mut transaction| async move {
                let written = self.note(&mut transaction, few).await;
                (transaction, written)
            });
            written.await?;
        }
        Ok(())
    }

    async fn note(
        &self,
        transaction: &mut Transaction,
        told: &[ApiKeyId],
    ) -> Result<(), StoreError> {
        for key in told {
            transaction.note_use_of_api_key(*key, (self.clock)()).await?;
        }
        Ok(())
    }
}
