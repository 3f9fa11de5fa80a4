//! Why the shared backend is not available.

use guarita_core::random;
use guarita_store::StoreError;

/// The shared backend cannot be reached. Tickets cannot be checked, so they are rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the backend shared by all gateways cannot be reached")]
pub struct KvUnavailable;

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
