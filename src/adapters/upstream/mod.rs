//! Upstream servers: who is healthy, whose turn it is, and how to speak TLS to them.

pub mod settings;
pub mod tls;
pub mod server;
pub mod upgrade;
pub mod connections;
pub mod pool;
pub mod health;

pub use connections::{Connections, Way};
pub use pool::{Attempt, InvalidUpstream, Pool, Unavailable};
pub use settings::Settings;
