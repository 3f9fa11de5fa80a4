//! The settings of an upstream.

use std::time::Duration;

use http::HeaderValue;

use guarita_core::Secret;

/// `[[upstreams]]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamSettings {
    /// Unique among upstreams.
    pub name: Box<str>,
    /// At least one.
    pub servers: Vec<UpstreamServer>,
    /// Active probing; without it only failures of real requests count.
    pub health_check: Option<HealthCheck>,
    /// Consecutive failures that eject a server; 1 to 1000, default 5.
    pub eject_after: u32,
    /// How long an ejected server rests; 1 s to 1 h, default 10 s.
    pub eject_for: Duration,
    /// Further servers tried for an idempotent request; 0 to 5, default 1.
    pub retries: u8,
    /// 1 ms to 60 s, default 2 s.
    pub connect_timeout: Duration,
    /// Longest silence while the answer is awaited or read; default 60 s.
    pub read_timeout: Duration,
    /// Longest stall while the request is written; default 60 s.
    pub write_timeout: Duration,
    /// How long an idle connection is kept; default 60 s.
    pub idle_timeout: Duration,
    /// Speak HTTP/2 to the upstream (ALPN over TLS, prior knowledge without).
    pub http2: bool,
    /// Send this as `Host` instead of the caller's.
    pub host: Option<HeaderValue>,
    /// For `https` servers.
    pub tls: UpstreamTls,
}

impl UpstreamServer {
    /// `host:port`, an IPv6 address in brackets: the label in metrics and logs.
    pub fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

/// One server.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct UpstreamServer {
    /// `https`
    pub secure: bool,
    /// A DNS name or an IP address (without brackets).
    pub host: Box<str>,
    /// The port; 80 or 443 where the URL names none.
    pub port: u16,
}

/// Active probing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthCheck {
    /// `GET` this path; a 2xx is healthy.
    pub path: Box<str>,
    /// 100 ms to 1 h, default 5 s.
    pub interval: Duration,
    /// 10 ms to 60 s, default 2 s.
    pub timeout: Duration,
    /// Consecutive successes that bring a server back; default 1.
    pub healthy_after: u32,
    /// Consecutive failures that take it out; default 2.
    pub unhealthy_after: u32,
}

/// TLS to the upstream. Certificates are always verified.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UpstreamTls {
    /// PEM of the only CAs believed; the system's otherwise.
    pub ca: Option<Vec<u8>>,
    /// PEM of our client certificate chain and its key.
    pub identity: Option<(Vec<u8>, Secret)>,
    /// The name to verify and to send as SNI, where it is not the server's host.
    pub server_name: Option<Box<str>>,
}
