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

/// Sessions kept in memory.
const CAPACITY: u64 = 1_000_000;
/// Room made at the start; the caches grow as they fill.
const FIRST_CAPACITY: usize = 16_384;
/// Sessions remembered as not in force.
const ABSENT_CAPACITY: usize = 10_000;
/// Changes kept for those who follow them.
const CHANGES: usize = 1_024;
/// Questions to the store at once: the readers of the store.
const CONCURRENCY: usize = 4;
/// Questions under way or waiting.
const MAX_FLIGHTS: usize = 10_000;

mod load;

/// A session that was found in force. It holds only while its user's entry has the same
/// generation: forgetting a user forgets all its sessions in one step.
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
    /// Every insertion and removal happens under this lock, so that none overtakes another.
    flights: Mutex<InFlightLookups<StatusResult>>,
    turns: Semaphore,
    generation: AtomicU64,
    /// Grows with every change of an API key or a client.
    credentials: AtomicU64,
    tokens: Arc<RevokedTokens>,
    hearing: FeedLiveness,
    reach: StoreCircuitBreaker,
    applied: broadcast::Sender<Change>,
}

/// The registry of sessions; a clone shares its memory.
#[derive(Clone, Debug)]
pub struct SessionCache(Arc<CachedSessions>);

impl SessionCache {
    /// A registry that knows nothing yet. It answers from memory once a [`super::ChangeFeed`] runs.
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

    /// What memory knows; `None` must be followed by [`SessionCache::ask`]. Two lookups, no I/O. Always
    /// `None` while the feed of changes is silent beyond its bound of 1 s.
    pub fn cached(&self, session: SessionId, now: Timestamp) -> Option<SessionStatus> {
        let memory = &*self.0;
        if memory.hearing.is_recent() { memory.cached(session, now) } else { None }
    }

    /// How a session stands, by memory or else by the store.
    pub async fn status(
        &self,
        session: SessionId,
        now: Timestamp,
    ) -> Result<SessionStatus, StatusUnavailable> {
        self.status_or_stale(None, session, now).await
    }

    /// As [`SessionCache::standing`], or by leave as it was last known.
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

    /// What the store says, or by leave what memory last knew.
    pub(crate) async fn ask_or<T>(
        &self,
        leave: Option<&StaleReadPolicy>,
        asking: impl Future<Output = Result<T, StatusUnavailable>>,
        recall: impl Fn() -> Option<T>,
    ) -> Result<T, StatusUnavailable> {
        self.0.reach.ask(leave, || self.silence(), asking, recall).await
    }

    /// Asks the store, once for all who wait for the same session. At most 3 s.
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

    /// Holds from here on this node: the session is no longer believed without asking.
    pub fn revoke(&self, session: SessionId) {
        self.apply(&[Change::Session(session)]);
    }

    /// Holds from here on this node: the user, its roles and all its sessions are asked for again.
    pub fn forget_user(&self, user: UserId) {
        self.apply(&[Change::User(user)]);
    }

    /// Holds from here on this node: the API key is asked for again.
    pub fn forget_api_key(&self, key: ApiKeyId) {
        self.apply(&[Change::ApiKey(key)]);
    }

    /// A number that every change of an API key or a client changes: what was learnt of them under another is not
    /// to be believed. `None` while the feed of changes is silent beyond its bound of 1 s.
    pub fn generation_of_credentials(&self) -> Option<u64> {
        self.0.hearing.is_recent().then(|| self.last_generation_of_credentials())
    }

    /// The same number, as of when the feed was last heard.
    pub(crate) fn last_generation_of_credentials(&self) -> u64 {
        self.0.credentials.load(Ordering::Acquire)
    }

    /// Whether a provider's token was revoked by anything that it says: by memory, or else by the store, or by
    /// leave by what memory last knew.
    ///
    /// # Errors
    /// [`StatusUnavailable`] where neither says within 3 s.
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

    /// How long ago the moment is that the feed of changes covers; `None` before its first answer.
    pub fn silence(&self) -> Option<Duration> {
        self.0.hearing.silence()
    }

    /// Sessions in memory, for a metric.
    pub fn len(&self) -> usize {
        self.0.sessions.len()
    }

    /// Whether memory is empty.
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

    /// What was applied from now on, after it was. Who is slower than 1,024 changes misses some, and
    /// is told so.
    pub fn changes(&self) -> broadcast::Receiver<Change> {
        self.0.applied.subscribe()
    }

    /// Forgets everything: what changed in the meantime is not known.
    pub(super) fn clear(&self) {
        self.apply(&[Change::Unknown]);
    }

    /// Every change committed before `moment` is applied.
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

/// Ends the flight, also when its task is dropped.
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

    /// What memory holds, however long ago the feed was heard.
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
