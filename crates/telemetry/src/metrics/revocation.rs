//! Metrics of revocations and of the change feed.

use std::time::Duration;

use prometheus::{Histogram, HistogramOpts, IntCounterVec, IntGauge};

use crate::metrics::registrar::{BUCKETS, Registrar};

/// The metrics of the change feed.
#[derive(Debug)]
pub struct RevocationMetrics {
    feed_up: IntGauge,
    lag: Histogram,
    hints: IntCounterVec,
}

impl RevocationMetrics {
    pub(super) fn new(to: &Registrar<'_>) -> Result<Self, prometheus::Error> {
        Ok(Self {
            feed_up: to.gauge(
                "guarita_revocation_feed_up",
                "Whether the feed of revocations made by other processes is up to date.",
            )?,
            lag: to.add(Histogram::with_opts(
                HistogramOpts::new(
                    "guarita_revocation_lag_seconds",
                    "Time from the write of a revocation by any process until it took effect here.",
                )
                .buckets(BUCKETS.to_vec()),
            )?)?,
            hints: to.counters(
                "guarita_revocation_hints_total",
                "Notifications of new revocations, by channel.",
                &["by"],
            )?,
        })
    }

    /// Sets whether the feed is up to date.
    pub fn feed_up(&self, up: bool) {
        self.feed_up.set(i64::from(up));
    }

    /// Observes the delay between the write of a revocation and its effect here.
    pub fn learnt(&self, lag: Duration) {
        self.lag.observe(lag.as_secs_f64());
    }

    /// Counts a notification that was received.
    pub fn hinted(&self, by: &str) {
        self.hints.with_label_values(&[by]).inc();
    }
}
