//! Telemetry: log, audit files, metrics.

pub mod redact;
pub mod log;
pub mod audit;
pub mod metrics;
pub mod events;

pub use audit::{Audit, RequestLine};
pub use events::Telemetry;
pub use metrics::{
    Metrics, ProviderKeyMetrics, RevocationMetrics, RouteMetrics, UpstreamServerMetrics,
};
