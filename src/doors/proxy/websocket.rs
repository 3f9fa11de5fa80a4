//! What the gateway does about a WebSocket beside judging it: counts it, ties it to its session, writes
//! down how it began and ended (contract section 7).

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use http::Version;
use pingora_http::{RequestHeader, ResponseHeader};

use super::Connection;
use super::context::{Context, Passage};
use super::request_id::RequestId;
use super::socket::{Full, Owner, Place, Socket, Sockets};
use super::tether::Held;
use crate::adapters::telemetry::{Audit, Event, Metrics, Name};
use crate::live::RouteTarget;
use crate::model::{Code, Identity, Principal, clock};
use crate::rules::websocket::handshake;
use crate::services::access::Judge;

/// Why one ended that was not ended by us.
const BY_AN_END: &str = "ended";
/// Why one did not begin that was not refused by us: the upstream did not take the handshake.
const BY_UPSTREAM: &str = "upstream";

/// Whether a request opens a WebSocket; nothing else is forwarded as an upgrade.
pub(super) fn is_handshake(request: &RequestHeader) -> bool {
    // Most requests are not even asked further.
    request.version == Version::HTTP_11
        && request.headers.contains_key(http::header::UPGRADE)
        && handshake::is_handshake(request.version, &request.method, &request.headers)
}

/// Whether an answer opens the WebSocket that was asked for.
pub(super) fn is_accepted(request: &RequestHeader, answer: &ResponseHeader) -> bool {
    handshake::is_accepted(&request.headers, &answer.headers)
}

/// Where it is written down.
#[derive(Clone, Debug)]
pub(super) struct Ledger {
    pub(super) metrics: Arc<Metrics>,
    pub(super) audit: Audit,
}

/// One WebSocket under way. Its end is written down when it is dropped, however that comes.
#[derive(Debug)]
pub(super) struct WebSocket {
    socket: Arc<Socket>,
    held: Held,
    route: Arc<RouteTarget>,
    opened: Option<Instant>,
    ledger: Ledger,
    /// Given back with it.
    _place: Place,
}

/// Makes room for a WebSocket that may pass, and ties it to its session.
pub(super) async fn begin(
    judge: &Judge,
    sockets: &Arc<Sockets>,
    ledger: Ledger,
    passage: &Passage,
    context: &Context,
) -> Result<WebSocket, Code> {
    let limits = &context.snapshot.limits;
    let principal = passage.permit.principal();
    let identity = principal.map(Principal::identity);
    let place = sockets
        .admit(identity.map(Owner::of), limits.websockets_per_user)
        .map_err(|Full| Code::RateLimited)?;
    let credential_end = principal.and_then(Principal::ends_at);
    let socket = Arc::new(Socket::new(limits.websocket_idle_timeout, credential_end));
    let held = Held::of(identity, &context.request_id, Some(Arc::clone(&socket)));
    Connection::hold(Some(held.clone()));
    // It may last: what ended after it was judged, and before this was tied to it, would not end it.
    let stands = judge.still_stands(held.marks.as_ref(), held.api_key, clock::now()).await;
    if !stands.map_err(|_| Code::Unavailable)? {
        return Err(Code::Unauthorized);
    }
    if let Some(session) = held.session {
        match judge.session_end(session, clock::now()).await {
            Ok(Some(end)) => socket.session_ends_at(end),
            Ok(None) => return Err(Code::Unauthorized),
            Err(_) => return Err(Code::Unavailable),
        }
    }
    let route = Arc::clone(&passage.route);
    Ok(WebSocket { socket, held, route, opened: None, ledger, _place: place })
}

impl WebSocket {
    /// Becomes true when the upstream takes the handshake.
    pub(super) fn opening(&self) -> Arc<AtomicBool> {
        self.socket.opening()
    }

    /// The upstream took the handshake.
    pub(super) fn open(&mut self) {
        self.socket.open();
        self.opened = Some(Instant::now());
        self.ledger.metrics.websocket_opened();
        self.ledger.record(Name::WebSocketOpened, &self.event());
    }

    /// Whether the upstream took the handshake.
    pub(super) const fn is_open(&self) -> bool {
        self.opened.is_some()
    }

    fn event(&self) -> Event<'_> {
        Event { route: Some(&self.route.label), ..self.held.event(Name::WebSocketOpened) }
    }
}

impl Drop for WebSocket {
    fn drop(&mut self) {
        let Some(opened) = self.opened else { return };
        let reason = self.socket.ending().map_or(BY_AN_END, |ending| ending.as_str());
        self.ledger.metrics.websocket_closed(reason);
        let duration = Some(opened.elapsed());
        let event = Event { reason: Some(reason), duration, ..self.event() };
        self.ledger.record(Name::WebSocketClosed, &event);
    }
}

/// A handshake that was not let in, or that the upstream did not take.
#[derive(Debug)]
pub(super) struct Rejected<'a> {
    pub(super) request_id: &'a RequestId,
    pub(super) route: Option<&'a RouteTarget>,
    pub(super) principal: Option<&'a Principal>,
    pub(super) refused: Option<Code>,
    /// How long it took to be rejected.
    pub(super) duration: Duration,
}

impl Ledger {
    /// Writes it down.
    pub(super) fn rejected(&self, rejected: &Rejected<'_>) {
        self.metrics.websocket_rejected();
        let identity = rejected.principal.map(Principal::identity);
        let event = Event {
            request_id: Some(rejected.request_id.as_str()),
            user: identity.and_then(Identity::user),
            session: identity.and_then(Identity::session),
            api_key: identity.and_then(Identity::api_key),
            route: rejected.route.map(|route| &*route.label),
            reason: Some(rejected.refused.map_or(BY_UPSTREAM, Code::as_str)),
            duration: Some(rejected.duration),
            ..Event::new(Name::WebSocketRejected)
        };
        self.record(Name::WebSocketRejected, &event);
    }

    fn record(&self, name: Name, event: &Event<'_>) {
        self.audit.record(&Event { name, ..*event }, clock::now());
    }
}
