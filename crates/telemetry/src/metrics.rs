//! All metrics, by name. The series of a route are resolved once, at reload. Series whose labels come from the
//! configuration are removed with what they are about.

use std::sync::Arc;
use std::time::Duration;

use prometheus::{
    Encoder as _, HistogramOpts, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry, TextEncoder,
};

use guarita_core::Code;

mod registrar;
mod lease;
mod provider;
mod revocation;
mod route;
mod upstream;
use crate::metrics::registrar::{BUCKETS, Registrar};
use lease::{Leases, ReportedGauges};
use provider::KeyFetches;
pub use provider::ProviderKeyMetrics;
pub use revocation::RevocationMetrics;
pub use route::RouteMetrics;
use route::RouteVectors;
use upstream::FailedAttempts;
pub use upstream::UpstreamServerMetrics;

/// Label values of `result`, where there are two.
const RESULTS: [&str; 2] = ["succeeded", "failed"];

/// All metrics (`guarita_*`, base units).
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    routes: Arc<Leases<RouteVectors, 1>>,
    refusals: IntCounterVec,
    connections: IntGauge,
    connections_refused: IntCounterVec,
    handshakes: IntCounterVec,
    failures: Arc<Leases<FailedAttempts, 2>>,
    upstream_healthy: ReportedGauges<2>,
    provider_keys_age: ReportedGauges<1>,
    provider_keys_fetches: Arc<Leases<KeyFetches, 1>>,
    reloads: IntCounterVec,
    reload_success: IntGauge,
    reload_time: IntGauge,
    logins: IntCounterVec,
    mfa_challenges: IntCounterVec,
    refreshes: IntCounterVec,
    streams_closed: IntCounterVec,
    websockets_open: IntGauge,
    websocket_handshakes: IntCounterVec,
    websockets_closed: IntCounterVec,
    rate_limited: IntCounterVec,
    mails: IntCounterVec,
    outbox_mails: IntGauge,
    outbox_age: IntGauge,
    revocation: RevocationMetrics,
    ephemeral_up: IntGauge,
    clock_offset: IntGauge,
    audit_dropped: IntGauge,
    own: RouteMetrics,
    unmatched: RouteMetrics,
}

