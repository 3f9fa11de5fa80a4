//! What may be forgotten: in the memory of this process.
//!
//! Nothing here survives a restart, and nothing here is shared with another gateway.

pub mod bounded;
pub mod memory;
pub mod rate;

pub use bounded::{bounded, weight_of};
pub use memory::{Full, Memory};
pub use rate::{Key, Limiter, Rate};
