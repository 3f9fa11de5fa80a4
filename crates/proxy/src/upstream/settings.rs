//! The settings of an upstream.

use std::time::Duration;

use http::HeaderValue;

use guarita_core::Secret;

/// `[[upstreams]]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamSettings {
    /// The unique name.
    pub name: Box<str>,
    /// At least one.
    pub servers: Vec<UpstreamServer>,
    /// Active health checks; without them only failures of requests are counted.
    pub health_check: Option<HealthCheck>,
    /// Consecutive failures that eject a server; 1 to 1000, default 5.
    pub eject_after: u32,
    /// Duration of an ejection; 1 s to 1 h, default 10 s.
    pub eject_for: Duration,
    /// Further servers that an idempotent request is retried on; 0 to 5, default 1.
    pub retries: u8,
    /// 1 ms to 60 s, default 2 s.
    pub connect_timeout: Duration,
    /// Time-out between two reads of the response; default 60 s.
    pub read_timeout: Duration,
    /// Time-out between two writes of the request; default 60 s.
    pub write_timeout: Duration,
    /// How long an idle connection is kept; default 60 s.
    pub idle_timeout: Duration,
    /// Use HTTP/2 (ALPN over TLS, prior knowledge without TLS).
    pub http2: bool,
    /// Sent as `Host` instead of the client's.
    pub host: Option<HeaderValue>,
    /// For `https` servers.
    pub tls: UpstreamTls,
}

impl UpstreamServer {
    /// `host:port`, with IPv6 addresses in brackets: the label in metrics and logs.
    pub fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

/// A server.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct UpstreamServer {
    /// `https`
    pub secure: bool,
    /// A DNS name or an IP address (without brackets).
    pub host: Box<str>,
    /// The port; default 80 or 443.
    pub port: u16,
}

/// Active health checks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthCheck {
    /// `GET` this path; a 2xx is healthy.
    pub path: Box<str>,
    /// 100 ms to 1 h, default 5 s.
    pub interval: Duration,
    /// 10 ms to 60 s, default 2 s.
    pub timeout: Duration,
    /// Consecutive successes after which a server is healthy; default 1.
    pub healthy_after: u32,
    /// Consecutive failures after which a server is unhealthy; default 2.
    pub unhealthy_after: u32,
}

/// TLS to the upstream. Certificates are always verified.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UpstreamTls {
    /// PEM of the CAs to verify with; default: the system's CAs.
    pub ca: Option<Vec<u8>>,
    /// PEM of the client certificate chain and its key.
    pub identity: Option<(Vec<u8>, Secret)>,
    /// The name to verify and to send as SNI; default: the server's host.
    pub server_name: Option<Box<str>>,
}
