//! Metrics of the requests of one route.

use std::time::Duration;

use prometheus::{Histogram, HistogramVec, IntCounter, IntCounterVec};

use super::STATUSES;

/// The series of one route, resolved.
#[derive(Clone, Debug)]
pub struct RouteMetrics {
    statuses: [IntCounter; 5],
    duration: Histogram,
    on_unknown: Option<IntCounter>,
}

impl RouteMetrics {
    /// Counts one request; `duration` is from the last byte of its head to the end of the response.
    pub fn served(&self, status: u16, duration: Duration) {
        let class = usize::from(status / 100).saturating_sub(1).min(4);
        if let Some(counter) = self.statuses.get(class) {
            counter.inc();
        }
        self.duration.observe(duration.as_secs_f64());
    }

    /// Counts one request that was allowed by stale session state.
    pub fn served_on_unknown(&self) {
        if let Some(counter) = &self.on_unknown {
            counter.inc();
        }
    }

    pub(super) fn new(
        requests: &IntCounterVec,
        duration: &HistogramVec,
        on_unknown: Option<&IntCounterVec>,
        label: &str,
    ) -> Self {
        Self {
            on_unknown: on_unknown.map(|counters| counters.with_label_values(&[label])),
            statuses: STATUSES.map(|status| requests.with_label_values(&[label, status])),
            duration: duration.with_label_values(&[label]),
        }
    }
}
