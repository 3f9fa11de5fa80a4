//! Value types that all other layers use. No I/O, no policy.

pub mod secret;
pub mod clock;
pub mod random;
pub mod scope;
pub mod api_key;
pub mod token_mark;
pub mod id;
pub mod identity;
pub mod principal;
pub mod cpf;
pub mod email;
pub mod profile;
pub mod language;
pub mod problem;

pub use api_key::{ApiKeyId, ApiKeyName};
pub use clock::Timestamp;
pub use cpf::Cpf;
pub use email::EmailAddress;
pub use id::{SessionId, UserId};
pub use identity::{Identity, Role, Roles, Source, Subject};
pub use language::Language;
pub use principal::Principal;
pub use problem::Code;
pub use profile::Profile;
pub use scope::{Scope, Scopes};
pub use secret::{Secret, SecretDigest};
pub use token_mark::TokenMarks;
