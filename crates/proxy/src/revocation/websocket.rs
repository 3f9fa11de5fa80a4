//! The state of an opening or open WebSocket: why the gateway closes it, and how.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use guarita_core::websocket::Ending;
use guarita_core::{Identity, Source, Subject, Timestamp, UserId};

/// The state of a WebSocket, shared by its stream and by those who can close it.
#[derive(Debug)]
pub struct WebSocketState {
    /// Idle time-out.
    idle: Duration,
    /// When its credential expires, if it does.
    credential_end: Option<Timestamp>,
    /// The last known expiry of its session, in seconds.
    session_end: AtomicI64,
    begun: Instant,
    /// Whether the upstream has accepted the handshake.
    open: Arc<AtomicBool>,
    /// Milliseconds from `begun` to the last byte of either side.
    active: AtomicU64,
    ending: OnceLock<Ending>,
    /// The task of its stream.
    waker: Mutex<Option<Waker>>,
}

impl WebSocketState {
    /// A WebSocket that is not open yet.
    pub(crate) fn new(idle: Duration, credential_end: Option<Timestamp>) -> Self {
        Self {
            idle,
            credential_end,
            session_end: AtomicI64::new(i64::MAX),
            begun: Instant::now(),
            open: Arc::default(),
            active: AtomicU64::new(0),
            ending: OnceLock::new(),
            waker: Mutex::default(),
        }
    }

    /// Sets the expiry of its session; it is checked again then, because the session may be extended.
    pub fn session_ends_at(&self, end: Timestamp) {
        self.session_end.store(end.seconds(), Ordering::Relaxed);
    }

