//! The backend of ephemeral data: memory, Redis or the database.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::encryption::Encryption;
use super::redis::RedisClient;
use super::{KvSettings, KvUnavailable, RateCounters, RedisNotifications, Tickets};
use guarita_core::{Timestamp, random};
use guarita_store::{Store, StoreError};
use guarita_telemetry::events::{EphemeralDown, EphemeralUp};

/// The name of the shared secret in the database.
const SECRET: &str = "ephemeral";

/// The backend.
#[derive(Clone)]
pub(super) enum Backend {
    /// The memory of this process.
    Memory,
    /// Redis.
    Redis(Arc<RedisClient>, Arc<Encryption>),
    /// The database.
    Database(Arc<DatabaseBackend>, Arc<Encryption>),
}

impl fmt::Debug for Backend {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Memory => "Memory",
            Self::Redis(..) => "Redis",
            Self::Database(..) => "Database",
        })
    }
}

/// The database, and whether it responded.
#[derive(Debug)]
pub(super) struct DatabaseBackend {
    pub(super) store: Store,
    up: AtomicBool,
}

impl DatabaseBackend {
    /// Records the result of a request, and logs changes.
    pub(super) fn heard<T>(&self, answer: Result<T, StoreError>) -> Result<T, KvUnavailable> {
        match answer {
            Ok(answer) => {
                if !self.up.swap(true, Ordering::Relaxed) {
                    EphemeralUp { backend: "the database" }.emit();
                }
                Ok(answer)
            }
            Err(fault) => {
                if self.up.swap(false, Ordering::Relaxed) {
                    EphemeralDown { backend: "the database", reason: fault }.emit();
                }
                Err(KvUnavailable)
            }
        }
    }
}

/// Rate limit counters and single-use tickets; clones share the state.
#[derive(Clone, Debug)]
pub struct Ephemeral {
    pub(super) place: Backend,
}

/// The shared secret cannot be read or created.
#[derive(Debug, thiserror::Error)]
pub enum KvOpenError {
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The system's random source failed.
    #[error(transparent)]
    Random(#[from] random::RandomFault),
}

impl Ephemeral {
    /// Creates it in the memory of this process.
    pub const fn memory() -> Self {
        Self { place: Backend::Memory }
    }

    /// Creates it with the configured backend. Redis need not be available yet; see [`Ephemeral::run`].
    ///
    /// # Errors
    /// [`KvOpenError`]
    pub async fn open(
        settings: &KvSettings,
        store: &Store,
        now: Timestamp,
    ) -> Result<Self, KvOpenError> {
        let place = match settings {
            KvSettings::Memory => Backend::Memory,
            KvSettings::Redis(redis) => {
                let link = Arc::new(RedisClient::new((**redis).clone()));
                Backend::Redis(link, seal(store, now).await?)
            }
            KvSettings::Database => {
                let table = DatabaseBackend { store: store.clone(), up: AtomicBool::new(true) };
                Backend::Database(Arc::new(table), seal(store, now).await?)
            }
        };
        Ok(Self { place })
    }

    /// Maintains the connection, forever; drop it to stop.
    pub async fn run(self) {
        match self.place {
            Backend::Redis(link, _) => link.run().await,
            Backend::Memory | Backend::Database(..) => std::future::pending().await,
        }
    }

    /// Waits until it is known whether the shared backend can be reached, while [`Ephemeral::run`] runs.
    pub async fn until_known(&self) {
        match &self.place {
            Backend::Redis(link, _) => link.tried().await,
            Backend::Memory | Backend::Database(..) => {}
        }
    }

    /// Whether the shared backend can be reached. Always true in memory.
    pub fn is_up(&self) -> bool {
        match &self.place {
            Backend::Memory => true,
            Backend::Redis(link, _) => link.is_up(),
            Backend::Database(table, _) => table.up.load(Ordering::Relaxed),
        }
    }

    /// Counters for at most so many keys in memory, where they are also counted while the shared backend is unavailable.
    pub fn rates(&self, capacity: usize) -> RateCounters {
        RateCounters::new(self.place.clone(), capacity)
    }

    /// Tickets of a kind, at most so many at a time.
    pub fn tickets<T: Clone + Serialize + DeserializeOwned>(
        &self,
        kind: &'static str,
        capacity: usize,
    ) -> Tickets<T> {
        Tickets::new(self.place.clone(), kind, capacity)
    }

    /// Change notifications to other gateways, if sent by Redis.
    pub fn hints(&self) -> Option<RedisNotifications> {
        match &self.place {
            Backend::Redis(link, _) => Some(RedisNotifications::new(Arc::clone(link))),
            Backend::Memory | Backend::Database(..) => None,
        }
    }
}

async fn seal(store: &Store, now: Timestamp) -> Result<Arc<Encryption>, KvOpenError> {
    let candidate = random::token()?;
    let mut transaction = store.begin_write().await?;
    let secret = transaction.shared_secret(SECRET, &candidate, now).await?;
    transaction.commit().await?;
    Ok(Arc::new(Encryption::new(&secret)))
}
