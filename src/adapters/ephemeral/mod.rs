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
pub mod seal;
pub mod out_of_reach;
pub mod remote;
pub mod rates;
mod room;
pub mod tickets;
pub mod hint;
pub mod place;

#[cfg(test)]
#[path = "../../../tests/e2e/harness/redis.rs"]
#[expect(unreachable_pub, reason = "the tests of the executable use it too")]
mod sample;
#[cfg(test)]
mod tests;

pub use address::Address;
pub use bounded::{bounded, weight_of};
pub use hint::Hints;
pub use memory::{Full, Memory};
pub use out_of_reach::OutOfReach;
pub use place::{Ephemeral, OpenFault};
pub use rate::{Key, Limiter, Rate};
pub use rates::{Counted, Rates};
pub use remote::{Examined, examine};
pub use seal::Seal;
pub use settings::Settings;
pub use tickets::Tickets;
