//! Active health checks of upstream servers and DNS lookups of their names, in the background.

use std::sync::{Arc, Weak};
use std::time::Duration;

use pingora_core::connectors::http::Connector;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_http::RequestHeader;

use super::endpoint::EndpointState;
use super::pool::Pool;
use super::settings::HealthCheck;
use guarita_telemetry::Metrics;

/// Interval of DNS lookups.
const LOOKUP_INTERVAL: Duration = Duration::from_secs(30);
/// Interval after a failed lookup.
const LOOKUP_RETRY: Duration = Duration::from_secs(1);

impl Pool {
    /// Starts health checks and lookups on the current runtime, once. The tasks end with the pool.
    pub fn start(self: &Arc<Self>, metrics: &Metrics) {
        if !self.begin(metrics) {
            return;
        }
        for (state, template) in self.states() {
            let alive = Arc::downgrade(self);
            if state.is_named() {
                tokio::spawn(look_up(alive.clone(), Arc::clone(state)));
            }
            match &self.settings().health_check {
                Some(check) => {
                    let probe = Probe {
                        connector: Connector::new(None),
                        check: check.clone(),
                        host: state.authority().to_owned(),
                        template: template.clone(),
                    };
                    tokio::spawn(probe.run(alive, Arc::clone(state)));
                }
                // Nobody probes any more: what an earlier configuration found must not stay.
                None => state.probed(true),
            }
        }
    }
}

async fn look_up(alive: Weak<Pool>, state: Arc<EndpointState>) {
    while alive.strong_count() > 0 {
        let server = state.server();
        let found = tokio::net::lookup_host((&*server.host, server.port)).await;
        let pause = match found {
            Ok(addresses) => {
                state.resolved(addresses.collect());
                LOOKUP_INTERVAL
            }
            Err(error) => {
                tracing::warn!(server = state.authority(), %error, "name lookup failed");
                LOOKUP_RETRY
            }
        };
        tokio::time::sleep(pause).await;
    }
}

/// Checks one server.
struct Probe {
    connector: Connector,
    check: HealthCheck,
    host: String,
    template: HttpPeer,
}

impl Probe {
    async fn run(self, alive: Weak<Pool>, state: Arc<EndpointState>) {
        let mut streak = Streak::default();
        let mut ticks = tokio::time::interval(self.check.interval);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if alive.strong_count() == 0 {
                return;
            }
            let probed = tokio::time::timeout(self.check.timeout, self.once(&state)).await;
            let healthy = probed.is_ok_and(|answer| answer.is_some());
            if let Some(verdict) = streak.count(healthy, &self.check) {
                state.probed(verdict);
            }
        }
    }

    /// Whether `GET path` yields a 2xx response.
    async fn once(&self, state: &EndpointState) -> Option<()> {
        let mut peer = self.template.clone();
        peer._address = state.address()?.into();
        let mut request = RequestHeader::build("GET", self.check.path.as_bytes(), Some(2)).ok()?;
        request.insert_header(http::header::HOST, &self.host).ok()?;
        request.insert_header(http::header::USER_AGENT, "guarita-health").ok()?;
        let (mut session, _) = self.connector.get_http_session(&peer).await.ok()?;
        session.write_request_header(Box::new(request)).await.ok()?;
        session.finish_request_body().await.ok()?;
        session.read_response_header().await.ok()?;
        let healthy = session.response_header()?.status.is_success();
        session.shutdown().await;
        healthy.then_some(())
    }
}

/// Number of consecutive equal results.
#[derive(Default)]
struct Streak {
    healthy: u32,
    unhealthy: u32,
}

impl Streak {
    /// The new state, once there are enough consecutive equal results.
    fn count(&mut self, healthy: bool, check: &HealthCheck) -> Option<bool> {
        if healthy {
            self.unhealthy = 0;
            self.healthy = self.healthy.saturating_add(1);
            (self.healthy >= check.healthy_after).then_some(true)
        } else {
            self.healthy = 0;
            self.unhealthy = self.unhealthy.saturating_add(1);
            (self.unhealthy >= check.unhealthy_after).then_some(false)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_odd_result_changes_nothing() {
        let check = HealthCheck {
            path: "/".into(),
            interval: Duration::from_secs(1),
            timeout: Duration::from_secs(1),
            healthy_after: 2,
            unhealthy_after: 3,
        };
        let mut streak = Streak::default();
        let verdicts: Vec<_> = [false, false, true, false, false, false, true, true]
            .map(|healthy| streak.count(healthy, &check))
            .into();
        assert_eq!(verdicts, [None, None, None, None, None, Some(false), None, Some(true)]);
    }
}
