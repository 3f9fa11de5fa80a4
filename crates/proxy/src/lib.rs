//! From the listener to the upstream: accepts connections, authenticates and authorizes each request, forwards what
//! is permitted, and ends what is no longer.

pub mod upstream;
pub mod snapshot;
pub mod listener;
pub mod revocation;
pub mod exchange;
pub mod connection;

pub use exchange::Gateway;
pub use snapshot::{CurrentSnapshot, RouteTarget, Snapshot};
