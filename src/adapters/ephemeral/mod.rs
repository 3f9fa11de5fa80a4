//! What may be forgotten: how often somebody tried, and tickets that are used once.
//!
//! With one gateway it is in the memory of the process. Several share it, in Redis or in the database. Whatever
//! cannot be shared for a while fails closed: rates hold for each gateway by itself, and no ticket counts.
//!
//! To keep another thing here: for a rate a type that is [`Counted`], for a ticket a type that serde can write, and
//! a kind of its own for [`Ephemeral::tickets`].

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