impl Metrics {
    /// Registers all metrics.
    ///
    /// # Errors
    /// Two metrics have the same name (a bug).
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let to = Registrar(&registry);
        let requests = to.counters(
            "guarita_requests_total",
            "Requests by route and class of the response status.",
            &["route", "status"],
        )?;
        let duration = to.add(HistogramVec::new(
            HistogramOpts::new(
                "guarita_request_duration_seconds",
                "Time from the end of the request's head to the end of the response.",
            )
            .buckets(BUCKETS.to_vec()),
            &["route"],
        )?)?;
        let build = to.add(IntGaugeVec::new(
            Opts::new("guarita_build_info", "The running version; always 1."),
            &["version"],
        )?)?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        let on_unknown = to.counters(
            "guarita_on_unknown_served_total",
            "Requests allowed by stale session state, on routes with on_unknown = serve_for.",
            &["route"],
        )?;
        let routes = RouteVectors { requests, duration, on_unknown };
        let (own, unmatched) = (routes.requests("own"), routes.requests("none"));
        let metrics = Self {
            refusals: to.counters(
                "guarita_refusals_total",
                "Rejected requests by problem code.",
                &["code"],
            )?,
            connections: to.gauge("guarita_connections", "Open connections.")?,
            connections_refused: to.counters(
                "guarita_connections_refused_total",
                "Connections closed at once because a limit was reached.",
                &["reason"],
            )?,
            handshakes: to.counters(
                "guarita_tls_handshakes_total",
                "TLS handshakes with clients.",
                &["result"],
            )?,
            failures: Leases::new(FailedAttempts(to.counters(
                "guarita_upstream_failures_total",
                "Failed attempts to forward a request to an upstream server.",
                &["upstream", "server"],
            )?)),
            provider_keys_age: ReportedGauges::new(to.add(IntGaugeVec::new(
                Opts::new(
                    "guarita_provider_keys_age_seconds",
                    "Time since the provider's keys were last fetched; -1 before the first fetch.",
                ),
                &["provider"],
            )?)?),
            provider_keys_fetches: Leases::new(KeyFetches(to.counters(
                "guarita_provider_key_fetches_total",
                "Attempts to fetch a provider's keys.",
                &["provider", "result"],
            )?)),
            upstream_healthy: ReportedGauges::new(to.add(IntGaugeVec::new(
                Opts::new("guarita_upstream_healthy", "Whether the upstream server is healthy."),
                &["upstream", "server"],
            )?)?),
            reloads: to.counters(
                "guarita_config_reloads_total",
                "Configuration reloads.",
                &["result"],
            )?,
            reload_success: to.gauge(
                "guarita_config_reload_success",
                "Whether the last reload was applied.",
            )?,
            reload_time: to.gauge(
                "guarita_config_reload_timestamp_seconds",
                "Time at which a configuration was last applied.",
            )?,
            mfa_challenges: to.counters(
                "guarita_mfa_challenges_total",
                "Second factor codes checked.",
                &["result"],
            )?,
            logins: to.counters("guarita_logins_total", "Login attempts.", &["result"])?,
            refreshes: to.counters(
                "guarita_refreshes_total",
                "Token refreshes.",
                &["result"],
            )?,
            streams_closed: to.counters(
                "guarita_streams_closed_total",
                "Requests and WebSockets in progress that the gateway aborted.",
                &["reason"],
            )?,
            websockets_open: to.gauge("guarita_websockets_open", "Open WebSockets.")?,
            websocket_handshakes: to.counters(
                "guarita_websocket_handshakes_total",
                "WebSocket handshakes by result.",
                &["result"],
            )?,
            websockets_closed: to.counters(
                "guarita_websockets_closed_total",
                "Closed WebSockets by reason.",
                &["reason"],
            )?,
            rate_limited: to.counters(
                "guarita_rate_limited_total",
                "Requests rejected by a rate limit, by kind of request and by what was counted.",
                &["kind", "by"],
            )?,
            mails: to.counters(
                "guarita_mails_total",
                "Attempts to send a mail, by result.",
                &["result"],
            )?,
            outbox_mails: to.gauge("guarita_outbox_mails", "Mails waiting to be sent.")?,
            outbox_age: to.gauge(
                "guarita_outbox_oldest_age_seconds",
                "Age of the oldest mail in the outbox.",
            )?,
            revocation: RevocationMetrics::new(&to)?,
            ephemeral_up: to.gauge(
                "guarita_ephemeral_up",
                "Whether the backend shared with the other gateways (rate limits, tickets) can be reached.",
            )?,
            clock_offset: to.gauge(
                "guarita_clock_offset_seconds",
                "Offset of the local clock from the database's clock; positive if the local clock is ahead.",
            )?,
            audit_dropped: to.gauge(
                "guarita_audit_lines_dropped",
                "Audit lines dropped since the start.",
            )?,
            registry: registry.clone(),
            routes: Leases::new(routes),
            own,
            unmatched,
        };
        for code in Code::ALL {
            metrics.refusals.with_label_values(&[code.as_str()]);
        }
        metrics.reload_success.set(1);
        registry.register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))?;
        Ok(metrics)
    }

    /// The series of a route, by its label. They are created here: to be called for a route that takes effect.
    pub fn route(&self, label: &str) -> RouteMetrics {
        RouteMetrics::of_route(&self.routes, label)
    }

    /// The counters of a server of an upstream.
    pub fn upstream_server(&self, upstream: &str, server: &str) -> UpstreamServerMetrics {
        UpstreamServerMetrics::new(&self.failures, upstream, server)
    }

    /// The counters of a provider's keys.
    pub fn provider_keys(&self, provider: &str) -> ProviderKeyMetrics {
        ProviderKeyMetrics::new(&self.provider_keys_fetches, provider)
    }

    /// Counts a request to one of Guarita's own endpoints.
    pub fn own_request(&self, status: u16, duration: Duration) {
        self.own.served(status, duration);
    }

    /// Counts a request that matched no route.
    pub fn refused_request(&self, status: u16, duration: Duration) {
        self.unmatched.served(status, duration);
    }

    /// Counts a rejected request.
    pub fn refused(&self, code: Code) {
        self.refusals.with_label_values(&[code.as_str()]).inc();
    }

    /// Sets the number of open connections.
    pub fn connections(&self, open: usize) {
        self.connections.set(i64::try_from(open).unwrap_or(i64::MAX));
    }

    /// Counts a connection that was closed at once.
    pub fn connection_refused(&self, reason: &str) {
        self.connections_refused.with_label_values(&[reason]).inc();
    }

    /// Counts a TLS handshake.
    pub fn tls_handshake(&self, succeeded: bool) {
        self.handshakes.with_label_values(&[result(succeeded)]).inc();
    }

    /// Sets the health of all upstream servers: the upstream, the server, and whether it is healthy.
    pub fn upstreams_healthy<'a>(
        &self,
        servers: impl IntoIterator<Item = (&'a str, &'a str, bool)>,
    ) {
        let servers = servers.into_iter();
        self.upstream_healthy.report(
            servers.map(|(upstream, server, healthy)| ([upstream, server], i64::from(healthy))),
        );
    }

    /// Sets the age of the keys of all providers; [`None`] before the first fetch.
    pub fn provider_keys_ages<'a>(
        &self,
        providers: impl IntoIterator<Item = (&'a str, Option<Duration>)>,
    ) {
        let providers = providers.into_iter();
        self.provider_keys_age.report(providers.map(|(provider, age)| {
            let seconds = age.map_or(-1, |age| i64::try_from(age.as_secs()).unwrap_or(i64::MAX));
            ([provider], seconds)
        }));
    }

    /// Records a reload; `at` in seconds since the epoch.
    pub fn reloaded(&self, succeeded: bool, at: i64) {
        self.reloads.with_label_values(&[result(succeeded)]).inc();
        self.reload_success.set(i64::from(succeeded));
        if succeeded {
            self.reload_time.set(at);
        }
    }

    /// Counts a login attempt by its result.
    pub fn login(&self, result: &str) {
        self.logins.with_label_values(&[result]).inc();
    }

    /// Counts a second factor code by its result.
    pub fn mfa_challenge(&self, result: &str) {
        self.mfa_challenges.with_label_values(&[result]).inc();
    }

    /// Counts a token refresh by its result.
    pub fn refresh(&self, result: &str) {
        self.refreshes.with_label_values(&[result]).inc();
    }

    /// Counts a request or WebSocket in progress that was aborted.
    pub fn stream_closed(&self, reason: &str) {
        self.streams_closed.with_label_values(&[reason]).inc();
    }

    /// Counts a WebSocket that was opened.
    pub fn websocket_opened(&self) {
        self.websocket_handshakes.with_label_values(&["opened"]).inc();
        self.websockets_open.inc();
    }

    /// Counts a WebSocket that was not opened.
    pub fn websocket_rejected(&self) {
        self.websocket_handshakes.with_label_values(&["rejected"]).inc();
    }

    /// Counts a WebSocket that was closed.
    pub fn websocket_closed(&self, reason: &str) {
        self.websockets_closed.with_label_values(&[reason]).inc();
        self.websockets_open.dec();
    }

    /// Counts a request rejected by a rate limit.
    pub fn rate_limited(&self, kind: &str, by: &str) {
        self.rate_limited.with_label_values(&[kind, by]).inc();
    }

    /// Counts an attempt to send a mail by its result.
    pub fn mail(&self, result: &str) {
        self.mails.with_label_values(&[result]).inc();
    }

    /// Sets the number of mails in the outbox and the age of the oldest.
    pub fn outbox(&self, mails: i64, oldest: Duration) {
        self.outbox_mails.set(mails);
        self.outbox_age.set(i64::try_from(oldest.as_secs()).unwrap_or(i64::MAX));
    }

    /// The metrics of revocations.
    pub const fn revocation(&self) -> &RevocationMetrics {
        &self.revocation
    }

    /// Sets whether the backend that all gateways share can be reached.
    pub fn ephemeral_up(&self, up: bool) {
        self.ephemeral_up.set(i64::from(up));
    }

    /// Sets the offset of the local clock from the database's clock; positive if the local clock is ahead.
    pub fn clock_offset(&self, seconds: i64) {
        self.clock_offset.set(seconds);
    }

    /// Sets the number of audit lines dropped since the start.
    pub fn audit_dropped(&self, lines: u64) {
        self.audit_dropped.set(i64::try_from(lines).unwrap_or(i64::MAX));
    }

    /// The text exposition format.
    pub fn render(&self) -> Vec<u8> {
        let mut text = Vec::new();
        if let Err(error) = TextEncoder::new().encode(&self.registry.gather(), &mut text) {
            tracing::error!(%error, "metrics cannot be rendered");
        }
        text
    }
}

