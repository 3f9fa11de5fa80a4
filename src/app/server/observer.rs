//! Looks, from time to time, at what no request tells: health of upstreams, feed, audit.

use std::sync::Arc;
use std::time::Duration;

use super::admission::Admission;
use crate::adapters::ephemeral::Ephemeral;
use crate::adapters::telemetry::{Audit, Metrics};
use crate::app::reload;
use crate::doors::ops::Readiness;
use crate::live::Live;
use crate::services::session::Registry;

/// How often it looks.
const PERIOD: Duration = Duration::from_millis(250);
/// Silence after which the feed of revocations counts as down.
const FEED_BOUND: Duration = Duration::from_secs(1);

/// Sets gauges and readiness.
pub(super) struct Observer {
    pub(super) live: Arc<Live>,
    pub(super) registry: Registry,
    pub(super) audit: Audit,
    pub(super) ephemeral: Ephemeral,
    pub(super) metrics: Arc<Metrics>,
    pub(super) readiness: Arc<Readiness>,
    pub(super) admission: Arc<Admission>,
    pub(super) reload: reload::Handle,
}

impl Observer {
    pub(super) async fn run(self) {
        let mut ticks = tokio::time::interval(PERIOD);
        loop {
            ticks.tick().await;
            let heard = self.registry.silence().is_some_and(|silence| silence <= FEED_BOUND);
            self.metrics.revocation().feed_up(heard);
            self.readiness.feed(heard);
            let shared = self.ephemeral.is_up();
            self.metrics.ephemeral_up(shared);
            self.readiness.ephemeral(shared);
            self.metrics.audit_dropped(self.audit.dropped());
            self.readiness.audit(self.audit.is_healthy());
            self.metrics.connections(self.admission.open());
            let status = self.reload.status();
            self.readiness.reload(status.problems.first().cloned());
            let live = self.live.read();
            for provider in live.providers.iter() {
                self.metrics.provider_keys_age(&provider.settings().name, provider.age());
            }
            for pool in &live.pools {
                let name = &pool.settings().name;
                for (server, healthy) in pool.health() {
                    self.metrics.upstream_healthy(name, server, healthy);
                }
            }
        }
    }
}
