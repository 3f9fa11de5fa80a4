//! Ends what is in flight when its session, token or API key is revoked.

pub mod websocket;
pub mod in_flight;
pub mod watcher;

pub use in_flight::{InFlightGuard, InFlightRequests, PermittedFor, RequestHandle};
pub use websocket::{WebSocketLimiter, WebSocketState};
