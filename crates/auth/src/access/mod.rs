//! Access control: the judge authenticates the caller, `authorize` decides and is the only one to create a
//! [`Permit`].
//!
//! Verified tokens are cached; the status of their sessions is not. To add a kind of credential, extend
//! `rules::request::Credential` and handle it in the judge's match.

pub mod csrf;
pub mod authorize;
mod verified_credential;
pub mod authenticate;
pub mod introspection;
pub mod cookie_cache;
mod verification;
#[cfg(test)]
mod sample;
pub mod token_cache;

pub use authenticate::{AuthenticationOutcome, Authenticator};
pub use authorize::{Caller, Denial, Permit, authorize};
pub use cookie_cache::OpenedSessions;
pub use csrf::CsrfContext;
pub use introspection::{Active, Ending, Introspection};
pub use token_cache::{Issuers, VerifiedToken, VerifiedTokens};
