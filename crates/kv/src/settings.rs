//! The settings of the backend of rates and tickets.

use std::time::Duration;

use super::Address;

/// The backend of rates and tickets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KvSettings {
    /// The memory of this process, for a single gateway.
    Memory,
    /// Redis, shared by all gateways.
    Redis(Box<Redis>),
    /// The database, shared by all gateways on it.
    Database,
}

/// `store.redis` and the related keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redis {
    /// The URL.
    pub address: Address,
    /// PEM of the CAs that its certificates are verified with; default: the system's CAs.
    pub ca: Option<Vec<u8>>,
    /// Prefix of every key, followed by a colon; 1 to 64 letters, digits, `.`, `-` and `_`.
    pub prefix: Box<str>,
    /// Time-out of a request; 10 ms to 10 s, default 250 ms.
    pub timeout: Duration,
}
