//! The data path: each request is authorized once, then forwarded or rejected.

pub mod request_id;
pub mod socket;
pub mod tether;
pub mod connection;
pub mod websocket;
pub mod context;
pub mod respond;
pub mod local;
pub mod receive;
pub mod forward;
mod answer;
pub mod exchange;
mod forward_auth;
pub mod record;
pub mod gateway;

pub use connection::Connection;
pub use gateway::Gateway;
pub use socket::{Socket, Sockets};
pub use tether::{Held, Tether, Tethers, Tied};
