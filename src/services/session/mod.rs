//! Sessions: known in memory, true in the store, revoked at once.
//!
//! Memory holds only what was found to be in force, and every revocation takes it out again, so
//! that forgetting is always safe: what memory does not know is asked of the store.

pub mod lifetimes;

pub mod flight;
mod hearing;

mod standing;
pub mod last_known;
mod revoked_tokens;
mod lookup;
pub mod registry;
mod place;
mod hints;

pub mod feed;
pub mod lifecycle;
pub mod sweep;
pub mod renewal;
mod ticket_record;
pub mod ticket;

pub use crate::adapters::store::Session;
pub use feed::{ClockOffset, Feed};
pub use last_known::Leave;
pub use lifecycle::Sessions;
pub use lifetimes::Lifetimes;
pub use registry::Registry;
pub use renewal::{Renewal, Renewals};
pub use standing::{Standing, Unknowable, UserStanding};
pub use sweep::{KEEP_SUCCESSOR_SEEDS, Sweep};
pub use ticket::{Redeemed, TicketRefusal, Tickets};
