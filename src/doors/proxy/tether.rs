//! Requests in progress by the session, API key or provider token that they were authorized for, so that a
//! revocation can abort them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::task::AbortHandle;

use super::request_id::RequestId;
use super::socket::Socket;
use crate::adapters::telemetry::{Event, Name};
use crate::model::token_mark::Mark;
use crate::model::{ApiKeyId, Identity, SessionId, TokenMarks, UserId};

/// For whom an exchange goes on.
#[derive(Clone, Debug)]
pub struct Held {
    /// The session, where it hangs on one.
    pub session: Option<SessionId>,
    /// The named key, where it hangs on one.
    pub api_key: Option<ApiKeyId>,
    /// What the provider's token can be revoked by, where it hangs on one.
    pub marks: Option<Arc<TokenMarks>>,
    /// Whose.
    pub user: Option<UserId>,
    /// Under which request.
    pub request_id: RequestId,
    /// The WebSocket that it is, or is to become.
    pub socket: Option<Arc<Socket>>,
}

impl Held {
    /// What a request for that caller hangs on.
    pub(super) fn of(
        identity: Option<&Identity>,
        request_id: &RequestId,
        socket: Option<Arc<Socket>>,
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

    /// Whether tokens with that mark are what it hangs on.
    pub fn hangs_on(&self, mark: &Mark) -> bool {
        self.marks.iter().any(|marks| marks.iter().any(|own| own == mark))
    }

    /// What happened to it, for the audit.
    pub fn event(&self, name: Name) -> Event<'_> {
        Event {
            request_id: Some(self.request_id.as_str()),
            user: self.user,
            session: self.session,
            api_key: self.api_key,
            ..Event::new(name)
        }
    }
}

/// The tie of one task that serves requests: a connection of HTTP/1.1, a stream of HTTP/2.
#[derive(Debug, Default)]
pub struct Tether(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    held: Option<Held>,
    /// How many exchanges there were, the current one included.
    exchanges: u64,
    task: Option<AbortHandle>,
    cut: bool,
}

impl Tether {
    /// The task that ends when the tether is cut.
    pub fn bind(&self, task: AbortHandle) {
        let mut state = self.lock();
        if state.cut {
            task.abort();
        }
        state.task = Some(task);
    }

    /// Ends the task where it stands, if this exchange is still under way: what was not sent yet
    /// never is. Whether it was.
    pub fn cut(&self, exchange: u64) -> bool {
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

    /// The WebSocket that is being carried, if any.
    pub fn socket(&self) -> Option<Arc<Socket>> {
        self.lock().held.as_ref()?.socket.clone()
    }

    /// From here on the exchange goes on for somebody, or nobody.
    pub(super) fn hold(&self, held: Option<Held>) {
        let mut state = self.lock();
        state.exchanges += u64::from(held.is_some());
        state.held = held;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All tethers of this process.
#[derive(Debug, Default)]
pub struct Tethers {
    all: Mutex<HashMap<u64, Arc<Tether>>>,
    next: AtomicU64,
}

/// A tether in the list of all; leaves it when dropped.
#[derive(Debug)]
pub struct Tied {
    tethers: Arc<Tethers>,
    number: u64,
    tether: Arc<Tether>,
}

impl Tethers {
    /// A new tether.
    pub fn tie(self: &Arc<Self>) -> Tied {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let tether = Arc::new(Tether::default());
        self.lock().insert(number, Arc::clone(&tether));
        Tied { tethers: Arc::clone(self), number, tether }
    }

    /// The exchanges that are under way for somebody, each with its number on its tether.
    pub fn held(&self) -> Vec<(Arc<Tether>, u64, Held)> {
        let held = |tether: &Arc<Tether>| {
            let state = tether.lock();
            Some((Arc::clone(tether), state.exchanges, state.held.clone()?))
        };
        self.lock().values().filter_map(held).collect()
    }

    /// Those of them that are WebSockets.
    pub fn sockets(&self) -> Vec<(Arc<Tether>, u64, Held)> {
        let mut held = self.held();
        held.retain(|(_, _, held)| held.socket.is_some());
        held
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Arc<Tether>>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tied {
    /// The tether.
    pub const fn tether(&self) -> &Arc<Tether> {
        &self.tether
    }
}

impl Drop for Tied {
    fn drop(&mut self) {
        self.tethers.lock().remove(&self.number);
    }
}
