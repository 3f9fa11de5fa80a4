//! Ends of requests. A request that is rejected is counted twice: by its code, and by what it reached.

use std::time::Duration;

use super::Telemetry;
use crate::audit::RequestLine;
use crate::metrics::RouteMetrics;
use guarita_core::{Code, Timestamp};

/// A request was rejected.
#[derive(Debug)]
pub struct RequestRejected<'a> {
    /// The request id.
    pub request_id: &'a str,
    /// The code of the rejection.
    pub code: Code,
    /// The status of the response.
    pub status: u16,
}

impl RequestRejected<'_> {
    /// Logs and counts it.
    pub fn emit(self, telemetry: &Telemetry) {
        let Self { request_id, code, status } = self;
        telemetry.metrics().refused(code);
        tracing::debug!(requestId = request_id, code = code.as_str(), status, "request rejected");
    }
}

/// A request ended that no route let through.
#[derive(Debug)]
pub struct RequestUnrouted {
    /// The status of the response.
    pub status: u16,
    /// From the end of the request head to the end of the response.
    pub duration: Duration,
}

impl RequestUnrouted {
    /// Counts it.
    pub fn emit(self, telemetry: &Telemetry) {
        telemetry.metrics().refused_request(self.status, self.duration);
    }
}

/// A request to one of Guarita's own endpoints ended.
#[derive(Debug)]
pub struct OwnRequest {
    /// The status of the response.
    pub status: u16,
    /// From the end of the request head to the end of the response.
    pub duration: Duration,
}

impl OwnRequest {
    /// Counts it.
    pub fn emit(self, telemetry: &Telemetry) {
        telemetry.metrics().own_request(self.status, self.duration);
    }
}

/// Why a request could not be forwarded.
#[derive(Debug)]
pub struct ForwardingFailure<'a> {
    /// The name of the upstream.
    pub upstream: &'a str,
    /// The cause, one of a fixed set.
    pub cause: &'a str,
}

/// A forwarded request ended.
#[derive(Debug)]
pub struct RequestForwarded<'a> {
    /// The audit line.
    pub line: RequestLine<'a>,
    /// The metrics of its route.
    pub route: &'a RouteMetrics,
    /// Why it could not be forwarded.
    pub failure: Option<ForwardingFailure<'a>>,
}

impl RequestForwarded<'_> {
    /// Counts and records it, and logs the failure.
    pub fn emit(self, telemetry: &Telemetry, now: Timestamp) {
        let Self { line, route, failure } = self;
        route.served(line.status, line.duration);
        if let Some(ForwardingFailure { upstream, cause }) = failure {
            tracing::warn!(
                requestId = line.request_id,
                upstream,
                cause,
                status = line.status,
                "forwarding failed"
            );
        }
        telemetry.audit().request(&line, now);
    }
}
