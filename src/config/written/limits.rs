//! `[limits]` as written.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::written::quantity::{Size, Time};

/// Limits on requests and connections.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawLimits {
    /// Header fields per request; 1 to 1000. Default 100.
    #[schemars(range(min = 1, max = 1000))]
    pub header_count: Option<i64>,
    /// Size of the request line and all header fields; 1 KiB to 256 KiB. Default 32 KiB.
    pub header_bytes: Option<Size>,
    /// Size of a request body, unless the route has `max_body`; 0 to 1 TiB. Default
    /// 1025 MiB.
    pub body_bytes: Option<Size>,
    /// Time-out of a TLS handshake, and of a request's head from its first to its last byte; 100 ms to
    /// 10 m. Default 10 s.
    pub header_timeout: Option<Time>,
    /// Idle time-out between requests on a connection; 1 s to 1 h. Default 60 s.
    pub idle_timeout: Option<Time>,
    /// Time-out between two reads of a request body; 1 s to 1 h. Default 30 s.
    pub body_timeout: Option<Time>,
    /// Open connections in total; 1 to 1,000,000. Default 65,536.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub connections: Option<i64>,
    /// Open connections from one address; 1 to 1,000,000. Default 16,384.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub connections_per_address: Option<i64>,
    /// Requests on a connection until it is closed; 1 to 1,000,000. Default 10,000.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub requests_per_connection: Option<i64>,
    /// Concurrent HTTP/2 streams on a connection; 1 to 1000. Default 100.
    #[schemars(range(min = 1, max = 1000))]
    pub streams_per_connection: Option<i64>,
    /// Idle time-out of a WebSocket, without data from either side; 1 s to 24 h. Default 5 m.
    pub websocket_idle_timeout: Option<Time>,
    /// Open WebSockets of one user, over all sessions; 1 to 1,000,000. Default 4,096.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub websockets_per_user: Option<i64>,
}
