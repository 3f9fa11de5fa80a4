//! Readiness of the gateway (`/readyz`).

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

/// The checks of `/readyz`.
#[derive(Debug)]
pub struct Readiness {
    draining: AtomicBool,
    feed: AtomicBool,
    audit: AtomicBool,
    ephemeral: AtomicBool,
    clock: AtomicBool,
    reload: Mutex<Option<String>>,
}

impl Default for Readiness {
    fn default() -> Self {
        Self {
            draining: AtomicBool::new(false),
            feed: AtomicBool::new(true),
            audit: AtomicBool::new(true),
            ephemeral: AtomicBool::new(true),
            clock: AtomicBool::new(true),
            reload: Mutex::new(None),
        }
    }
}

impl Readiness {
    /// The gateway is draining.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Whether the change feed is up to date.
    pub fn feed(&self, up: bool) {
        self.feed.store(up, Ordering::Relaxed);
    }

    /// Whether the audit file can be written.
    pub fn audit(&self, healthy: bool) {
        self.audit.store(healthy, Ordering::Relaxed);
    }

    /// Whether the backend shared with the other gateways (rate limits, tickets) can be reached.
    pub fn ephemeral(&self, up: bool) {
        self.ephemeral.store(up, Ordering::Relaxed);
    }

    /// Whether the local clock agrees with the database's.
    pub fn clock(&self, right: bool) {
        self.clock.store(right, Ordering::Relaxed);
    }

    /// The problem of the last reload; [`None`] if it was applied.
    pub fn reload(&self, problem: Option<String>) {
        *self.reload.lock().unwrap_or_else(PoisonError::into_inner) = problem;
    }

    /// All checks by name, with their problems. A rejected configuration is reported, but does not make the gateway
    /// unready, because the previous one stays in use. Neither does an unavailable shared backend, because requests
    /// are authorized without it, nor a clock offset, because the database's clock, which all gateways use, may be
    /// the wrong one.
    pub(super) fn checks(&self) -> serde_json::Map<String, serde_json::Value> {
        let word = |good: bool| if good { "ok" } else { "failed" };
        let reload = self.reload.lock().unwrap_or_else(PoisonError::into_inner).clone();
        [
            ("draining".to_owned(), self.draining.load(Ordering::Relaxed).into()),
            ("revocationFeed".to_owned(), word(self.feed.load(Ordering::Relaxed)).into()),
            ("audit".to_owned(), word(self.audit.load(Ordering::Relaxed)).into()),
            ("ephemeral".to_owned(), word(self.ephemeral.load(Ordering::Relaxed)).into()),
            ("clock".to_owned(), word(self.clock.load(Ordering::Relaxed)).into()),
            ("configuration".to_owned(), reload.unwrap_or_else(|| "ok".into()).into()),
        ]
        .into_iter()
        .collect()
    }

    /// Whether the gateway is ready for requests.
    pub(super) fn is_ready(&self) -> bool {
        !self.draining.load(Ordering::Relaxed)
            && self.feed.load(Ordering::Relaxed)
            && self.audit.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_configuration_is_told_but_traffic_goes_on() {
        let readiness = Readiness::default();
        readiness.reload(Some("line 3".into()));
        assert!(readiness.is_ready());
        assert_eq!(readiness.checks()["configuration"], "line 3");
        readiness.ephemeral(false);
        assert!(readiness.is_ready());
        assert_eq!(readiness.checks()["ephemeral"], "failed");
        readiness.clock(false);
        assert!(readiness.is_ready());
        assert_eq!(readiness.checks()["clock"], "failed");
        readiness.feed(false);
        assert!(!readiness.is_ready());
    }
}
