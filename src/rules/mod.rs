//! Pure, synchronous functions: no I/O, no clock, no randomness.

pub mod request;
pub mod route;
pub mod token;
pub mod websocket;
