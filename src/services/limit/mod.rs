//! How often somebody may try: by the network a request comes from, and by the account it is about.
//!
//! To use it at an endpoint: `desk.turnstile.admit(&arrival, Purpose::Recover, account).await?` before
//! anything else is done; for a new kind of request a variant of [`Purpose`] and its bounds.

pub mod limits;

pub use limits::{Account, By, Limited, Limits, Purpose};
