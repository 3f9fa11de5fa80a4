//! Rate limits.

use super::{Origin, Telemetry};
use crate::audit::{Event, Name};
use guarita_core::Timestamp;

/// A request was rejected by a rate limit.
#[derive(Debug)]
pub struct RateLimited<'a> {
    /// The request.
    pub origin: Origin<'a>,
    /// The kind of request.
    pub kind: &'static str,
    /// What was counted.
    pub by: &'static str,
}

impl RateLimited<'_> {
    /// Counts and records it.
    pub fn emit(self, telemetry: &Telemetry, now: Timestamp) {
        let Self { origin, kind, by } = self;
        telemetry.metrics().rate_limited(kind, by);
        let reason = format!("{kind} by {by}");
        let event = Event { reason: Some(&reason), ..origin.event(Name::RateLimited) };
        telemetry.record(&event, now);
    }
}
