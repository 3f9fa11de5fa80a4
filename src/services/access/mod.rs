//! Access control: the judge authenticates the caller, `authorize` decides and is the only one to create a
//! [`Permit`].
//!
//! Verified tokens are cached; the status of their sessions is not. To add a kind of credential, extend
//! `rules::request::Credential` and handle it in the judge's match.

pub mod forgery;
pub mod authorize;
mod proof;
pub mod judge;
pub mod introspection;
pub mod opened;
mod verification;
#[cfg(test)]
mod sample;
pub mod verified;

pub use authorize::{Caller, Denial, Permit, authorize};
pub use forgery::Asked;
pub use introspection::{Active, Ending, Introspection};
pub use judge::{Judge, Verdict};
pub use opened::OpenedSessions;
pub use verified::{Issuers, VerifiedToken, VerifiedTokens};
