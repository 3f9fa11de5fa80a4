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
use guarita_telemetry::{Metrics, RouteMetrics};

use guarita_auth::snapshot::AuthSnapshot;

/// A generation of the configuration.
#[derive(Debug)]
pub struct Snapshot {
    /// Incremented with each swap.
    pub generation: u64,
    /// What callers are authenticated with; shared with the endpoints of our own.
    pub auth: Arc<AuthSnapshot>,
    /// Routes by host, path and method.
    pub routes: RouteTable<Arc<RouteTarget>>,
    /// All upstreams, each once.
    pub pools: Vec<Arc<Pool>>,
    /// The cookies in which libraries of identity providers keep sessions.
    pub provider_cookies: ProviderCookies,
    /// The names of the identity headers that upstreams receive.
    pub identity_headers: IdentityHeaders,
    /// The fields that are stripped from requests and trailers.
    pub families: StrippedHeaders,
    /// Proxies whose `X-Forwarded-*` is trusted.
    pub trusted_proxies: Vec<IpNet>,
    /// Aliases of endpoints: alias path to path.
    pub aliases: BTreeMap<Box<str>, Box<str>>,
    /// TLS per listener address; plain where `None`.
    pub tls: HashMap<SocketAddr, Option<ListenerTlsContext>>,
    /// Limits of what callers may send.
    pub limits: Limits,
}

/// The TLS configuration of a listener.
#[derive(Clone, Debug)]
pub struct ListenerTlsContext {
    /// Certificates, versions, protocols.
    pub config: Arc<rustls::ServerConfig>,
    /// Changes with the CAs of client certificates.
    pub clients: u64,
    /// Whether a client certificate is required.
    pub required: bool,
}

/// A compiled route.
#[derive(Debug)]
pub struct RouteTarget<M = RouteMetrics> {
    /// The path pattern as written; the label in metrics.
    pub label: Box<str>,
    /// The access policy.
    pub policy: Policy,
    /// The upstream.
    pub upstream: Arc<Pool>,
    /// The audience of the assertion; [`None`] if none is sent.
    pub audience: Option<Arc<str>>,
    /// Whether the caller's credentials are forwarded.
    pub forward_credentials: bool,
    /// Maximum request body, in bytes.
    pub max_body: u64,
    /// Time from the last byte of the head to the end of the response; [`None`] for no limit.
    pub timeout: Option<Duration>,
    /// The metrics of the route.
    pub metrics: M,
}

impl RouteTarget<()> {
    /// Adds the metrics. Their series are created here: to be called for a snapshot that takes effect.
    pub fn measured(self, metrics: &Metrics) -> RouteTarget {
        let Self {
            label,
            policy,
            upstream,
            audience,
            forward_credentials,
            max_body,
            timeout,
            metrics: (),
        } = self;
        RouteTarget {
            metrics: metrics.route(&label),
            label,
            policy,
            upstream,
            audience,
            forward_credentials,
            max_body,
            timeout,
        }
    }
}

/// `[limits]`: limits on requests and connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Header fields per request; 1 to 1000, default 100.
    pub header_count: usize,
    /// Size of the request line and all header fields; 1 KiB to 256 KiB, default 32 KiB.
    pub header_bytes: usize,
    /// Size of a request body, unless the route has its own limit; default 1 GiB + 1 MiB.
    pub body_bytes: u64,
    /// Time-out of a request head from its first to its last byte, and of the TLS handshake; default 10 s.
    pub header_timeout: Duration,
    /// Idle time-out between requests on a connection; default 60 s.
    pub idle_timeout: Duration,
    /// Time-out between two reads of a request body; default 30 s.
    pub body_timeout: Duration,
    /// Open connections in total; default 65,536.
    pub connections: usize,
    /// Open connections from one address; default 16,384.
    pub connections_per_address: usize,
    /// Requests on a connection until it is closed; default 10,000.
    pub requests_per_connection: u32,
    /// Concurrent HTTP/2 streams per connection; default 100.
    pub streams_per_connection: u32,
    /// Idle time-out of a WebSocket; 1 s to 24 h, default 5 min.
    pub websocket_idle_timeout: Duration,
    /// Open WebSockets of one user, over all sessions; default 4,096.
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

/// The pointer to the current snapshot.
#[derive(Debug)]
pub struct CurrentSnapshot(ArcSwap<Snapshot>);

impl CurrentSnapshot {
    /// Creates it with the first snapshot.
    pub fn new(snapshot: Snapshot) -> Self {
        Self(ArcSwap::from_pointee(snapshot))
    }

    /// The current snapshot; the reader keeps it alive.
    pub fn read(&self) -> Arc<Snapshot> {
        self.0.load_full()
    }

    /// Replaces the snapshot. Called by the reload actor only.
    pub fn swap(&self, snapshot: Snapshot) {
        self.0.store(Arc::new(snapshot));
    }
}
