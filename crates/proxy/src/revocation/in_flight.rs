//! Requests in progress by the session, API key or provider token that they were authorized for, so that a
//! revocation can abort them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::task::AbortHandle;

use crate::exchange::request_id::RequestId;
use crate::revocation::websocket::WebSocketState;
use guarita_core::revocation_key::RevocationKey;
use guarita_core::{ApiKeyId, Identity, RevocationKeys, SessionId, UserId};
use guarita_telemetry::events::Caller;

/// The credential that a request was authorized for.
#[derive(Clone, Debug)]
pub struct PermittedFor {
    /// The session, if it depends on one.
    pub session: Option<SessionId>,
    /// The named API key, if it depends on one.
    pub api_key: Option<ApiKeyId>,
    /// The revocation keys of the provider token, if it depends on one.
    pub marks: Option<Arc<RevocationKeys>>,
    /// The subject.
    pub user: Option<UserId>,
    /// The request id.
    pub request_id: RequestId,
    /// The opening or open WebSocket.
    pub socket: Option<Arc<WebSocketState>>,
}

impl PermittedFor {
    /// What a request of this caller depends on; [`None`] if nothing.
    pub(crate) fn of(
        identity: Option<&Identity>,
        request_id: &RequestId,
        socket: Option<Arc<WebSocketState>>,
    ) -> Self {
        Self {
            session: identity.and_then(Identity::session),
            api_key: identity.and_then(Identity::api_key),
            marks: identity.and_then(Identity::marks).cloned(),
            user: identity.and_then(Identity::user),
            request_id: request_id.clone(),
            socket,
        }
    }

    /// Whether it depends on a token with this revocation key.
    pub fn hangs_on(&self, mark: &RevocationKey) -> bool {
        self.marks.iter().any(|marks| marks.iter().any(|own| own == mark))
    }

    /// What events about it say of the caller.
    pub fn caller(&self) -> Caller<'_> {
        let Self { user, session, api_key, .. } = *self;
        Caller { request_id: self.request_id.as_str(), user, session, api_key }
    }
}

/// The handle of a task that serves requests: an HTTP/1.1 connection or an HTTP/2 stream.
#[derive(Debug, Default)]
pub struct RequestHandle(Mutex<HandleState>);

#[derive(Debug, Default)]
struct HandleState {
    held: Option<PermittedFor>,
    /// Number of requests so far, including the current one.
    exchanges: u64,
    task: Option<AbortHandle>,
    cut: bool,
}

impl RequestHandle {
    /// Sets the task that an abort ends.
    pub fn bind(&self, task: AbortHandle) {
        let mut state = self.lock();
        if state.cut {
            task.abort();
        }
        state.task = Some(task);
    }

    /// Aborts the task if this request is still in progress; nothing more is sent. Returns whether it was.
    pub fn abort(&self, exchange: u64) -> bool {
        let mut state = self.lock();
        if state.held.is_none() || state.exchanges != exchange {
            return false;
        }
        state.cut = true;
        if let Some(task) = &state.task {
            task.abort();
        }
        true
    }

    /// The current WebSocket, if any.
    pub fn socket(&self) -> Option<Arc<WebSocketState>> {
        self.lock().held.as_ref()?.socket.clone()
    }

    /// Sets what the current request was authorized for.
    pub(crate) fn attach(&self, held: Option<PermittedFor>) {
        let mut state = self.lock();
        state.exchanges += u64::from(held.is_some());
        state.held = held;
    }

    fn lock(&self) -> MutexGuard<'_, HandleState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All requests in progress in this process.
#[derive(Debug, Default)]
pub struct InFlightRequests {
    all: Mutex<HashMap<u64, Arc<RequestHandle>>>,
    next: AtomicU64,
}

/// A registered handle; unregistered when dropped.
#[derive(Debug)]
pub struct InFlightGuard {
    tethers: Arc<InFlightRequests>,
    number: u64,
    tether: Arc<RequestHandle>,
}

impl InFlightRequests {
    /// Registers a new handle.
    pub fn tie(self: &Arc<Self>) -> InFlightGuard {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let tether = Arc::new(RequestHandle::default());
        self.lock().insert(number, Arc::clone(&tether));
        InFlightGuard { tethers: Arc::clone(self), number, tether }
    }

    /// The requests in progress that depend on a credential, each with its number on its handle.
    pub fn held(&self) -> Vec<(Arc<RequestHandle>, u64, PermittedFor)> {
        let held = |tether: &Arc<RequestHandle>| {
            let state = tether.lock();
            Some((Arc::clone(tether), state.exchanges, state.held.clone()?))
        };
        self.lock().values().filter_map(held).collect()
    }

    /// Those that are WebSockets.
    pub fn sockets(&self) -> Vec<(Arc<RequestHandle>, u64, PermittedFor)> {
        let mut held = self.held();
        held.retain(|(_, _, held)| held.socket.is_some());
        held
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Arc<RequestHandle>>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl InFlightGuard {
    /// The handle.
    pub const fn tether(&self) -> &Arc<RequestHandle> {
        &self.tether
    }
}

impl Drop for InFlightGuard {
    fn drop(&mut self) {
        self.tethers.lock().remove(&self.number);
    }
}
