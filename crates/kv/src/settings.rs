//! The settings of the backend of rates and tickets.

use std::time::Duration;

use super::Address;

/// Where rates and tickets are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KvSettings {
    /// In the memory of this process: one gateway.
    Memory,
    /// In Redis: one for all gateways.
    Redis(Box<Redis>),
    /// In the database: one for all gateways on it.
    Database,
}

/// `store.redis` and what goes with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redis {
    /// Where it is.
    pub address: Address,
    /// PEM of the CAs that its certificates are of; those of the system where there are none.
    pub ca: Option<Vec<u8>>,
    /// What every key begins with, before a colon; 1 to 64 letters, digits, `.`, `-` and `_`.
    pub prefix: Box<str>,
    /// Longest wait for an answer; 10 ms to 10 s, default 250 ms.
    pub timeout: Duration,
}
