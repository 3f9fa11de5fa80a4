//! What lives for minutes and need not survive a restart: tickets between two steps.

pub mod memory;

pub use memory::{Full, Memory};
