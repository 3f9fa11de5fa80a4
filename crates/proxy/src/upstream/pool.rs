//! The pool of servers of an upstream.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use pingora_core::protocols::ALPN;
use pingora_core::upstreams::peer::{HttpPeer, Peer as _};

use super::endpoint::EndpointState;
use super::idle_pool::PoolKey;
use super::settings::UpstreamSettings;
use super::tls::TlsMaterial;
use super::websocket_connect::WebSocketConnector;
use guarita_telemetry::{Metrics, UpstreamServerMetrics};

/// No server is available.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no server of the upstream is available")]
pub struct NoServerAvailable;

/// The TLS material of an upstream is invalid.
#[derive(Debug, thiserror::Error)]
#[error("upstream {upstream}: {reason}")]
pub struct InvalidUpstream {
    /// The upstream's name.
    pub upstream: Box<str>,
    /// What is wrong, without secrets.
    pub reason: &'static str,
}

/// The servers of an upstream and their health.
pub struct Pool {
    settings: UpstreamSettings,
    servers: Vec<Endpoint>,
    turn: AtomicUsize,
    /// The metrics of each server, set when the pool is started.
    metrics: OnceLock<Vec<UpstreamServerMetrics>>,
    /// Number of WebSocket handshakes so far.
    upgrades: AtomicU64,
}

struct Endpoint {
    state: Arc<EndpointState>,
    /// pingora's peer options, without the address.
    template: HttpPeer,
    /// Pools with the same key may share connections to an address.
    group: u64,
}

/// The server selected for an attempt.
#[derive(Clone)]
pub struct UpstreamAttempt {
    pool: Arc<Pool>,
    server: usize,
    way: PoolKey,
}

impl Pool {
    /// Builds the pool; servers also found in `previous` (same URL) keep their health.
    ///
    /// # Errors
    /// The TLS material is invalid.
    pub fn new(
        settings: UpstreamSettings,
        previous: Option<&Self>,
    ) -> Result<Arc<Self>, InvalidUpstream> {
        let invalid = |reason| InvalidUpstream { upstream: settings.name.clone(), reason };
        let material = TlsMaterial::read(&settings.tls).map_err(invalid)?;
        let mut servers = Vec::with_capacity(settings.servers.len());
        for server in &settings.servers {
            let known = previous.and_then(|pool| pool.state_of(server));
            let state = known.unwrap_or_else(|| Arc::new(EndpointState::new(server.clone())));
            let name = if server.secure {
                material.name_of(server).map_err(invalid)?
            } else {
                String::new()
            };
            let template = template(&settings, &material, server.secure, name);
            let group = template.reuse_hash();
            servers.push(Endpoint { state, template, group });
        }
        Ok(Arc::new(Self {
            settings,
            servers,
            turn: AtomicUsize::new(0),
            metrics: OnceLock::new(),
            upgrades: AtomicU64::new(0),
        }))
    }

    /// The settings.
    pub const fn settings(&self) -> &UpstreamSettings {
        &self.settings
    }

    /// The next available server (round robin) that is not in `tried`.
    ///
    /// # Errors
    /// There is none.
    pub fn select_server(
        self: &Arc<Self>,
        tried: &[usize],
        now: Instant,
    ) -> Result<UpstreamAttempt, NoServerAvailable> {
        let count = self.servers.len();
        let start = self.turn.fetch_add(1, Ordering::Relaxed);
        (0..count)
            .map(|step| start.wrapping_add(step) % count)
            .filter(|server| !tried.contains(server))
            .find_map(|server| {
                let Endpoint { state, group, .. } = self.servers.get(server)?;
                let address = state.address().filter(|_| state.is_available(now))?;
                let way = PoolKey { group: *group, address };
                Some(UpstreamAttempt { pool: Arc::clone(self), server, way })
            })
            .ok_or(NoServerAvailable)
    }

    /// Whether there is an available server that is not in `tried`.
    pub fn has_other(&self, tried: &[usize]) -> bool {
        let now = Instant::now();
        self.servers.iter().enumerate().any(|(server, member)| {
            let state = &member.state;
            !tried.contains(&server) && state.is_available(now) && state.address().is_some()
        })
    }

