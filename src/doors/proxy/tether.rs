//! What ties an exchange that is under way to the session it was permitted for.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::task::AbortHandle;

use super::request_id::RequestId;
use crate::model::{SessionId, UserId};

/// For whom an exchange goes on.
#[derive(Clone, Debug)]
pub struct Held {
    /// The session.
    pub session: SessionId,
    /// Whose.
    pub user: Option<UserId>,
    /// Under which request.
    pub request_id: RequestId,
}

/// The tie of one task that serves requests: a connection of HTTP/1.1, a stream of HTTP/2.
#[derive(Debug, Default)]
pub struct Tether(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    held: Option<Held>,
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

    /// For whom an exchange is under way.
    pub fn held(&self) -> Option<Held> {
        self.lock().held.clone()
    }

    /// Ends the task where it stands: what was not sent yet never is.
    pub fn cut(&self) {
        let mut state = self.lock();
        state.cut = true;
        if let Some(task) = &state.task {
            task.abort();
        }
    }

    /// From here on the exchange goes on for somebody, or nobody.
    pub(super) fn hold(&self, held: Option<Held>) {
        self.lock().held = held;
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

    /// Those of exchanges that are under way for somebody.
    pub fn held(&self) -> Vec<(Arc<Tether>, Held)> {
        let all = self.lock();
        all.values().filter_map(|tether| Some((Arc::clone(tether), tether.held()?))).collect()
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
