//! The cache of sessions. A miss queries the database once for all waiters; if that fails, requests are rejected.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use quick_cache::sync::Cache;
use tokio::sync::{Semaphore, broadcast, watch};

use super::feed_liveness::FeedLiveness;
use super::revoked_tokens::RevokedTokens;
use super::single_flight::{InFlightLookups, LookupReceiver};
use super::stale::{StaleReadPolicy, StoreCircuitBreaker};
use super::status::{SessionStatus, StatusUnavailable, UserStatus};
use guarita_core::{ApiKeyId, RevocationKeys, SessionId, Timestamp, UserId};
use guarita_store::{Change, Store};

/// Maximum number of cached sessions.
const CAPACITY: u64 = 1_000_000;
/// Initial capacity of the caches.
const FIRST_CAPACITY: usize = 16_384;
/// Maximum number of sessions cached as inactive.
const ABSENT_CAPACITY: usize = 10_000;
/// Number of changes buffered for followers.
const CHANGES: usize = 1_024;
/// Maximum number of concurrent queries: the number of reader connections.
const CONCURRENCY: usize = 4;
/// Maximum number of queries in progress or waiting.
const MAX_FLIGHTS: usize = 10_000;

mod load;

/// A cached active session. It is valid only while its user's entry has the same generation, so that dropping a user
/// drops all its sessions in one step.
#[derive(Clone, Copy, Debug)]
struct KnownSession {
    user: UserId,
    generation: u64,
    expires_at: Timestamp,
    second_factor: bool,
}

#[derive(Clone, Debug)]
struct KnownUser {
    generation: u64,
    standing: Arc<UserStatus>,
}

type StatusResult = Result<SessionStatus, StatusUnavailable>;

#[derive(Debug)]
struct CachedSessions {
    store: Store,
    sessions: Cache<SessionId, KnownSession>,
    users: Cache<UserId, KnownUser>,
    absent: Cache<SessionId, Timestamp>,
    /// Guards all insertions and removals, so that they are ordered.
    flights: Mutex<InFlightLookups<StatusResult>>,
    turns: Semaphore,
    generation: AtomicU64,
    /// Incremented with every change of an API key or a client.
    credentials: AtomicU64,
    tokens: Arc<RevokedTokens>,
    hearing: FeedLiveness,
    reach: StoreCircuitBreaker,
    applied: broadcast::Sender<Change>,
}

/// The registry of sessions; clones share the cache.
#[derive(Clone, Debug)]
pub struct SessionCache(Arc<CachedSessions>);

impl SessionCache {
    /// Creates an empty registry. The cache is used once a [`super::ChangeFeed`] runs.
    pub fn new(store: Store) -> Self {
        Self(Arc::new(CachedSessions {
            store,
            sessions: cache(),
            users: cache(),
            absent: Cache::new(ABSENT_CAPACITY),
            flights: Mutex::default(),
            turns: Semaphore::new(CONCURRENCY),
            generation: AtomicU64::new(0),
            credentials: AtomicU64::new(0),
            tokens: Arc::new(RevokedTokens::new()),
            hearing: FeedLiveness::new(),
            reach: StoreCircuitBreaker::new(),
            applied: broadcast::channel(CHANGES).0,
        }))
    }

    /// The cached status; after [`None`], [`SessionCache::ask`] must be called. Two lookups, no I/O. Always [`None`] while
    /// the change feed exceeds its maximum lag of 1 s.
    pub fn cached(&self, session: SessionId, now: Timestamp) -> Option<SessionStatus> {
        let memory = &*self.0;
        if memory.hearing.is_recent() { memory.cached(session, now) } else { None }
    }

    /// The status of a session, from the cache or the database.
    pub async fn status(
        &self,
        session: SessionId,
        now: Timestamp,
    ) -> Result<SessionStatus, StatusUnavailable> {
        self.status_or_stale(None, session, now).await
    }

