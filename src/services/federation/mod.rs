//! Issuers of others: their keys are fetched here, in the background and within bounds.
//!
//! [`refresh::start`] runs one task per provider. It fetches at once, then from time to time, and when a
//! token names a key that is not known, but never twice within the cooldown. What cannot be fetched
//! leaves the keys as they are.

mod fetch;
pub mod keys;
pub mod linking;
pub mod pending;
mod metadata;
mod id_token;
pub mod login;
pub mod refresh;

pub use fetch::are_authorities;
pub use keys::{Fault, fetch_keys};
pub use linking::{Admitted, Linking, link};
pub use login::{Callback, Failure, ProviderLogin, Started, Vouched};
pub use pending::{Kept, PENDING_TTL};
