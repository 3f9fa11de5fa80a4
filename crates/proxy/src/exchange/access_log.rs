//! Metrics and the audit line at the end of a request.

use pingora_core::Error;
use pingora_proxy::Session;

use super::context::{RequestContext, RequestState};
use super::response;
use super::websocket::{self, Rejected};
use guarita_telemetry::events::{
    ForwardingFailure, OwnRequest, RequestForwarded, RequestRejected, RequestUnrouted,
};
use guarita_telemetry::{RequestLine, Telemetry};

/// The status recorded if the client disconnected before the response.
const CALLER_LEFT: u16 = 499;

/// Counts the request and, if it was forwarded, writes its audit line.
pub(crate) fn finished(
    telemetry: &Telemetry,
    session: &Session,
    error: Option<&Error>,
    context: &RequestContext,
) {
    let status = response::final_status(session).map_or(CALLER_LEFT, |status| status.as_u16());
    let duration = context.started.elapsed();
    let now = context.arrived.plus(duration);
    if let Some(code) = context.refused {
        RequestRejected { request_id: context.request_id.as_str(), code, status }.emit(telemetry);
    }
    let is_open = context.websocket.as_ref().is_some_and(|websocket| websocket.is_open());
    if is_handshake(session, context) && !is_open {
        Rejected {
            request_id: &context.request_id,
            route: context.route(),
            principal: context.principal(),
            refused: context.refused,
            duration,
        }
        .emit(telemetry);
    }
    match &context.stage {
        RequestState::Arrived | RequestState::Denied(_) => {
            RequestUnrouted { status, duration }.emit(telemetry);
        }
        RequestState::Own { .. } => OwnRequest { status, duration }.emit(telemetry),
        RequestState::Permitted(passage) => {
            let line = RequestLine {
                request_id: context.request_id.as_str(),
                principal: passage.permit.principal(),
                method: session.req_header().method.as_str(),
                path: passage.canonical.path(),
                status,
                duration,
                last_known: passage.last_known,
            };
            let failure = error.map(|error| ForwardingFailure {
                upstream: &passage.route.upstream.settings().name,
                cause: error.etype().as_str(),
            });
            RequestForwarded { line, route: &passage.route.metrics, failure }.emit(telemetry, now);
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
