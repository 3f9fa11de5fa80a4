//! Rate limits, by the network that a request comes from and by the account that it is about.
//!
//! To use it at an endpoint, call `desk.turnstile.admit(&arrival, Purpose::Recover, account).await?` before
//! anything else; for a new kind of request add a variant of [`Purpose`] and its rates.

pub mod limits;

pub use limits::{Account, By, Limited, Purpose, RateLimiter};
