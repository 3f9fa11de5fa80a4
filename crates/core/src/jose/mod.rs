//! JWTs and keys: claims, keys pinned to an algorithm, verification, issuing.
//!
//! [`Keyring::verify`] checks a token in this order: size, three segments, header, signature by the key that
//! the header names, and only then the claims. A key is pinned to its algorithm; a token never selects one.
//! To add a claim, extend [`Claims`], read it in `claims` and write it in `issue`; to add a reason for
//! rejection, extend [`Invalid`].

pub mod algorithm;
pub mod api_key;
pub mod claims;
mod fingerprint;
mod header;
pub mod id_token;
mod error;
mod issue;
mod jwk;
mod signed;
pub mod key_fault;
pub mod key;
pub mod key_set;
pub mod keyring;
pub mod assertion;
mod object;
pub mod opaque;
pub mod session_cookie;
pub mod provider;
mod pem;

#[cfg(test)]
mod forgery_tests;
#[cfg(test)]
mod sample;

pub use algorithm::{Algorithm, SignatureAlgorithm};
pub use assertion::{AssertionKey, AssertionKeys, Retired};
pub use claims::{Claims, Expectations};
pub use error::Invalid;
pub use id_token::{IdTokenExpectations, InvalidIdToken};
pub use key_fault::KeyFault;
pub use key_set::{KeySet, KeySetFault};
pub use keyring::{Keyring, ScheduledKey};
pub use provider::{
    ClaimPath, ProviderClaims, ProviderExpectations, ProviderKeys, TokenType, unproven_issuer,
};
pub use {key::SigningKey, key::VerifyingKey};
