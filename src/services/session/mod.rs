//! Sessions: cached in memory, stored in the database, revoked at once.
//!
//! The cache holds only valid sessions, and every revocation removes them, so it is always safe to drop an entry:
//! whatever is not cached is looked up in the database.

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
