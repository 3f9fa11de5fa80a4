//! API keys by name: made and revoked by an operator, known in memory, true in the store.
//!
//! A key never changes but by its revocation. Memory holds what was learnt of a key, with the
//! generation that [`crate::services::session::Registry`] gives out; each change of a key ends the
//! generation, so that all is asked for again. When a key ends and where it may come from is looked at
//! on every request.

pub mod usage;
pub mod registry;
pub mod administration;

pub use crate::adapters::store::ApiKey;
pub use administration::{Administration, Created, Grant, Refusal};
pub use registry::Registry;
pub use usage::{Usage, Uses};
