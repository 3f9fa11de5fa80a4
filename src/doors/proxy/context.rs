//! The context of a request, from its first byte to its log line.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::websocket::WebSocket;
use super::{Connection, request_id::RequestId};
use crate::adapters::upstream::Attempt;
use crate::live::{RouteTarget, Snapshot};
use crate::model::{Code, Principal, Timestamp, clock};
use crate::rules::request::CanonicalRequest;
use crate::services::access::Permit;

/// The context of a request. The snapshot is read once, when the context is created.
#[derive(Debug)]
pub struct Context {
    /// The snapshot at the time when the request arrived.
    pub snapshot: Arc<Snapshot>,
    /// The connection; [`None`] only if the proxy was called from outside of the accept loop, and then nothing is
    /// forwarded.
    pub connection: Option<Arc<Connection>>,
    /// When the head was complete.
    pub started: Instant,
    /// The same by the wall clock.
    pub arrived: Timestamp,
    /// Its id.
    pub request_id: RequestId,
    /// The stage that the request has reached.
    pub stage: Stage,
    /// Bytes of the request body seen so far.
    pub received: u64,
    /// The servers tried so far; the last is the current one.
    pub attempts: Vec<Attempt>,
    /// The problem code of the response.
    pub refused: Option<Code>,
    /// The opening or open WebSocket.
    pub(super) websocket: Option<Box<WebSocket>>,
}

/// The stage that a request has reached.
#[derive(Debug)]
pub enum Stage {
    /// Not parsed yet.
    Arrived,
    /// A WebSocket handshake that was not authorized.
    Denied(Box<Denied>),
    /// Handled by an own endpoint.
    Own {
        /// The caller, where proven.
        principal: Option<Principal>,
    },
    /// Authorized to be forwarded.
    Permitted(Box<Passage>),
}

/// An authorized request: what is forwarded, where to, and for whom.
#[derive(Debug)]
pub struct Passage {
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

impl Passage {
    /// Revokes the permit.
    pub(super) fn deny(self) -> Denied {
        Denied { principal: self.permit.principal().cloned(), route: self.route }
    }
}

/// A rejected WebSocket handshake.
#[derive(Debug)]
pub struct Denied {
    /// The route it matched.
    pub route: Arc<RouteTarget>,
    /// The caller, where proven.
    pub principal: Option<Principal>,
}

impl Context {
    /// The context of a new request on the current connection.
    pub fn new(snapshot: Arc<Snapshot>) -> Self {
        Self {
            snapshot,
            connection: Connection::current(),
            started: Instant::now(),
            arrived: clock::now(),
            request_id: RequestId::unread(),
            stage: Stage::Arrived,
            received: 0,
            attempts: Vec::new(),
            refused: None,
            websocket: None,
        }
    }

    /// Positions of the servers tried so far.
    pub fn tried(&self) -> Vec<usize> {
        self.attempts.iter().map(Attempt::server).collect()
    }

    /// The rest of the route's time-out; [`None`] if it has none.
    pub fn time_left(&self) -> Option<Duration> {
        let timeout = self.passage()?.route.timeout?;
        Some(timeout.saturating_sub(self.started.elapsed()))
    }

    /// The authorized request, if it is authorized.
    pub fn passage(&self) -> Option<&Passage> {
        match &self.stage {
            Stage::Permitted(passage) => Some(passage),
            Stage::Arrived | Stage::Denied(_) | Stage::Own { .. } => None,
        }
    }

    /// The route, if known.
    pub fn route(&self) -> Option<&RouteTarget> {
        match &self.stage {
            Stage::Permitted(passage) => Some(&passage.route),
            Stage::Denied(denied) => Some(&denied.route),
            Stage::Arrived | Stage::Own { .. } => None,
        }
    }

    /// The caller, where proven.
    pub fn principal(&self) -> Option<&Principal> {
        match &self.stage {
            Stage::Arrived => None,
            Stage::Denied(denied) => denied.principal.as_ref(),
            Stage::Own { principal } => principal.as_ref(),
            Stage::Permitted(passage) => passage.permit.principal(),
        }
    }
}
