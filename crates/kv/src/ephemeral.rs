//! Rates and tickets over the backend that the configuration names.

use super::redis::RedisClient;
use super::{KvSettings, RateCounters, RedisNotifications, Tickets};
use crate::backend::Backend;
use crate::backend::DatabaseBackend;
use crate::backend::seal;
use crate::error::KvOpenError;
use guarita_core::Timestamp;
use guarita_store::Store;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Rate limit counters and single-use tickets; clones share the state.
#[derive(Clone, Debug)]
pub struct Ephemeral {
    pub(super) place: Backend,
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
