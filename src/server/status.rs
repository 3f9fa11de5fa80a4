//! Periodic status checks that are independent of requests: health of upstreams, change feed, audit.

use std::sync::Arc;
use std::time::Duration;

use crate::reload;
use guarita_auth::session::{ClockOffset, SessionCache};
use guarita_kv::Ephemeral;
use guarita_proxy::listener::connection_limit::ConnectionLimiter;
use guarita_proxy::snapshot::CurrentSnapshot;
use guarita_telemetry::Telemetry;
use guarita_telemetry::events::{ClockRight, ClockWrong};
use guarita_web::ops::Readiness;

/// Interval of the checks.
const PERIOD: Duration = Duration::from_millis(250);
/// Maximum lag of the change feed; above it the feed is reported as down.
const MAX_FEED_LAG: Duration = Duration::from_secs(1);
/// Maximum difference of the local clock and the database's clock, in seconds: the default leeway of tokens.
const MAX_CLOCK_SKEW: i64 = 30;

/// Sets gauges and readiness.
pub(super) struct StatusSampler {
    pub(super) clock: ClockOffset,
    pub(super) live: Arc<CurrentSnapshot>,
    pub(super) registry: SessionCache,
    pub(super) telemetry: Telemetry,
    pub(super) ephemeral: Ephemeral,
    pub(super) readiness: Arc<Readiness>,
    pub(super) admission: Arc<ConnectionLimiter>,
    pub(super) reload: reload::Handle,
}

impl StatusSampler {
    pub(super) async fn run(self) {
        let (metrics, audit) = (self.telemetry.metrics(), self.telemetry.audit());
        let mut was_right = true;
        let mut ticks = tokio::time::interval(PERIOD);
        loop {
            ticks.tick().await;
            let heard = self.registry.silence().is_some_and(|silence| silence <= MAX_FEED_LAG);
            metrics.revocation().feed_up(heard);
            self.readiness.feed(heard);
            was_right = self.compare(was_right);
            let shared = self.ephemeral.is_up();
            metrics.ephemeral_up(shared);
            self.readiness.ephemeral(shared);
            metrics.audit_dropped(audit.dropped());
            self.readiness.audit(audit.is_healthy());
            metrics.connections(self.admission.open());
            let status = self.reload.status();
            self.readiness.reload(status.problems.first().cloned());
            let live = self.live.read();
            let providers = live.auth.providers.iter();
            let ages = providers.map(|provider| (&*provider.settings().name, provider.age()));
            metrics.provider_keys_ages(ages);
            let servers = live.pools.iter().flat_map(|pool| {
                let upstream = &*pool.settings().name;
                pool.health().map(move |(server, healthy)| (upstream, server, healthy))
            });
            metrics.upstreams_healthy(servers);
        }
    }

    /// Reports the clock offset. Returns whether the clock is right.
    fn compare(&self, was_right: bool) -> bool {
        let offset = self.clock.seconds();
        let is_right = offset.abs() <= MAX_CLOCK_SKEW;
        self.telemetry.metrics().clock_offset(offset);
        self.readiness.clock(is_right);
        match (was_right, is_right) {
            (true, false) => ClockWrong { offset }.emit(),
            (false, true) => ClockRight { offset }.emit(),
            (true, true) | (false, false) => {}
        }
        is_right
    }
}
