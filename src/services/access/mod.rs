//! Who may pass: the judge proves the caller, `authorize` decides and alone can make a [`Permit`].
//!
//! A verified token is remembered; how its session stands never is. To add a kind of credential,
//! extend `rules::request::Credential` and answer for it in the judge's match.

pub mod authorize;
pub mod judge;
#[cfg(test)]
mod sample;
pub mod verified;

pub use authorize::{Caller, Denial, Permit, authorize};
pub use judge::{Judge, Verdict};
pub use verified::{VerifiedToken, VerifiedTokens};
