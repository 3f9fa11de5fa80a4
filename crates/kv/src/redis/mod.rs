//! Redis: a single server, the primary that Sentinels name, or a cluster.

pub mod connect;
pub mod examine;
pub mod client;
pub mod script;

pub use client::RedisClient;
pub use examine::{Examined, examine};