    /// All servers and whether they are available.
    pub fn health(&self) -> impl Iterator<Item = (&str, bool)> {
        let now = Instant::now();
        self.servers
            .iter()
            .map(move |member| (member.state.authority(), member.state.is_available(now)))
    }

    /// Begins to count. Returns whether this is the first call.
    pub(super) fn begin(&self, metrics: &Metrics) -> bool {
        let servers = self.servers.iter().map(|member| member.state.authority());
        let servers = servers.map(|server| metrics.upstream_server(&self.settings.name, server));
        self.metrics.set(servers.collect()).is_ok()
    }

    pub(super) fn states(&self) -> impl Iterator<Item = (&Arc<EndpointState>, &HttpPeer)> {
        self.servers.iter().map(|member| (&member.state, &member.template))
    }

    fn state_of(&self, server: &super::settings::UpstreamServer) -> Option<Arc<EndpointState>> {
        let member = self.servers.iter().find(|member| member.state.server() == server)?;
        Some(Arc::clone(&member.state))
    }
}

fn template(
    settings: &UpstreamSettings,
    material: &TlsMaterial,
    secure: bool,
    name: String,
) -> HttpPeer {
    let nowhere = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
    let mut peer = HttpPeer::new(nowhere, secure, name);
    peer.options.connection_timeout = Some(settings.connect_timeout);
    peer.options.total_connection_timeout = Some(settings.connect_timeout * 2);
    peer.options.read_timeout = Some(settings.read_timeout);
    peer.options.write_timeout = Some(settings.write_timeout);
    peer.options.idle_timeout = Some(settings.idle_timeout);
    peer.options.verify_cert = true;
    peer.options.verify_hostname = true;
    peer.options.ca.clone_from(&material.ca);
    peer.options.alpn = if settings.http2 { ALPN::H2 } else { ALPN::H1 };
    if settings.http2 {
        peer.options.max_h2_streams = 100;
    }
    peer.client_cert_key.clone_from(&material.identity);
    peer.group_key = group(settings);
    peer
}

/// Connections are shared only within one upstream with one TLS identity.
fn group(settings: &UpstreamSettings) -> u64 {
    use std::hash::{DefaultHasher, Hash as _, Hasher as _};
    let mut hasher = DefaultHasher::new();
    settings.name.hash(&mut hasher);
    settings.tls.ca.hash(&mut hasher);
    settings.tls.server_name.hash(&mut hasher);
    if let Some((chain, _)) = &settings.tls.identity {
        chain.hash(&mut hasher);
    }
    hasher.finish()
}

impl UpstreamAttempt {
    /// The server's position, for the list of tried ones.
    pub const fn server(&self) -> usize {
        self.server
    }

    /// The server's name in metrics and logs.
    pub fn authority(&self) -> &str {
        self.pool.servers.get(self.server).map_or("", |member| member.state.authority())
    }

    /// The settings of its upstream.
    pub fn settings(&self) -> &UpstreamSettings {
        &self.pool.settings
    }

    /// The key of its connections in the idle pool.
    pub const fn way(&self) -> PoolKey {
        self.way
    }

    /// pingora's peer.
    pub fn peer(&self) -> Option<Box<HttpPeer>> {
        let mut peer = Box::new(self.pool.servers.get(self.server)?.template.clone());
        peer._address = self.way.address.into();
        Some(peer)
    }

