//! What is counted of revocations and of how they come.

use std::time::Duration;

use prometheus::{Histogram, HistogramOpts, IntCounterVec, IntGauge};

use super::{BUCKETS, Registrar};

/// The feed of revocations.
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
                "Whether revocations made by other processes arrive in time.",
            )?,
            lag: to.add(Histogram::with_opts(
                HistogramOpts::new(
                    "guarita_revocation_lag_seconds",
                    "Time from when a revocation was written down, by any process, until it held here.",
                )
                .buckets(BUCKETS.to_vec()),
            )?)?,
            hints: to.counters(
                "guarita_revocation_hints_total",
                "Hints to look for revocations, by the way they came.",
                &["by"],
            )?,
        })
    }

    /// Sets whether the feed is alive.
    pub fn feed_up(&self, up: bool) {
        self.feed_up.set(i64::from(up));
    }

    /// Counts a revocation that was learnt of so long after it was written down.
    pub fn learnt(&self, lag: Duration) {
        self.lag.observe(lag.as_secs_f64());
    }

    /// Counts a hint that was heard.
    pub fn hinted(&self, by: &str) {
        self.hints.with_label_values(&[by]).inc();
    }
}
