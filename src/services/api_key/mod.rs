//! Named API keys in the database: created and revoked by an operator, cached in memory.
//!
//! A key never changes, except that it can be revoked. Cached keys are valid for one generation of
//! [`crate::services::session::Registry`]; each change of a key begins a new generation, so that all keys are
//! queried again. Expiry and allowed networks are checked on every request.

pub mod usage;
pub mod registry;
pub mod administration;

pub use crate::adapters::store::ApiKey;
pub use administration::{Administration, Created, Grant, Refusal};
pub use registry::Registry;
pub use usage::{Usage, Uses};
