//! How the world comes in.

pub mod endpoints;
pub mod ops;
pub mod proxy;
