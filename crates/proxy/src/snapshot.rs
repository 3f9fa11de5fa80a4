//! The configuration snapshot: everything that a request needs and that a reload can rebuild. It has no mutable
//! state.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use ipnet::IpNet;

use crate::upstream::Pool;
use guarita_core::http::{IdentityHeaders, ProviderCookies, StrippedHeaders};
use guarita_core::route::{Policy, RouteTable};
use guarita_telemetry::RouteMetrics;

use guarita_auth::snapshot::AuthSnapshot;

/// One generation of the configuration in force.
#[derive(Debug)]
pub struct Snapshot {
    /// Grows by one with each swap.
    pub generation: u64,
    /// What callers are authenticated with; shared with the endpoints of our own.
    pub auth: Arc<AuthSnapshot>,
    /// Routes by host, path and method.
    pub routes: RouteTable<Arc<RouteTarget>>,
    /// The upstreams of all routes, each once.
    pub pools: Vec<Arc<Pool>>,
    /// The cookies in which libraries of identity providers keep sessions.
    pub provider_cookies: ProviderCookies,
    /// The names of the identity headers that upstreams receive.
    pub identity_headers: IdentityHeaders,
    /// What is stripped from every request and its trailers.
    pub families: StrippedHeaders,
    /// Proxies whose `X-Forwarded-*` is trusted.
    pub trusted_proxies: Vec<IpNet>,
    /// Alias path to the endpoint's own path.
    pub aliases: BTreeMap<Box<str>, Box<str>>,
    /// TLS per listener address; plain where `None`.
    pub tls: HashMap<SocketAddr, Option<ListenerTlsContext>>,
    /// Limits of what callers may send.
    pub limits: Limits,
}

/// How a listener speaks TLS.
#[derive(Clone, Debug)]
pub struct ListenerTlsContext {
    /// Certificates, versions, protocols.
    pub config: Arc<rustls::ServerConfig>,
    /// Changes with the CAs of client certificates.
    pub clients: u64,
    /// Whether a client certificate is demanded.
    pub required: bool,
}

/// Where a route leads.
#[derive(Debug)]
pub struct RouteTarget<M = RouteMetrics> {
    /// The path pattern as written; label in metrics.
    pub label: Box<str>,
    /// What it demands.
    pub policy: Policy,
    /// Where it goes.
    pub upstream: Arc<Pool>,
    /// The audience of the assertion that goes along; none does without it.
    pub audience: Option<Arc<str>>,
    /// Whether the caller's credentials go along.
    pub forward_credentials: bool,
    /// Largest request body, in bytes.
    pub max_body: u64,
    /// From the head's last byte to the end of the answer; none for streams that may last.
    pub timeout: Option<Duration>,
    /// What is counted for it.
    pub metrics: M,
}

/// `[limits]`: bounds of what a caller may send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Header fields per request; 1 to 1000, default 100.
    pub header_count: usize,
    /// Bytes of all header fields with the request line; 1 KiB to 256 KiB, default 32 KiB.
    pub header_bytes: usize,
    /// Bytes of a request body that a route does not bound otherwise; default 1 GiB + 1 MiB.
    pub body_bytes: u64,
    /// From the first to the last byte of a head, and for the TLS handshake; default 10 s.
    pub header_timeout: Duration,
    /// Longest silence between requests on a connection; default 60 s.
    pub idle_timeout: Duration,
    /// Longest silence while a request body is awaited; default 30 s.
    pub body_timeout: Duration,
    /// Connections in all; default 65,536.
    pub connections: usize,
    /// Connections from one address; default 16,384.
    pub connections_per_address: usize,
    /// Requests per connection before it is closed; default 10,000.
    pub requests_per_connection: u32,
    /// Concurrent HTTP/2 streams per connection; default 100.
    pub streams_per_connection: u32,
    /// Longest silence of both ends of a WebSocket; 1 s to 24 h, default 5 min.
    pub websocket_idle_timeout: Duration,
    /// Open WebSockets of one user, in all of its sessions; default 4,096.
    pub websockets_per_user: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            header_count: 100,
            header_bytes: 32 * 1024,
            body_bytes: 1025 * 1024 * 1024,
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(60),
            body_timeout: Duration::from_secs(30),
            connections: 65_536,
            connections_per_address: 16_384,
            requests_per_connection: 10_000,
            streams_per_connection: 100,
            websocket_idle_timeout: Duration::from_secs(300),
            websockets_per_user: 4_096,
        }
    }
}

/// The one pointer to the picture in force.
#[derive(Debug)]
pub struct CurrentSnapshot(ArcSwap<Snapshot>);

impl CurrentSnapshot {
    /// Puts the first picture up.
    pub fn new(snapshot: Snapshot) -> Self {
        Self(ArcSwap::from_pointee(snapshot))
    }

    /// The picture in force; held from here to the end of whatever reads it.
    pub fn read(&self) -> Arc<Snapshot> {
        self.0.load_full()
    }

    /// Puts the next picture up. Only the reload actor does.
    pub fn swap(&self, snapshot: Snapshot) {
        self.0.store(Arc::new(snapshot));
    }
}
