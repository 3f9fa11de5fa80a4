//! Redis: a single server, the primary that Sentinels name, or a cluster.

pub mod connect;
pub mod examine;
pub mod link;
pub mod script;

pub use examine::{Examined, examine};
pub use link::Link;
