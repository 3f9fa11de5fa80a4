//! Aborts requests in progress whose session ended or whose API key or provider token was revoked, and closes
//! WebSockets that expire, are idle or are open when the gateway stops.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};

use crate::revocation::{
    InFlightRequests, PermittedFor, RequestHandle, WebSocketLimiter, WebSocketState,
};
use guarita_auth::api_key;
use guarita_auth::session::{SessionCache, SessionStatus};
use guarita_core::websocket::Ending;
use guarita_core::{Timestamp, time};
use guarita_store::Change;
use guarita_telemetry::Telemetry;
use guarita_telemetry::events::StreamClosed;

/// Maximum number of changes processed together.
const BATCH: usize = 1_000;

/// How long a request may take to complete after its session ended; how long a WebSocket may take to reach a frame
/// boundary.
const CLOSE_GRACE: Duration = Duration::from_millis(250);

/// Interval of the checks for expired and idle WebSockets.
const PERIOD: Duration = Duration::from_millis(500);

/// Aborts the requests of ended sessions and of revoked keys.
#[derive(Clone)]
pub struct RevocationWatcher {
    pub registry: SessionCache,
    pub api_keys: Arc<api_key::ApiKeyCache>,
    pub tethers: Arc<InFlightRequests>,
    pub sockets: Arc<WebSocketLimiter>,
    pub telemetry: Telemetry,
}

/// A request to abort, with its number on its connection.
type InFlightExchange = (Arc<RequestHandle>, u64, PermittedFor);

impl RevocationWatcher {
    /// Follows the changes forever; drop it to stop.
    pub async fn run(self) {
        let mut changes = self.registry.changes();
        let mut ticks = tokio::time::interval(PERIOD);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                batch = next(&mut changes) => match batch {
                    Some(batch) => self.end_revoked(&batch).await,
                    None => return,
                },
                _ = ticks.tick() => self.close_expired().await,
            }
        }
    }

    async fn end_revoked(&self, batch: &[Change]) {
        let mut ended = Vec::new();
        for exchange in self.tethers.held() {
            if self.ended(&exchange.2, batch).await {
                if let Some(socket) = &exchange.2.socket {
                    socket.end(Ending::Revoked);
                }
                ended.push(exchange);
            }
        }
        self.abort_after_grace(ended);
    }

    /// Closes WebSockets whose token or session expired, and idle ones.
    async fn close_expired(&self) {
        if self.sockets.is_empty() {
            return;
        }
        let now = time::now();
        let mut ended = Vec::new();
        for exchange in self.tethers.sockets() {
            let Some(socket) = &exchange.2.socket else { continue };
            if let Some(ending) = self.overdue(&exchange.2, socket, now).await {
                socket.end(ending);
                ended.push(exchange);
            }
        }
        self.abort_after_grace(ended);
    }

    /// Closes every WebSocket, and those that are opened meanwhile, until dropped: used when the gateway stops.
    pub async fn end_sockets(&self, ending: Ending) {
        let mut ticks = tokio::time::interval(PERIOD);
        loop {
            ticks.tick().await;
            let ended = self.tethers.sockets();
            for socket in ended.iter().filter_map(|(_, _, held)| held.socket.as_ref()) {
                socket.end(ending);
            }
            self.abort_after_grace(ended);
        }
    }

    async fn overdue(
        &self,
        held: &PermittedFor,
        socket: &WebSocketState,
        now: Timestamp,
    ) -> Option<Ending> {
        if socket.is_expired(now) || self.is_session_over(held, socket, now).await {
            return Some(Ending::Expired);
        }
        socket.is_idle().then_some(Ending::Idle)
    }

    /// Checks again at the known expiry, because a browser session that is used is extended.
    async fn is_session_over(
        &self,
        held: &PermittedFor,
        socket: &WebSocketState,
        now: Timestamp,
    ) -> bool {
        let Some(session) = held.session.filter(|_| socket.is_due(now)) else { return false };
        match self.registry.status(session, now).await {
            Ok(SessionStatus::Active { expires_at, .. }) if expires_at > now => {
                socket.session_ends_at(expires_at);
                false
            }
            Ok(SessionStatus::Active { .. } | SessionStatus::Inactive) | Err(_) => true,
        }
    }

    fn abort_after_grace(&self, ended: Vec<InFlightExchange>) {
        if !ended.is_empty() {
            tokio::spawn(self.clone().abort(ended));
        }
    }

    /// Gives responses and close frames the grace period, then aborts.
    async fn abort(self, ended: Vec<InFlightExchange>) {
        tokio::time::sleep(CLOSE_GRACE).await;
        for (tether, exchange, held) in ended {
            // An open WebSocket writes down its own end.
            let is_open = held.socket.as_ref().is_some_and(|socket| socket.is_open());
            if tether.abort(exchange) && !is_open {
                StreamClosed { caller: held.caller(), reason: Ending::Revoked.as_str() }
                    .emit(&self.telemetry, time::now());
            }
        }
    }

    /// Whether these changes end its session, key or token. If that cannot be determined, it is ended.
    async fn ended(&self, held: &PermittedFor, changes: &[Change]) -> bool {
        let concerns = |change: &Change| match change {
            Change::Session(session) => Some(*session) == held.session,
            Change::User(user) => Some(*user) == held.user,
            Change::ApiKey(key) => Some(*key) == held.api_key,
            Change::Keys => false,
            // A client asks and is answered: nothing of it goes on.
            Change::Clients => false,
            Change::Tokens(revoked) => held.hangs_on(&revoked.mark),
            Change::Unknown => true,
        };
        if !changes.iter().any(concerns) {
            return false;
        }
        let now = time::now();
        if let Some(session) = held.session
            && !matches!(self.registry.ask(session, now).await, Ok(SessionStatus::Active { .. }))
        {
            return true;
        }
        if let Some(marks) = &held.marks
            && self.registry.is_token_revoked(None, Arc::clone(marks)).await.unwrap_or(true)
        {
            return true;
        }
        match held.api_key {
            Some(key) => !self.api_keys.is_live(key, now).await.unwrap_or(false),
            None => false,
        }
    }
}

/// The changes since the last call; [`None`] at the end.
async fn next(changes: &mut Receiver<Change>) -> Option<Vec<Change>> {
    let mut batch = vec![match changes.recv().await {
        Ok(change) => change,
        // Some were missed: any session may have ended.
        Err(RecvError::Lagged(_)) => Change::Unknown,
        Err(RecvError::Closed) => return None,
    }];
    while batch.len() < BATCH {
        match changes.try_recv() {
            Ok(change) => batch.push(change),
            Err(TryRecvError::Lagged(_)) => batch.push(Change::Unknown),
            Err(TryRecvError::Empty | TryRecvError::Closed) => break,
        }
    }
    Some(batch)
}
