//! An upstream server: its addresses and its health.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use super::settings::UpstreamServer;

/// The state of a server. Shared by all generations of the configuration that have it.
#[derive(Debug)]
pub(super) struct EndpointState {
    server: UpstreamServer,
    authority: Box<str>,
    addresses: RwLock<Arc<[SocketAddr]>>,
    /// Consecutive failures of requests.
    failures: AtomicU32,
    /// Until when the server is ejected, in milliseconds after `born`.
    rests_until: AtomicU64,
    /// The result of active health checks.
    probed_healthy: AtomicBool,
    born: Instant,
}

impl EndpointState {
    pub(super) fn new(server: UpstreamServer) -> Self {
        let literal = server.host.parse::<IpAddr>().ok();
        let addresses = literal.map(|address| SocketAddr::new(address, server.port));
        Self {
            authority: server.authority().into(),
            addresses: RwLock::new(addresses.into_iter().collect()),
            failures: AtomicU32::new(0),
            rests_until: AtomicU64::new(0),
            probed_healthy: AtomicBool::new(true),
            born: Instant::now(),
            server,
        }
    }

    pub(super) const fn server(&self) -> &UpstreamServer {
        &self.server
    }

    pub(super) fn authority(&self) -> &str {
        &self.authority
    }

    /// Whether the host is a DNS name.
    pub(super) fn is_named(&self) -> bool {
        self.server.host.parse::<IpAddr>().is_err()
    }

    /// The first known address, if any.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        self.addresses.read().unwrap_or_else(PoisonError::into_inner).first().copied()
    }

    /// Replaces the addresses; an empty result keeps the previous ones.
    pub(super) fn resolved(&self, addresses: Vec<SocketAddr>) {
        if !addresses.is_empty() {
            *self.addresses.write().unwrap_or_else(PoisonError::into_inner) = addresses.into();
        }
    }

    /// Whether the server is available.
    pub(super) fn is_available(&self, now: Instant) -> bool {
        let rests_until = self.rests_until.load(Ordering::Relaxed);
        self.probed_healthy.load(Ordering::Relaxed)
            && (rests_until == 0 || self.since_birth(now) >= rests_until)
    }

    /// Records a response.
    pub(super) fn succeeded(&self) {
        if self.failures.load(Ordering::Relaxed) != 0 {
            self.failures.store(0, Ordering::Relaxed);
        }
    }

    /// Records a failure. After `most` consecutive ones the server is ejected; after the ejection a single failure
    /// ejects it again.
    pub(super) fn failed(&self, most: u32, rest: Duration, now: Instant) {
        let failures = self.failures.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        if failures >= most {
            let until = self.since_birth(now + rest);
            self.rests_until.store(until, Ordering::Relaxed);
            self.failures.store(most.saturating_sub(1), Ordering::Relaxed);
            tracing::warn!(server = %self.authority, failures, "upstream server ejected");
        }
    }

    /// Records the result of active health checks.
    pub(super) fn probed(&self, healthy: bool) {
        if self.probed_healthy.swap(healthy, Ordering::Relaxed) != healthy {
            tracing::warn!(server = %self.authority, healthy, "upstream server's health changed");
        }
    }

    fn since_birth(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.born).as_millis()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_server_rests_and_comes_back_on_trial() {
        let state =
            EndpointState::new(UpstreamServer { secure: false, host: "127.0.0.1".into(), port: 1 });
        let now = Instant::now();
        let rest = Duration::from_secs(10);
        state.failed(2, rest, now);
        assert!(state.is_available(now));
        state.failed(2, rest, now);
        assert!(!state.is_available(now));
        assert!(!state.is_available(now + Duration::from_secs(9)));
        let back = now + Duration::from_secs(11);
        assert!(state.is_available(back));
        state.failed(2, rest, back);
        assert!(!state.is_available(back), "one failure on trial is enough");
        state.succeeded();
        state.failed(2, rest, back + rest * 2);
        assert!(state.is_available(back + rest * 2), "a success forgives");
    }

    #[test]
    fn a_lookup_without_answer_keeps_the_last_addresses() {
        let state =
            EndpointState::new(UpstreamServer { secure: false, host: "a.test".into(), port: 80 });
        assert_eq!(state.address(), None);
        state.resolved(vec!["192.0.2.1:80".parse().unwrap()]);
        state.resolved(vec![]);
        assert_eq!(state.address(), Some("192.0.2.1:80".parse().unwrap()));
    }
}
