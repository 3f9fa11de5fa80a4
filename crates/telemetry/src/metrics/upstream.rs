//! Metrics of a server of an upstream.

use std::sync::Arc;

use prometheus::IntCounterVec;

use super::lease::{Lease, Leases, Vectors};

/// The counters of one server of an upstream; they are removed with the last of these.
#[derive(Debug)]
pub struct UpstreamServerMetrics(Lease<FailedAttempts, 2>);

impl UpstreamServerMetrics {
    /// Counts a failed attempt to forward a request to it.
    pub fn failed(&self) {
        self.0.vectors().0.with_label_values(&self.0.labels()).inc();
    }

    pub(super) fn new(
        leases: &Arc<Leases<FailedAttempts, 2>>,
        upstream: &str,
        server: &str,
    ) -> Self {
        Self(leases.hold([upstream, server]))
    }
}

/// `guarita_upstream_failures_total`
pub(super) struct FailedAttempts(pub(super) IntCounterVec);

impl Vectors<2> for FailedAttempts {
    fn remove(&self, labels: [&str; 2]) {
        // There is none before the first failure.
        let _ = self.0.remove_label_values(&labels);
    }
}
