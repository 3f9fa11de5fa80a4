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

/// The context of one request. The snapshot is read once, when it is made.
#[derive(Debug)]
pub struct Context {
    /// The picture in force when the request arrived.
    pub snapshot: Arc<Snapshot>,
    /// The connection; `None` only if the gateway was entered from outside the accept loop, and
    /// then nothing is forwarded.
    pub connection: Option<Arc<Connection>>,
    /// When the head was complete.
    pub started: Instant,
    /// The same moment by the wall clock.
    pub arrived: Timestamp,
    /// Its id.
    pub request_id: RequestId,
    /// How far it came.
    pub stage: Stage,
    /// Bytes of the request body seen so far.
    pub received: u64,
    /// The servers asked so far, the last being the current one.
    pub attempts: Vec<Attempt>,
    /// The refusal that was answered.
    pub refused: Option<Code>,
    /// The WebSocket that it is, or is to become.
    pub(super) websocket: Option<Box<WebSocket>>,
}

/// How far a request came.
#[derive(Debug)]
pub enum Stage {
    /// Nothing is known yet.
    Arrived,
    /// A WebSocket that its route did not let in.
    Denied(Box<Denied>),
    /// It was answered here: an own endpoint.
    Own {
        /// The caller, where proven.
        principal: Option<Principal>,
    },
    /// It may be forwarded.
    Permitted(Box<Passage>),
}

/// A permitted request: what is forwarded, where, and for whom.
#[derive(Debug)]
pub struct Passage {
    /// The one canonical form.
    pub canonical: CanonicalRequest,
    /// The route it matched.
    pub route: Arc<RouteTarget>,
    /// The leave to forward it.
    pub permit: Permit,
    /// Whether it opens a WebSocket.
    pub handshake: bool,
    /// Whether the caller was taken for who it was last known to be.
    pub last_known: bool,
}

impl Passage {
    /// Takes the leave back.
    pub(super) fn deny(self) -> Denied {
        Denied { principal: self.permit.principal().cloned(), route: self.route }
    }
}

/// What a handshake asked for in vain, and who.
#[derive(Debug)]
pub struct Denied {
    /// The route it matched.
    pub route: Arc<RouteTarget>,
    /// The caller, where proven.
    pub principal: Option<Principal>,
}

impl Context {
    /// A new request on the current connection.
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

    /// Positions of the servers asked so far.
    pub fn tried(&self) -> Vec<usize> {
        self.attempts.iter().map(Attempt::server).collect()
    }

    /// What is left of the route's time; `None` where it has no bound.
    pub fn time_left(&self) -> Option<Duration> {
        let timeout = self.passage()?.route.timeout?;
        Some(timeout.saturating_sub(self.started.elapsed()))
    }

    /// The passage, once permitted.
    pub fn passage(&self) -> Option<&Passage> {
        match &self.stage {
            Stage::Permitted(passage) => Some(passage),
            Stage::Arrived | Stage::Denied(_) | Stage::Own { .. } => None,
        }
    }

    /// The route, once known.
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
