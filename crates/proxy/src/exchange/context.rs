//! The context of a request, from its first byte to its log line.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::request_id::RequestId;
use super::websocket::WebSocket;
use crate::connection::ConnectionInfo;
use crate::snapshot::{RouteTarget, Snapshot};
use crate::upstream::UpstreamAttempt;
use guarita_auth::access::Permit;
use guarita_core::http::CanonicalRequest;
use guarita_core::{Code, Principal, Timestamp, time};

/// The context of a request. The snapshot is read once, when the context is created.
#[derive(Debug)]
pub struct RequestContext {
    /// The snapshot at the time when the request arrived.
    pub snapshot: Arc<Snapshot>,
    /// The connection; [`None`] only if the proxy was called from outside of the accept loop, and then nothing is
    /// forwarded.
    pub connection: Option<Arc<ConnectionInfo>>,
    /// When the head was complete.
    pub started: Instant,
    /// The same by the wall clock.
    pub arrived: Timestamp,
    /// Its id.
    pub request_id: RequestId,
    /// The stage that the request has reached.
    pub stage: RequestState,
    /// Bytes of the request body seen so far.
    pub received: u64,
    /// The servers tried so far; the last is the current one.
    pub attempts: Vec<UpstreamAttempt>,
    /// The problem code of the response.
    pub refused: Option<Code>,
    /// The opening or open WebSocket.
    pub(crate) websocket: Option<Box<WebSocket>>,
}

/// The stage that a request has reached.
#[derive(Debug)]
pub enum RequestState {
    /// Not parsed yet.
    Arrived,
    /// A WebSocket handshake that was not authorized.
    Denied(Box<RejectedHandshake>),
    /// Handled by an own endpoint.
    Own {
        /// The caller, where proven.
        principal: Option<Principal>,
    },
    /// Authorized to be forwarded.
    Permitted(Box<AuthorizedRequest>),
}

/// An authorized request: what is forwarded, where to, and for whom.
#[derive(Debug)]
pub struct AuthorizedRequest {
    /// The canonical form.
    pub canonical: CanonicalRequest,
    /// The route it matched.
    pub route: Arc<RouteTarget>,
    /// The permit.
    pub permit: Permit,
    /// Whether it is a WebSocket handshake.
    pub handshake: bool,
    /// Whether stale session state was used.
    pub last_known: bool,
}

impl AuthorizedRequest {
    /// Revokes the permit.
    pub(crate) fn deny(self) -> RejectedHandshake {
        RejectedHandshake { principal: self.permit.principal().cloned(), route: self.route }
    }
}

/// A rejected WebSocket handshake.
#[derive(Debug)]
pub struct RejectedHandshake {
    /// The route it matched.
    pub route: Arc<RouteTarget>,
    /// The caller, where proven.
    pub principal: Option<Principal>,
}

impl RequestContext {
    /// The context of a new request on the current connection.
    pub fn new(snapshot: Arc<Snapshot>) -> Self {
        Self {
            snapshot,
            connection: ConnectionInfo::current(),
            started: Instant::now(),
            arrived: time::now(),
            request_id: RequestId::unread(),
            stage: RequestState::Arrived,
            received: 0,
            attempts: Vec::new(),
            refused: None,
            websocket: None,
        }
    }

    /// Positions of the servers tried so far.
    pub fn tried(&self) -> Vec<usize> {
        self.attempts.iter().map(UpstreamAttempt::server).collect()
    }

    /// The rest of the route's time-out; [`None`] if it has none.
    pub fn time_left(&self) -> Option<Duration> {
        let timeout = self.passage()?.route.timeout?;
        Some(timeout.saturating_sub(self.started.elapsed()))
    }

    /// The authorized request, if it is authorized.
    pub fn passage(&self) -> Option<&AuthorizedRequest> {
        match &self.stage {
            RequestState::Permitted(passage) => Some(passage),
            RequestState::Arrived | RequestState::Denied(_) | RequestState::Own { .. } => None,
        }
    }

    /// The route, if known.
    pub fn route(&self) -> Option<&RouteTarget> {
        match &self.stage {
            RequestState::Permitted(passage) => Some(&passage.route),
            RequestState::Denied(denied) => Some(&denied.route),
            RequestState::Arrived | RequestState::Own { .. } => None,
        }
    }

    /// The caller, where proven.
    pub fn principal(&self) -> Option<&Principal> {
        match &self.stage {
            RequestState::Arrived => None,
            RequestState::Denied(denied) => denied.principal.as_ref(),
            RequestState::Own { principal } => principal.as_ref(),
            RequestState::Permitted(passage) => passage.permit.principal(),
        }
    }
}
