//! The backend of ephemeral data: memory, Redis or the database.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::KvUnavailable;
use super::encryption::Encryption;
use super::redis::RedisClient;
use crate::error::KvOpenError;
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
    pub(super) up: AtomicBool,
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

pub(super) async fn seal(store: &Store, now: Timestamp) -> Result<Arc<Encryption>, KvOpenError> {
    let candidate = random::token()?;
    let mut transaction = store.begin_write().await?;
    let secret = transaction.shared_secret(SECRET, &candidate, now).await?;
    transaction.commit().await?;
    Ok(Arc::new(Encryption::new(&secret)))
}
