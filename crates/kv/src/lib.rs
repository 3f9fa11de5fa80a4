//! Ephemeral data that may be lost: rate limit counters and single-use tickets.
//!
//! A single gateway keeps it in memory. Several gateways share it, in Redis or in the database. While the shared
//! backend is unavailable it fails closed: each gateway applies rate limits on its own, and tickets are rejected.
//!
//! To add another rate, implement [`Counted`]; to add another ticket, use a type that serde can serialize and a
//! kind of its own for [`Ephemeral::tickets`].

pub mod bounded;
pub mod memory;
pub mod rate;

pub mod address;
pub mod settings;
pub mod encryption;
pub mod error;
pub mod redis;
pub mod rates;
mod quota;
pub mod tickets;
pub mod notify;
pub mod ephemeral;
pub mod backend;

#[cfg(test)]
#[path = "../../../tests/e2e/harness/redis.rs"]
#[expect(unreachable_pub, reason = "the tests of the executable use it too")]
mod sample;
#[cfg(test)]
mod tests;

pub use address::Address;
pub use bounded::{bounded, weight_of};
pub use encryption::Encryption;
pub use ephemeral::Ephemeral;
pub use error::KvOpenError;
pub use error::KvUnavailable;
pub use memory::{BoundedMap, CapacityReached};
pub use notify::RedisNotifications;
pub use rate::{Limiter, Rate, RateKey};
pub use rates::{Counted, RateCounters};
pub use redis::{Examined, examine};
pub use settings::KvSettings;
pub use tickets::Tickets;
