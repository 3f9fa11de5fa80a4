//! `[[upstreams]]` as written.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::written::quantity::Time;

/// An upstream: one or more servers.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawUpstream {
    /// The upstream's name, unique: 1 to 64 letters, digits, `-`, `_` and `.`.
    #[schemars(required)]
    pub name: Option<String>,
    /// URLs of the servers: `http://host:port` or `https://host:port`, without a path; at least one.
    #[schemars(required, length(min = 1, max = 1000))]
    pub servers: Option<Vec<String>>,
    /// Active health check of each server.
    pub health_check: Option<RawHealthCheck>,
    /// Consecutive failures that eject a server; 1 to 1000. Default 5.
    #[schemars(range(min = 1, max = 1000))]
    pub eject_after: Option<i64>,
    /// How long a server stays ejected; 1 s to 1 h. Default 10 s.
    pub eject_for: Option<Time>,
    /// How many further servers an idempotent request is retried on; 0 to 5. Default 1.
    #[schemars(range(min = 0, max = 5))]
    pub retries: Option<i64>,
    /// Time-out of connecting; 1 ms to 60 s. Default 2 s.
    pub connect_timeout: Option<Time>,
    /// Time-out between two reads of the response; 1 ms to 24 h. Default 60 s.
    pub read_timeout: Option<Time>,
    /// Time-out between two writes of the request; 1 ms to 24 h. Default 60 s.
    pub write_timeout: Option<Time>,
    /// How long an idle connection is kept; 1 s to 1 h. Default 60 s.
    pub idle_timeout: Option<Time>,
    /// Uses HTTP/2: negotiated by ALPN over TLS, by prior knowledge without TLS. Default false.
    pub http2: Option<bool>,
    /// Sent as `Host` instead of the client's.
    pub host: Option<String>,
    /// `aud` of the assertions sent to this upstream; 1 to 255 bytes, and not `tokens.audience`. Default
    /// `name`.
    pub assertion_audience: Option<String>,
    /// TLS to `https` servers. Server certificates are always verified.
    pub tls: Option<RawUpstreamTls>,
}

/// Active health check of each server: `GET` of a path; a 2xx response is healthy.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawHealthCheck {
    /// The path, beginning with `/`.
    #[schemars(required)]
    pub path: Option<String>,
    /// Time between two checks; 100 ms to 1 h. Default 5 s.
    pub interval: Option<Time>,
    /// Time-out of one check; 10 ms to 60 s. Default 2 s.
    pub timeout: Option<Time>,
    /// Consecutive successes after which a server is healthy; 1 to 100. Default 1.
    #[schemars(range(min = 1, max = 100))]
    pub healthy_after: Option<i64>,
    /// Consecutive failures after which a server is unhealthy; 1 to 100. Default 2.
    #[schemars(range(min = 1, max = 100))]
    pub unhealthy_after: Option<i64>,
}

/// TLS to the servers of an upstream.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawUpstreamTls {
    /// File of the CAs in PEM that server certificates are verified with. Default: the system's CAs.
    pub ca: Option<String>,
    /// File of Guarita's client certificate chain in PEM.
    pub certificate: Option<String>,
    /// File of the client certificate's private key in PEM.
    pub key: Option<String>,
    /// The name that is verified and sent as SNI. Default: the server's host.
    pub server_name: Option<String>,
}
