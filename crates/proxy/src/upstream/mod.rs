//! Upstream servers: health, load balancing, connections and TLS.

pub mod settings;
pub mod tls;
pub mod endpoint;
pub mod websocket_connect;
pub mod idle_pool;
pub mod pool;
pub mod health;

pub use idle_pool::{IdlePool, PoolKey};
pub use pool::{InvalidUpstream, NoServerAvailable, Pool, UpstreamAttempt};
pub use settings::UpstreamSettings;
