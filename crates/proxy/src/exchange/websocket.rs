//! WebSockets: limits, binding to their session, and telemetry of opening and closing.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use http::Version;
use pingora_http::{RequestHeader, ResponseHeader};

use super::context::{AuthorizedRequest, RequestContext};
use super::request_id::RequestId;
use crate::connection::ConnectionInfo;
use crate::revocation::in_flight::PermittedFor;
use crate::revocation::websocket::{
    Owner, WebSocketLimitReached, WebSocketLimiter, WebSocketPermit, WebSocketState,
};
use crate::snapshot::RouteTarget;
use guarita_auth::access::Authenticator;
use guarita_core::websocket::handshake;
use guarita_core::{Code, Principal, time};
use guarita_telemetry::Telemetry;
use guarita_telemetry::events::{Caller, WebSocketClosed, WebSocketOpened, WebSocketRejected};

/// The reason of a WebSocket that was not closed by the gateway.
const BY_AN_END: &str = "ended";
/// The reason of a WebSocket that the upstream did not accept.
const BY_UPSTREAM: &str = "upstream";

/// Whether a request is a WebSocket handshake; no other upgrade is forwarded.
pub(crate) fn is_handshake(request: &RequestHeader) -> bool {
    // Most requests are not even asked further.
    request.version == Version::HTTP_11
        && request.headers.contains_key(http::header::UPGRADE)
        && handshake::is_handshake(request.version, &request.method, &request.headers)
}

/// Whether a response accepts the WebSocket handshake.
pub(crate) fn is_accepted(request: &RequestHeader, answer: &ResponseHeader) -> bool {
    handshake::is_accepted(&request.headers, &answer.headers)
}

/// An opening or open WebSocket. Its end is recorded when it is dropped.
#[derive(Debug)]
pub(crate) struct WebSocket {
    socket: Arc<WebSocketState>,
    held: PermittedFor,
    route: Arc<RouteTarget>,
    opened: Option<Instant>,
    telemetry: Telemetry,
    /// The permit, released with it.
    _place: WebSocketPermit,
}

/// Obtains a permit for an authorized WebSocket, and binds it to its session.
pub(crate) async fn begin(
    judge: &Authenticator,
    sockets: &Arc<WebSocketLimiter>,
    telemetry: Telemetry,
    passage: &AuthorizedRequest,
    context: &RequestContext,
) -> Result<WebSocket, Code> {
    let limits = &context.snapshot.limits;
    let principal = passage.permit.principal();
    let identity = principal.map(Principal::identity);
    let place = sockets
        .acquire(identity.map(Owner::of), limits.websockets_per_user)
        .map_err(|WebSocketLimitReached| Code::RateLimited)?;
    let credential_end = principal.and_then(Principal::ends_at);
    let socket = Arc::new(WebSocketState::new(limits.websocket_idle_timeout, credential_end));
    let held = PermittedFor::of(identity, &context.request_id, Some(Arc::clone(&socket)));
    ConnectionInfo::attach(Some(held.clone()));
    // It may last: what ended after it was judged, and before this was tied to it, would not end it.
    let stands = judge.still_stands(held.marks.as_ref(), held.api_key, time::now()).await;
    if !stands.map_err(|_| Code::Unavailable)? {
        return Err(Code::Unauthorized);
    }
    if let Some(session) = held.session {
        match judge.session_end(session, time::now()).await {
            Ok(Some(end)) => socket.session_ends_at(end),
            Ok(None) => return Err(Code::Unauthorized),
            Err(_) => return Err(Code::Unavailable),
        }
    }
    let route = Arc::clone(&passage.route);
    Ok(WebSocket { socket, held, route, opened: None, telemetry, _place: place })
}

impl WebSocket {
    /// Becomes true when the upstream accepts the handshake.
    pub(crate) fn opening(&self) -> Arc<AtomicBool> {
        self.socket.opening()
    }

    /// The upstream accepted the handshake.
    pub(crate) fn open(&mut self) {
        self.socket.open();
        self.opened = Some(Instant::now());
        WebSocketOpened { caller: self.held.caller(), route: &self.route.label }
            .emit(&self.telemetry, time::now());
    }

    /// Whether the upstream accepted the handshake.
    pub(crate) const fn is_open(&self) -> bool {
        self.opened.is_some()
    }
}

impl Drop for WebSocket {
    fn drop(&mut self) {
        let Some(opened) = self.opened else { return };
        let reason = self.socket.ending().map_or(BY_AN_END, |ending| ending.as_str());
        let (caller, route) = (self.held.caller(), &*self.route.label);
        WebSocketClosed { caller, route, reason, duration: opened.elapsed() }
            .emit(&self.telemetry, time::now());
    }
}

/// A handshake that was rejected by the gateway or by the upstream.
#[derive(Debug)]
pub(crate) struct Rejected<'a> {
    pub(crate) request_id: &'a RequestId,
    pub(crate) route: Option<&'a RouteTarget>,
    pub(crate) principal: Option<&'a Principal>,
    pub(crate) refused: Option<Code>,
    /// The time until it was rejected.
    pub(crate) duration: Duration,
}

impl Rejected<'_> {
    /// Records the rejected handshake.
    pub(crate) fn emit(self, telemetry: &Telemetry) {
        WebSocketRejected {
            caller: Caller::new(self.request_id.as_str(), self.principal.map(Principal::identity)),
            route: self.route.map(|route| &*route.label),
            reason: self.refused.map_or(BY_UPSTREAM, Code::as_str),
            duration: self.duration,
        }
        .emit(telemetry, time::now());
    }
}
