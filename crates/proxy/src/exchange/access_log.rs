//! Metrics and the audit line at the end of a request.

use pingora_core::Error;
use pingora_proxy::Session;

use super::context::{RequestContext, RequestState};
use super::response;
use super::websocket::{self, Rejected, RequestTelemetry};
use guarita_telemetry::RequestLine;

/// The status recorded if the client disconnected before the response.
const CALLER_LEFT: u16 = 499;

/// Counts the request and, if it was forwarded, writes its audit line.
pub(crate) fn finished(
    ledger: &RequestTelemetry,
    session: &Session,
    error: Option<&Error>,
    context: &RequestContext,
) {
    let RequestTelemetry { metrics, audit } = ledger;
    let status = response::final_status(session).map_or(CALLER_LEFT, |status| status.as_u16());
    let duration = context.started.elapsed();
    let now = context.arrived.plus(duration);
    if let Some(code) = context.refused {
        metrics.refused(code);
        tracing::debug!(
            requestId = context.request_id.as_str(),
            code = code.as_str(),
            status,
            "request rejected"
        );
    }
    let is_open = context.websocket.as_ref().is_some_and(|websocket| websocket.is_open());
    if is_handshake(session, context) && !is_open {
        ledger.rejected(&Rejected {
            request_id: &context.request_id,
            route: context.route(),
            principal: context.principal(),
            refused: context.refused,
            duration,
        });
    }
    match &context.stage {
        RequestState::Arrived | RequestState::Denied(_) => {
            metrics.refused_request(status, duration)
        }
        RequestState::Own { .. } => metrics.own_request(status, duration),
        RequestState::Permitted(passage) => {
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
                    last_known: passage.last_known,
                },
                now,
            );
        }
    }
}

/// Whether the request was a WebSocket handshake.
fn is_handshake(session: &Session, context: &RequestContext) -> bool {
    match &context.stage {
        RequestState::Arrived => websocket::is_handshake(session.req_header()),
        RequestState::Denied(_) => true,
        RequestState::Own { .. } => false,
        RequestState::Permitted(passage) => passage.handshake,
    }
}
