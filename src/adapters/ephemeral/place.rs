//! The backend of ephemeral data: memory, Redis or the database.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::remote::Link;
use super::seal::Seal;
use super::{Hints, OutOfReach, Rates, Settings, Tickets};
use crate::adapters::store::{Fault, Store};
use crate::model::{Timestamp, random};

/// The name of the secret that all gateways on one database have for this.
const SECRET: &str = "ephemeral";

/// Where it is.
#[derive(Clone)]
pub(super) enum Place {
    /// In this process.
    Memory,
    /// In Redis.
    Redis(Arc<Link>, Arc<Seal>),
    /// In the database.
    Database(Arc<Table>, Arc<Seal>),
}

impl fmt::Debug for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Memory => "Memory",
            Self::Redis(..) => "Redis",
            Self::Database(..) => "Database",
        })
    }
}

/// The database, and whether it answered.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) store: Store,
    up: AtomicBool,
}

impl Table {
    /// Remembers how a question ended, and tells when that changes.
    pub(super) fn heard<T>(&self, answer: Result<T, Fault>) -> Result<T, OutOfReach> {
        match answer {
            Ok(answer) => {
                if !self.up.swap(true, Ordering::Relaxed) {
                    tracing::info!(event = "ephemeral.up", "the database can be reached again");
                }
                Ok(answer)
            }
            Err(fault) => {
                if self.up.swap(false, Ordering::Relaxed) {
                    tracing::warn!(
                        event = "ephemeral.down",
                        reason = %fault,
                        "the database cannot be reached: each gateway limits by itself, and tickets are rejected"
                    );
                }
                Err(OutOfReach)
            }
        }
    }
}

/// What is counted and what waits to be used once; a clone is the same.
#[derive(Clone, Debug)]
pub struct Ephemeral {
    pub(super) place: Place,
}

/// The secret that all gateways share cannot be read or made.
#[derive(Debug, thiserror::Error)]
pub enum OpenFault {
    /// The database failed.
    #[error(transparent)]
    Store(#[from] Fault),
    /// The system's random source failed.
    #[error(transparent)]
    Random(#[from] random::RandomFault),
}

impl Ephemeral {
    /// In the memory of this process.
    pub const fn memory() -> Self {
        Self { place: Place::Memory }
    }

    /// Where the settings say. Redis need not be there yet; see [`Ephemeral::run`].
    ///
    /// # Errors
    /// [`OpenFault`]
    pub async fn open(
        settings: &Settings,
        store: &Store,
        now: Timestamp,
    ) -> Result<Self, OpenFault> {
        let place = match settings {
            Settings::Memory => Place::Memory,
            Settings::Redis(redis) => {
                let link = Arc::new(Link::new((**redis).clone()));
                Place::Redis(link, seal(store, now).await?)
            }
            Settings::Database => {
                let table = Table { store: store.clone(), up: AtomicBool::new(true) };
                Place::Database(Arc::new(table), seal(store, now).await?)
            }
        };
        Ok(Self { place })
    }

    /// Keeps the connection, for ever; drop it to stop.
    pub async fn run(self) {
        match self.place {
            Place::Redis(link, _) => link.run().await,
            Place::Memory | Place::Database(..) => std::future::pending().await,
        }
    }

    /// Waits until it is known whether what all gateways share can be asked, while [`Ephemeral::run`] runs.
    pub async fn until_known(&self) {
        match &self.place {
            Place::Redis(link, _) => link.tried().await,
            Place::Memory | Place::Database(..) => {}
        }
    }

    /// Whether what all gateways share can be asked. Always, where nothing is shared.
    pub fn is_up(&self) -> bool {
        match &self.place {
            Place::Memory => true,
            Place::Redis(link, _) => link.is_up(),
            Place::Database(table, _) => table.up.load(Ordering::Relaxed),
        }
    }

    /// Counters for at most so many keys in memory, by themselves or while nothing else can be asked.
    pub fn rates(&self, capacity: usize) -> Rates {
        Rates::new(self.place.clone(), capacity)
    }

    /// Tickets of one kind, at most so many at a time.
    pub fn tickets<T: Clone + Serialize + DeserializeOwned>(
        &self,
        kind: &'static str,
        capacity: usize,
    ) -> Tickets<T> {
        Tickets::new(self.place.clone(), kind, capacity)
    }

    /// Hints to other gateways, where they go by Redis.
    pub fn hints(&self) -> Option<Hints> {
        match &self.place {
            Place::Redis(link, _) => Some(Hints::new(Arc::clone(link))),
            Place::Memory | Place::Database(..) => None,
        }
    }
}

async fn seal(store: &Store, now: Timestamp) -> Result<Arc<Seal>, OpenFault> {
    let candidate = random::token()?;
    let mut transaction = store.begin_write().await?;
    let secret = transaction.shared_secret(SECRET, &candidate, now).await?;
    transaction.commit().await?;
    Ok(Arc::new(Seal::new(&secret)))
}
