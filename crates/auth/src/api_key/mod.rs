//! Named API keys in the database: created and revoked by an operator, cached in memory.
//!
//! A key never changes, except that it can be revoked. Cached keys are valid for one generation of
//! [`crate::session::SessionCache`]; each change of a key begins a new generation, so that all keys are
//! queried again. Expiry and allowed networks are checked on every request.

pub mod usage;
pub mod registry;
pub mod administration;

pub use administration::{ApiKeyAdministration, ApiKeyRejection, Created, Grant};
pub use guarita_store::ApiKey;
pub use registry::ApiKeyCache;
pub use usage::{Usage, Uses};