    /// Like [`SessionCache::status`]; with `leave`, stale state may be used.
    pub async fn status_or_stale(
        &self,
        leave: Option<&StaleReadPolicy>,
        session: SessionId,
        now: Timestamp,
    ) -> Result<SessionStatus, StatusUnavailable> {
        match self.cached(session, now) {
            Some(standing) => Ok(standing),
            // Boxed: a miss is rare, and its size would be paid on every hit.
            None => {
                let recall = || self.0.cached(session, now);
                Box::pin(self.ask_or(leave, self.ask(session, now), recall)).await
            }
        }
    }

    /// The status from the database or, with `leave`, the stale one.
    pub(crate) async fn ask_or<T>(
        &self,
        leave: Option<&StaleReadPolicy>,
        asking: impl Future<Output = Result<T, StatusUnavailable>>,
        recall: impl Fn() -> Option<T>,
    ) -> Result<T, StatusUnavailable> {
        self.0.reach.ask(leave, || self.silence(), asking, recall).await
    }

    /// Queries the database, once for all waiters for the same session. Takes at most 3 s.
    pub async fn ask(
        &self,
        session: SessionId,
        now: Timestamp,
    ) -> Result<SessionStatus, StatusUnavailable> {
        if let Some(standing) = self.cached(session, now) {
            return Ok(standing);
        }
        let mut answer = self.join(session, now)?;
        let answered = answer.wait_for(Option::is_some).await.map_err(|_| StatusUnavailable)?;
        answered.clone().unwrap_or(Err(StatusUnavailable))
    }

    /// Drops a session from the cache of this node.
    pub fn revoke(&self, session: SessionId) {
        self.apply(&[Change::Session(session)]);
    }

    /// Drops a user, its roles and all its sessions from the cache of this node.
    pub fn forget_user(&self, user: UserId) {
        self.apply(&[Change::User(user)]);
    }

    /// Drops cached API keys of this node.
    pub fn forget_api_key(&self, key: ApiKeyId) {
        self.apply(&[Change::ApiKey(key)]);
    }

    /// The generation of API keys and clients, which changes with every change of one of them: cached state of another
    /// generation must not be used. [`None`] while the change feed exceeds its maximum lag of 1 s.
    pub fn generation_of_credentials(&self) -> Option<u64> {
        self.0.hearing.is_recent().then(|| self.last_generation_of_credentials())
    }

    /// The same generation, as of the last poll of the feed.
    pub(crate) fn last_generation_of_credentials(&self) -> u64 {
        self.0.credentials.load(Ordering::Acquire)
    }

    /// Whether a provider token is revoked, from the cache or the database; with `leave`, stale state may be used.
    ///
    /// # Errors
    /// [`StatusUnavailable`] if it is not cached and the database does not respond within 3 s.
    pub async fn is_token_revoked(
        &self,
        leave: Option<&StaleReadPolicy>,
        marks: Arc<RevocationKeys>,
    ) -> Result<bool, StatusUnavailable> {
        let memory = &*self.0;
        let recall = || memory.tokens.cached(&marks);
        match memory.hearing.is_recent().then(recall).flatten() {
            Some(revoked) => Ok(revoked),
            // Boxed: a miss is rare, and its size would be paid on every hit.
            None => {
                let asking = memory.tokens.ask(&memory.store, &marks);
                Box::pin(self.ask_or(leave, asking, recall)).await
            }
        }
    }

    /// The lag of the change feed; [`None`] before the first poll.
    pub fn silence(&self) -> Option<Duration> {
        self.0.hearing.silence()
    }

    /// The number of cached sessions, for a metric.
    pub fn len(&self) -> usize {
        self.0.sessions.len()
    }

    /// Whether the cache is empty.
    pub fn is_empty(&self) -> bool {
        self.0.sessions.is_empty()
    }

