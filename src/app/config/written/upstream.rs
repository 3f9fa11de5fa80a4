//! `[[upstreams]]` as written.

use schemars::JsonSchema;
use serde::Deserialize;

use super::Time;

/// Servers that stand for one upstream.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Upstream {
    /// Unique among upstreams: 1 to 64 letters, digits, `-`, `_` and `.`.
    #[schemars(required)]
    pub name: Option<String>,
    /// `http://host:port` or `https://host:port`, without path; at least one.
    #[schemars(required, length(min = 1, max = 1000))]
    pub servers: Option<Vec<String>>,
    /// Asks each server whether it is well.
    pub health_check: Option<HealthCheck>,
    /// Consecutive failures that eject a server; 1 to 1000. Default 5.
    #[schemars(range(min = 1, max = 1000))]
    pub eject_after: Option<i64>,
    /// How long an ejected server rests; 1 s to 1 h. Default 10 s.
    pub eject_for: Option<Time>,
    /// Further servers tried for an idempotent request; 0 to 5. Default 1.
    #[schemars(range(min = 0, max = 5))]
    pub retries: Option<i64>,
    /// For the connection; 1 ms to 60 s. Default 2 s.
    pub connect_timeout: Option<Time>,
    /// Longest silence while the answer is awaited or read; 1 ms to 24 h. Default 60 s.
    pub read_timeout: Option<Time>,
    /// Longest stall while the request is written; 1 ms to 24 h. Default 60 s.
    pub write_timeout: Option<Time>,
    /// How long an idle connection is kept; 1 s to 1 h. Default 60 s.
    pub idle_timeout: Option<Time>,
    /// Speaks HTTP/2 to the servers: by ALPN over TLS, by prior knowledge without. Default false.
    pub http2: Option<bool>,
    /// Sent as `Host` instead of the caller's.
    pub host: Option<String>,
    /// `aud` of the assertions that are sent to it; 1 to 255 bytes, and not `tokens.audience`. Default
    /// its name.
    pub assertion_audience: Option<String>,
    /// TLS to `https` servers. Their certificates are always verified.
    pub tls: Option<UpstreamTls>,
}

/// Asks each server whether it is well: `GET` of a path, where a 2xx is healthy.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HealthCheck {
    /// The path; begins with `/`.
    #[schemars(required)]
    pub path: Option<String>,
    /// 100 ms to 1 h. Default 5 s.
    pub interval: Option<Time>,
    /// For one answer; 10 ms to 60 s. Default 2 s.
    pub timeout: Option<Time>,
    /// Consecutive good answers that bring a server back; 1 to 100. Default 1.
    #[schemars(range(min = 1, max = 100))]
    pub healthy_after: Option<i64>,
    /// Consecutive bad answers that take a server out; 1 to 100. Default 2.
    #[schemars(range(min = 1, max = 100))]
    pub unhealthy_after: Option<i64>,
}

/// TLS to the servers of an upstream.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UpstreamTls {
    /// File of the only CAs believed, in PEM. Default the system's.
    pub ca: Option<String>,
    /// File of our client certificate's chain, in PEM.
    pub certificate: Option<String>,
    /// File of its private key, in PEM.
    pub key: Option<String>,
    /// The name that is verified and sent as SNI, where it is not the server's host.
    pub server_name: Option<String>,
}