const fn result(succeeded: bool) -> &'static str {
    let [yes, no] = RESULTS;
    if succeeded { yes } else { no }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_has_our_prefix_or_is_of_the_process() {
        let metrics = Metrics::new().unwrap();
        let route = metrics.route("/a/{*rest}");
        route.served(200, Duration::from_millis(3));
        let text = String::from_utf8(metrics.render()).unwrap();
        assert!(text.contains(r#"guarita_requests_total{route="/a/{*rest}",status="2xx"} 1"#));
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            assert!(line.starts_with("guarita_") || line.starts_with("process_"), "{line}");
        }
    }

    fn series(metrics: &Metrics) -> Vec<String> {
        let text = String::from_utf8(metrics.render()).unwrap();
        let all = text.lines().filter(|line| line.starts_with("guarita_"));
        all.map(|line| line.rsplit_once(' ').unwrap().0.to_owned()).collect()
    }

    #[test]
    fn series_of_the_configuration_go_with_the_last_that_holds_them() {
        let metrics = Metrics::new().unwrap();
        let before = series(&metrics);
        let (old, new) = (metrics.route("/a"), metrics.route("/a"));
        let servers = [metrics.upstream_server("u", "s"), metrics.upstream_server("u", "s")];
        let providers = [metrics.provider_keys("p"), metrics.provider_keys("p")];
        old.served(200, Duration::ZERO);
        old.served_on_unknown();
        for server in &servers {
            server.failed();
        }
        providers[0].fetched(true);
        providers[1].fetched(false);
        let during = series(&metrics);
        for series in [
            r#"guarita_requests_total{route="/a",status="5xx"}"#,
            r#"guarita_request_duration_seconds_count{route="/a"}"#,
            r#"guarita_on_unknown_served_total{route="/a"}"#,
            r#"guarita_upstream_failures_total{server="s",upstream="u"}"#,
            r#"guarita_provider_key_fetches_total{provider="p",result="failed"}"#,
            r#"guarita_provider_key_fetches_total{provider="p",result="succeeded"}"#,
        ] {
            assert!(during.iter().any(|it| it == series), "{series} in {during:?}");
        }
        // The next snapshot has them too: they go on counting.
        let ([server, _gone], [provider, _]) = (servers, providers);
        drop((old, _gone));
        new.served(200, Duration::ZERO);
        assert_eq!(series(&metrics), during);
        let text = String::from_utf8(metrics.render()).unwrap();
        assert!(text.contains(r#"guarita_requests_total{route="/a",status="2xx"} 2"#), "{text}");
        drop((new, server, provider));
        assert_eq!(series(&metrics), before);
        // What comes back begins anew.
        let _again = metrics.route("/a");
        let text = String::from_utf8(metrics.render()).unwrap();
        assert!(text.contains(r#"guarita_requests_total{route="/a",status="2xx"} 0"#), "{text}");
    }

    #[test]
    fn a_report_removes_what_it_does_not_mention() {
        let metrics = Metrics::new().unwrap();
        let before = series(&metrics);
        metrics.upstreams_healthy([("u", "s", true), ("u", "t", false)]);
        metrics.provider_keys_ages([("p", None), ("q", Some(Duration::from_secs(7)))]);
        metrics.upstreams_healthy([("u", "t", true)]);
        metrics.provider_keys_ages([("p", Some(Duration::from_secs(3)))]);
        let text = String::from_utf8(metrics.render()).unwrap();
        assert!(text.contains(r#"guarita_upstream_healthy{server="t",upstream="u"} 1"#), "{text}");
        assert!(text.contains(r#"guarita_provider_keys_age_seconds{provider="p"} 3"#), "{text}");
        assert_eq!(series(&metrics).len(), before.len() + 2);
        metrics.upstreams_healthy([]);
        metrics.provider_keys_ages([]);
        assert_eq!(series(&metrics), before);
    }
}
