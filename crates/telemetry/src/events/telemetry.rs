//! What events are written to.

use std::sync::Arc;

use crate::audit::{Audit, Event};
use crate::metrics::Metrics;
use guarita_core::Timestamp;

/// The metrics and the audit files; cheap to clone. The log needs no handle.
#[derive(Clone, Debug)]
pub struct Telemetry {
    metrics: Arc<Metrics>,
    audit: Audit,
}

impl Telemetry {
    /// Bundles both.
    pub const fn new(metrics: Arc<Metrics>, audit: Audit) -> Self {
        Self { metrics, audit }
    }

    /// The metrics.
    pub const fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// The audit files.
    pub const fn audit(&self) -> &Audit {
        &self.audit
    }

    /// Writes one audit line.
    pub(super) fn record(&self, event: &Event<'_>, now: Timestamp) {
        self.audit.record(event, now);
    }
}
