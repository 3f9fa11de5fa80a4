//! Keys that sign and keys that seal.
//!
//! Signing keys: read where given, else made at first start with mode 0600.
//!
//! The directory holds one file per key, `<time>.<algorithm>.pem` (HS256: `.secret`), say
//! `2026-11-21T10-00-00Z.RS256.pem`. The last by name of the wanted algorithm signs, all verify,
//! each with the algorithm in its name. A file with a public key only verifies.
//!
//! Keys of assertions lie in a directory of their own in that one, `assertion`, under names of the same
//! kind. All are ES256, and none of them verifies a token.

mod assertion;
mod directory;
mod load;
mod sealing;

pub use assertion::{assertion_directory, load_assertion_keys};
pub use load::{Given, load};
pub use sealing::{SealingKey, Unopened};
