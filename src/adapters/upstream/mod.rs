//! Upstream servers: health, load balancing, connections and TLS.

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
