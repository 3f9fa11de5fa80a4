//! Identity providers: their keys are fetched in the background, within limits.
//!
//! [`refresh::start`] runs one task per provider. It fetches the keys at once, then periodically, and when a
//! token names an unknown key, but never twice within the cooldown. If a fetch fails, the present keys are kept.

mod fetch;
mod error;
pub mod keys;
pub mod linking;
pub mod pending;
mod metadata;
mod token_response;
pub mod login;
pub mod refresh;

pub use error::FetchError;
pub use fetch::are_authorities;
pub use keys::fetch_keys;
pub use linking::{AccountLinker, LinkedAccount, link};
pub use login::{Callback, FederatedLoginError, ProviderLogin, Started, VerifiedIdToken};
pub use pending::{PENDING_TTL, PendingCookie};
