//! Tokens as artefacts: claims, keys with their algorithm pinned, verification, issuing.
//!
//! [`Keyring::verify`] looks at a token in one order: its size, its three segments, its header, its
//! signature by the one key that the header names, and only then its claims. A key knows its
//! algorithm; a token never chooses one. To add a claim, extend [`Claims`], read it in `claims` and
//! write it in `issue`; to add a reason for refusal, extend [`Invalid`].

pub mod claims;
mod header;
mod invalid;
mod issue;
mod jwk;
pub mod key;
pub mod keyring;
mod object;
pub mod opaque;
pub mod browser;
mod pem;

#[cfg(test)]
mod forgery_tests;
#[cfg(test)]
mod sample;

pub use claims::{Claims, Expectations};
pub use invalid::Invalid;
pub use key::{Algorithm, KeyFault, SigningKey, VerifyingKey};
pub use keyring::Keyring;
