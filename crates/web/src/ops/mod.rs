//! The ops listener: metrics and health.

pub mod readiness;
pub mod router;

pub use readiness::Readiness;
pub use router::{router, serve};