    /// Becomes true when the upstream accepts the handshake.
    pub(crate) fn opening(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.open)
    }

    /// The upstream accepted the handshake.
    pub fn open(&self) {
        self.touch();
        self.open.store(true, Ordering::Release);
    }

    /// Whether the upstream has accepted the handshake.
    pub fn is_open(&self) -> bool {
        self.open.load(Ordering::Acquire)
    }

    /// Data was received from either side.
    pub fn touch(&self) {
        let since = self.begun.elapsed().as_millis();
        self.active.store(u64::try_from(since).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Whether the idle time-out has passed. Before it is open, the time-outs of the upstream apply.
    pub fn is_idle(&self) -> bool {
        let active = Duration::from_millis(self.active.load(Ordering::Relaxed));
        self.is_open() && self.begun.elapsed().saturating_sub(active) >= self.idle
    }

    /// Whether its credential has expired.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.credential_end.is_some_and(|end| end <= now)
    }

    /// Whether its session must be checked again.
    pub fn is_due(&self, now: Timestamp) -> bool {
        self.session_end.load(Ordering::Relaxed) <= now.seconds()
    }

    /// Closes it: the stream sends close frames to both sides at the next frame boundary. The first reason is
    /// used.
    pub fn end(&self, ending: Ending) {
        let _ = self.ending.set(ending);
        let waker = self.waker().take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Why it is being closed, if it is.
    pub fn ending(&self) -> Option<Ending> {
        self.ending.get().copied()
    }

    /// Why it is being closed, if it is; otherwise the task is woken then.
    pub fn poll_ending(&self, context: &Context<'_>) -> Option<Ending> {
        if self.ending().is_none() {
            let mut waker = self.waker();
            match &mut *waker {
                Some(known) => known.clone_from(context.waker()),
                None => *waker = Some(context.waker().clone()),
            }
        }
        // Looked at after the waker was left: an ending in between has seen it.
        self.ending()
    }

    fn waker(&self) -> MutexGuard<'_, Option<Waker>> {
        self.waker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The owner that WebSockets are counted for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Owner {
    /// A local account, over all sessions.
    User(UserId),
    /// A subject without an account.
    Subject(Source, Subject),
}

impl Owner {
    pub(crate) fn of(identity: &Identity) -> Self {
        let subject = || Self::Subject(identity.source(), identity.subject().clone());
        identity.user().map_or_else(subject, Self::User)
    }
}

/// `limits.websockets_per_user` are open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WebSocketLimitReached;

/// Counts open WebSockets, in total and per owner.
#[derive(Debug, Default)]
pub struct WebSocketLimiter(Mutex<WebSocketCount>);

#[derive(Debug, Default)]
struct WebSocketCount {
    all: usize,
    by_owner: HashMap<Owner, usize>,
}

/// The permit of one WebSocket; released when dropped.
#[derive(Debug)]
pub(crate) struct WebSocketPermit {
    sockets: Arc<WebSocketLimiter>,
    owner: Option<Owner>,
}

impl WebSocketLimiter {
    /// Whether no WebSocket is open.
    pub fn is_empty(&self) -> bool {
        self.lock().all == 0
    }

    /// A permit for one more WebSocket of this owner. WebSockets without an owner are limited by connections only.
    pub(crate) fn acquire(
        self: &Arc<Self>,
        owner: Option<Owner>,
        most: usize,
    ) -> Result<WebSocketPermit, WebSocketLimitReached> {
        let mut count = self.lock();
        if let Some(owner) = &owner {
            let own = count.by_owner.get(owner).copied().unwrap_or(0);
            if own >= most {
                return Err(WebSocketLimitReached);
            }
            count.by_owner.insert(owner.clone(), own + 1);
        }
        count.all += 1;
        Ok(WebSocketPermit { sockets: Arc::clone(self), owner })
    }

    fn lock(&self) -> MutexGuard<'_, WebSocketCount> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for WebSocketPermit {
    fn drop(&mut self) {
        let mut count = self.sockets.lock();
        count.all = count.all.saturating_sub(1);
        let Some(owner) = &self.owner else { return };
        let left = count.by_owner.get(owner).copied().unwrap_or(0).saturating_sub(1);
        if left == 0 {
            count.by_owner.remove(owner);
        } else {
            count.by_owner.insert(owner.clone(), left);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_user_cannot_take_all_places_and_gives_its_own_back() {
        let sockets = Arc::new(WebSocketLimiter::default());
        let user = |id| Some(Owner::User(UserId::new(id)));
        let first = sockets.acquire(user(1), 2).unwrap();
        let second = sockets.acquire(user(1), 2).unwrap();
        assert_eq!(sockets.acquire(user(1), 2).unwrap_err(), WebSocketLimitReached);
        let other = sockets.acquire(user(2), 2).unwrap();
        let nobody = sockets.acquire(None, 0).unwrap();
        drop(first);
        let third = sockets.acquire(user(1), 2).unwrap();
        drop((second, third, other));
        assert!(sockets.lock().by_owner.is_empty() && !sockets.is_empty());
        drop(nobody);
        assert!(sockets.is_empty());
    }

    #[test]
    fn an_ending_wakes_the_task_and_the_first_reason_counts() {
        let socket =
            WebSocketState::new(Duration::from_secs(60), Some(Timestamp::from_seconds(100)));
        let context = Context::from_waker(Waker::noop());
        assert_eq!(socket.poll_ending(&context), None);
        assert!(socket.waker().is_some());
        socket.end(Ending::Revoked);
        socket.end(Ending::Idle);
        assert_eq!(socket.poll_ending(&context), Some(Ending::Revoked));
        assert!(socket.waker().is_none());
    }

    #[test]
    fn it_ends_with_its_credential_its_session_and_in_silence() {
        let at = Timestamp::from_seconds;
        let socket = WebSocketState::new(Duration::ZERO, Some(at(100)));
        assert!(!socket.is_expired(at(99)) && socket.is_expired(at(100)));
        assert!(!socket.is_due(at(1_000_000)));
        socket.session_ends_at(at(50));
        assert!(!socket.is_due(at(49)) && socket.is_due(at(50)));
        assert!(!socket.is_idle(), "it is not open yet");
        socket.open();
        assert!(socket.is_idle());
        assert!(!WebSocketState::new(Duration::from_secs(60), None).is_expired(at(i64::MAX)));
    }
}
