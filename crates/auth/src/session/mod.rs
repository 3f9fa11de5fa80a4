//! Sessions: cached in memory, stored in the database, revoked at once.
//!
//! The cache holds only valid sessions, and every revocation removes them, so it is always safe to drop an entry:
//! whatever is not cached is looked up in the database.

pub mod lifetimes;

pub mod single_flight;
mod feed_liveness;

mod status;
pub mod stale;
mod revoked_tokens;
mod lookup;
pub mod registry;
mod cursor;
mod notify;

pub mod feed;
pub mod lifecycle;
pub mod cleanup;
pub mod renewal;
mod ticket_record;
pub mod ticket;

pub use cleanup::{ExpiryCleanup, KEEP_SUCCESSOR_SEEDS};
pub use feed::{ChangeFeed, ClockOffset};
pub use guarita_store::StoredSession;
pub use lifecycle::Sessions;
pub use lifetimes::Lifetimes;
pub use registry::SessionCache;
pub use renewal::{Renewals, SessionRenewal};
pub use stale::StaleReadPolicy;
pub use status::{SessionStatus, StatusUnavailable, UserStatus};
pub use ticket::{Redeemed, TicketRefusal, WsTickets};
