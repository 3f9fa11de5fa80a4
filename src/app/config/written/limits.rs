//! `[limits]` as written.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Size, Time};

/// Bounds of what callers may send.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Header fields per request; 1 to 1000. Default 100.
    #[schemars(range(min = 1, max = 1000))]
    pub header_count: Option<i64>,
    /// Bytes of the request line and all header fields; 1 KiB to 256 KiB. Default 32 KiB.
    pub header_bytes: Option<Size>,
    /// Bytes of a request body on a route that does not say otherwise; 0 to 1 TiB. Default
    /// 1025 MiB.
    pub body_bytes: Option<Size>,
    /// For a TLS handshake, and from the first to the last byte of a request's head; 100 ms to
    /// 10 m. Default 10 s.
    pub header_timeout: Option<Time>,
    /// Longest silence between requests on a connection; 1 s to 1 h. Default 60 s.
    pub idle_timeout: Option<Time>,
    /// Longest silence while a request body is awaited; 1 s to 1 h. Default 30 s.
    pub body_timeout: Option<Time>,
    /// Connections in all; 1 to 1,000,000. Default 65,536.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub connections: Option<i64>,
    /// Connections from one address; 1 to 1,000,000. Default 16,384.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub connections_per_address: Option<i64>,
    /// Requests on a connection before it is closed; 1 to 1,000,000. Default 10,000.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub requests_per_connection: Option<i64>,
    /// Concurrent HTTP/2 streams on a connection; 1 to 1000. Default 100.
    #[schemars(range(min = 1, max = 1000))]
    pub streams_per_connection: Option<i64>,
    /// Longest silence of both ends of a WebSocket; 1 s to 24 h. Default 5 m.
    pub websocket_idle_timeout: Option<Time>,
    /// Open WebSockets of one user, in all of its sessions; 1 to 1,000,000. Default 4,096.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub websockets_per_user: Option<i64>,
}
