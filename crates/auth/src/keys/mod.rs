//! Signing keys and encryption keys.
//!
//! Signing keys are read from the configuration, or created at the first start. If a master key is configured, they
//! are kept in the database, encrypted with it, and every gateway has the same ([`KeyDatabase`]). Otherwise they are in
//! files of this gateway alone, with mode 0600.
//!
//! The directory has one file per key, `<time>.<algorithm>.pem` (HS256: `.secret`), for example
//! `2026-11-21T10-00-00Z.RS256.pem`. The last by name of the configured algorithm signs; all verify, each with the
//! algorithm in its name. A file with a public key only verifies. A name can state from when its key signs and
//! until when it verifies: `<any>.from-<time>.until-<time>.RS256.pem`.
//!
//! Keys of assertions are in the subdirectory `assertion`, with names of the same kind. All are ES256, and none of
//! them verifies a token.

pub mod listing;
mod administration;
mod assertion;
mod directory;
mod generate;
mod files;
mod watch;
mod load;
mod master;
mod schedule;
mod sealing;
mod source;
mod database;

pub use assertion::{assertion_directory, load_assertion_keys};
pub use database::{KeyDatabase, OpenedKeys, VaultFault};
pub use generate::EarlierKeys;
pub use listing::{KeyInfo, KeyState};
pub use load::{ConfiguredKeys, load};
pub use master::{InvalidMasterKey, MasterKeys};
pub use schedule::{LONGEST_TOKEN_LIFE, PUBLISH_AHEAD, max_age};
pub use sealing::{SealingKey, Unopened};
pub use source::KeySource;
pub use watch::{Follower, KeyRotation};
pub use {
    administration::Added, administration::KeyAdministration, administration::KeyLocation,
    administration::KeyRejection, administration::KeySettings,
};

pub use guarita_store::KeyPurpose;