    /// pingora's peer for a WebSocket handshake. The response must arrive within the upstream's `read_timeout`
    /// and the time `left` of the route's time-out. Once `open` is true, there is no idle time-out here.
    pub fn upgrade_peer(
        &self,
        open: Arc<AtomicBool>,
        left: Option<Duration>,
    ) -> Option<Box<HttpPeer>> {
        let mut peer = self.peer()?;
        let settings = &self.pool.settings;
        let connect = settings.connect_timeout;
        let answer = left.map_or(settings.read_timeout, |left| left.min(settings.read_timeout));
        peer.options.custom_l4 = Some(Arc::new(WebSocketConnector { connect, answer, open }));
        peer.options.read_timeout = None;
        // Never a connection from the pool, nor one that another handshake left there.
        let number = self.pool.upgrades.fetch_add(1, Ordering::Relaxed);
        peer.group_key = !peer.group_key ^ number.rotate_left(32);
        peer.options.idle_timeout = Some(Duration::ZERO);
        Some(peer)
    }

    /// The server responded.
    pub fn succeeded(&self) {
        if let Some(member) = self.pool.servers.get(self.server) {
            member.state.succeeded();
        }
    }

    /// Counts a failed attempt in the metrics.
    pub fn count_failure(&self) {
        let servers = self.pool.metrics.get();
        if let Some(server) = servers.and_then(|servers| servers.get(self.server)) {
            server.failed();
        }
    }

    /// The server could not be reached, or the exchange failed.
    pub fn failed(&self) {
        if let Some(member) = self.pool.servers.get(self.server) {
            let settings = &self.pool.settings;
            member.state.failed(settings.eject_after, settings.eject_for, Instant::now());
        }
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Pool").field("name", &self.settings.name).finish_non_exhaustive()
    }
}

impl fmt::Debug for UpstreamAttempt {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Attempt").field("server", &self.authority()).finish()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::upstream::settings::{UpstreamServer, UpstreamTls};

    pub(crate) fn settings(ports: &[u16]) -> UpstreamSettings {
        UpstreamSettings {
            name: "orders".into(),
            servers: ports
                .iter()
                .map(|port| UpstreamServer { secure: false, host: "127.0.0.1".into(), port: *port })
                .collect(),
            health_check: None,
            eject_after: 1,
            eject_for: Duration::from_secs(60),
            retries: 1,
            connect_timeout: Duration::from_secs(1),
            read_timeout: Duration::from_secs(1),
            write_timeout: Duration::from_secs(1),
            idle_timeout: Duration::from_secs(1),
            http2: false,
            host: None,
            tls: UpstreamTls::default(),
        }
    }

    fn turns(pool: &Arc<Pool>, count: usize) -> Vec<usize> {
        (0..count)
            .filter_map(|_| pool.select_server(&[], Instant::now()).ok())
            .map(|attempt| attempt.server())
            .collect()
    }

    #[test]
    fn servers_take_turns() {
        let pool = Pool::new(settings(&[1, 2, 3]), None).unwrap();
        assert_eq!(turns(&pool, 6), [0, 1, 2, 0, 1, 2]);
        assert_eq!(pool.select_server(&[0, 1], Instant::now()).unwrap().server(), 2);
        assert!(pool.select_server(&[0, 1, 2], Instant::now()).is_err());
    }

    #[test]
    fn an_ejected_server_is_left_out_and_a_reload_remembers() {
        let pool = Pool::new(settings(&[1, 2]), None).unwrap();
        pool.select_server(&[1], Instant::now()).unwrap().failed();
        assert_eq!(turns(&pool, 3), [1, 1, 1]);
        let next = Pool::new(settings(&[3, 1]), Some(&pool)).unwrap();
        assert_eq!(turns(&next, 2), [0, 0]);
        next.select_server(&[], Instant::now()).unwrap().failed();
        assert_eq!(next.select_server(&[], Instant::now()).unwrap_err(), NoServerAvailable);
    }

    #[test]
    fn a_tls_server_always_has_a_name_to_verify() {
        let mut settings = settings(&[1]);
        settings.servers =
            vec![UpstreamServer { secure: true, host: "127.0.0.1".into(), port: 443 }];
        let pool = Pool::new(settings.clone(), None).unwrap();
        assert_eq!(
            pool.select_server(&[], Instant::now()).unwrap().peer().unwrap().sni,
            "127.0.0.1"
        );
        settings.tls.server_name = Some(String::new().into());
        assert!(Pool::new(settings, None).is_err());
    }
}
