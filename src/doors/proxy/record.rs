//! What is written down once a request is over: metrics and the audit line.

use pingora_core::Error;
use pingora_proxy::Session;

use super::context::{Context, Stage};
use crate::adapters::telemetry::{Audit, Metrics, RequestLine};

/// Status written down for a caller that left before an answer.
const CALLER_LEFT: u16 = 499;

/// Counts the request and, if it was forwarded, writes its audit line.
pub(super) fn finished(
    metrics: &Metrics,
    audit: &Audit,
    session: &Session,
    error: Option<&Error>,
    context: &Context,
) {
    let status = session.response_written().map_or(CALLER_LEFT, |head| head.status.as_u16());
    let duration = context.started.elapsed();
    let now = context.arrived.plus(duration);
    if let Some(code) = context.refused {
        metrics.refused(code);
        tracing::debug!(
            requestId = context.request_id.as_str(),
            code = code.as_str(),
            status,
            "request refused"
        );
    }
    match &context.stage {
        Stage::Arrived => metrics.refused_request(status, duration),
        Stage::Own { .. } => metrics.own_request(status, duration),
        Stage::Permitted(passage) => {
            passage.route.metrics.served(status, duration);
            if let Some(error) = error {
                tracing::warn!(
                    requestId = context.request_id.as_str(),
                    upstream = &*passage.route.upstream.settings().name,
                    cause = %error.etype().as_str(),
                    status,
                    "forwarding failed"
                );
            }
            audit.request(
                &RequestLine {
                    request_id: context.request_id.as_str(),
                    principal: passage.permit.principal(),
                    method: session.req_header().method.as_str(),
                    path: passage.canonical.path(),
                    status,
                    duration,
                },
                now,
            );
        }
    }
}
