//! Keys that sign and keys that seal.
//!
//! Signing keys: read where given, else made at first start with mode 0600.
//!
//! The directory holds one file per key, `<time>.<algorithm>.pem` (HS256: `.secret`), say
//! `2026-11-21T10-00-00Z.RS256.pem`. The last by name of the wanted algorithm signs, all verify,
//! each with the algorithm in its name. A file with a public key only verifies.

mod directory;
mod load;
mod sealing;

pub use load::{Given, load};
pub use sealing::{SealingKey, Unopened};
