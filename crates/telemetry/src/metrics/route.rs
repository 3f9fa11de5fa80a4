//! Metrics of the requests of one route.

use std::sync::Arc;
use std::time::Duration;

use prometheus::{Histogram, HistogramVec, IntCounter, IntCounterVec};

use super::lease::{Lease, Leases, Vectors};
use crate::metrics::registrar::STATUSES;

/// The series of one route, resolved; they are removed with the last of these.
#[derive(Debug)]
pub struct RouteMetrics {
    statuses: [IntCounter; 5],
    duration: Histogram,
    on_unknown: Option<IntCounter>,
    /// [`None`] for requests without a route, whose series are always there.
    _lease: Option<Lease<RouteVectors, 1>>,
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

    /// The series of a route of the configuration.
    pub(super) fn of_route(leases: &Arc<Leases<RouteVectors, 1>>, label: &str) -> Self {
        // Held first, so that nobody removes them meanwhile.
        let lease = leases.hold([label]);
        let on_unknown = leases.vectors().on_unknown.with_label_values(&[label]);
        let requests = leases.vectors().requests(label);
        Self { on_unknown: Some(on_unknown), _lease: Some(lease), ..requests }
    }
}

/// The vectors by route.
pub(super) struct RouteVectors {
    pub(super) requests: IntCounterVec,
    pub(super) duration: HistogramVec,
    pub(super) on_unknown: IntCounterVec,
}

impl RouteVectors {
    /// The series of requests without a route.
    pub(super) fn requests(&self, label: &str) -> RouteMetrics {
        RouteMetrics {
            statuses: STATUSES.map(|status| self.requests.with_label_values(&[label, status])),
            duration: self.duration.with_label_values(&[label]),
            on_unknown: None,
            _lease: None,
        }
    }
}

impl Vectors<1> for RouteVectors {
    fn remove(&self, [label]: [&str; 1]) {
        // All of them are there: they are created together.
        for status in STATUSES {
            let _ = self.requests.remove_label_values(&[label, status]);
        }
        let _ = self.duration.remove_label_values(&[label]);
        let _ = self.on_unknown.remove_label_values(&[label]);
    }
}