    pub(super) fn apply(&self, changes: &[Change]) {
        let memory = &*self.0;
        let mut flights = memory.lock();
        for change in changes {
            match *change {
                Change::Session(session) => {
                    memory.sessions.remove(&session);
                    flights.doubt_session(session);
                }
                Change::User(user) => {
                    memory.users.remove(&user);
                    flights.doubt_user(user);
                }
                // No session hangs on them: whoever follows the changes reads them anew.
                Change::Keys => {}
                Change::ApiKey(_) | Change::Clients => memory.doubt_credentials(),
                Change::Tokens(revoked) => memory.tokens.add(revoked),
                Change::Unknown => memory.forget_all(&mut flights),
            }
        }
        drop(flights);
        for change in changes {
            // Without anybody who listens there is nothing to be told.
            let _ = memory.applied.send(*change);
        }
    }

    /// Subscribes to applied changes. A subscriber that is more than 1,024 changes behind misses some, and is told so.
    pub fn changes(&self) -> broadcast::Receiver<Change> {
        self.0.applied.subscribe()
    }

    /// Clears the cache, because changes may have been missed.
    pub(super) fn clear(&self) {
        self.apply(&[Change::Unknown]);
    }

    /// Records that all changes committed before `moment` are applied.
    pub(super) fn heard(&self, moment: Instant) {
        self.0.hearing.note(moment);
        self.0.reach.heard();
    }

    fn join(
        &self,
        session: SessionId,
        now: Timestamp,
    ) -> Result<LookupReceiver<StatusResult>, StatusUnavailable> {
        let mut flights = self.0.lock();
        if let Some(answer) = flights.find(session) {
            return Ok(answer);
        }
        if flights.len() >= MAX_FLIGHTS {
            return Err(StatusUnavailable);
        }
        let (sender, answer) = watch::channel(None);
        let number = flights.start(session, answer.clone());
        drop(flights);
        let flight = EndOfFlight { memory: Arc::clone(&self.0), session, number };
        // Its own task: a caller that goes away must not take the answer from the others.
        tokio::spawn(async move {
            let asked = flight.memory.load(session, number, now).await;
            drop(flight);
            sender.send_replace(Some(asked));
        });
        Ok(answer)
    }
}

/// Removes the lookup when dropped, also if its task is cancelled.
struct EndOfFlight {
    memory: Arc<CachedSessions>,
    session: SessionId,
    number: u64,
}

impl Drop for EndOfFlight {
    fn drop(&mut self) {
        self.memory.lock().end(self.session, self.number);
    }
}

impl CachedSessions {
    fn lock(&self) -> MutexGuard<'_, InFlightLookups<StatusResult>> {
        self.flights.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The cached status, however old the feed is.
    fn cached(&self, session: SessionId, now: Timestamp) -> Option<SessionStatus> {
        if let Some(known) = self.sessions.get(&session) {
            // The end may have moved on another node: the store says whether it is over.
            if now >= known.expires_at {
                return None;
            }
            let user = self.users.get(&known.user)?;
            let KnownSession { second_factor, expires_at, .. } = known;
            return (user.generation == known.generation).then_some(SessionStatus::Active {
                user: user.standing,
                second_factor,
                expires_at,
            });
        }
        let until = self.absent.get(&session)?;
        (now < until).then_some(SessionStatus::Inactive)
    }

    fn doubt_credentials(&self) {
        self.credentials.fetch_add(1, Ordering::AcqRel);
    }

    fn forget_all(&self, flights: &mut InFlightLookups<StatusResult>) {
        self.sessions.clear();
        self.users.clear();
        self.absent.clear();
        self.doubt_credentials();
        self.tokens.forget_all();
        flights.doubt_all();
    }
}

fn cache<K: Eq + std::hash::Hash, V: Clone>() -> Cache<K, V> {
    Cache::with_weighter(FIRST_CAPACITY, CAPACITY, quick_cache::UnitWeighter)
}

#[cfg(test)]
#[path = "registry_tests.rs"]
mod tests;
