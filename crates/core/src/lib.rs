//! Values and pure decisions: what every other crate speaks about.
//!
//! No I/O and no async. Time is an argument; only [`time`] asks the system's clock and only [`random`] its
//! generator. `http` reads requests, `route` matches them, `jose` signs and verifies tokens, `websocket` follows
//! handshakes and frames.
#![warn(missing_docs)]

pub mod secret;
pub mod time;
pub mod random;
pub mod scope;
pub mod api_key;
pub mod revocation_key;
pub mod id;
pub mod identity;
pub mod principal;
pub mod cpf;
pub mod email;
pub mod profile;
pub mod language;
pub mod problem_code;
pub mod problem_body;
pub mod http;
pub mod route;
pub mod jose;
pub mod websocket;

pub use api_key::{ApiKeyId, ApiKeyName};
pub use cpf::Cpf;
pub use email::EmailAddress;
pub use id::{SessionId, UserId};
pub use identity::{Identity, Role, Roles, Source, Subject};
pub use language::Language;
pub use principal::Principal;
pub use problem_code::Code;
pub use profile::Profile;
pub use revocation_key::RevocationKeys;
pub use scope::{Scope, Scopes};
pub use secret::{Secret, SecretDigest};
pub use time::Timestamp;
