//! What may be forgotten: in the memory of this process.
//!
//! Nothing here survives a restart, and nothing here is shared with another gateway.

pub mod rate;

pub use rate::{Key, Limiter, Rate};
