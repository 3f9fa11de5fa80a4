//! The cache of verified session cookies.
//!
//! Only the identity of a cookie is cached; the status of the session is looked up in the registry on every
//! request, as for tokens.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use quick_cache::sync::Cache;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::verified_credential::VerifiedCredential;
use crate::session::{Renewals, StatusUnavailable};
use guarita_core::jose::session_cookie;
use guarita_core::{Identity, SessionId, Source, Timestamp};
use guarita_store::{Store, StoreError};

/// Maximum number of concurrent queries, so that invented cookies cannot occupy more connections.
const CONCURRENCY: usize = 2;
/// Time-out of waiting for a query and its result.
const WAIT_TIMEOUT: Duration = Duration::from_secs(2);

/// A session whose cookie was verified.
#[derive(Debug)]
pub struct OpenedSession {
    identity: Arc<Identity>,
    session: SessionId,
    read_at: Timestamp,
    /// When its use is recorded next, in seconds since the epoch.
    renew_at: AtomicI64,
}

impl OpenedSession {
    /// The verified credential, as of the time when it was read.
    pub(super) fn proof(&self) -> VerifiedCredential {
        let identity = Arc::clone(&self.identity);
        let (session, as_of) = (Some(self.session), self.read_at);
        VerifiedCredential { identity, session, as_of, ends_at: None, ambient: true }
    }
}

/// Sessions by cookie, bounded by number; all cookies have the same length.
#[derive(Debug)]
pub struct OpenedSessions {
    store: Store,
    renewals: Renewals,
    known: Cache<Box<str>, Arc<OpenedSession>>,
    turns: Semaphore,
}

impl OpenedSessions {
    /// An empty cache of at most `capacity` sessions.
    pub fn new(store: Store, renewals: Renewals, capacity: usize) -> Self {
        let turns = Semaphore::new(CONCURRENCY);
        Self { store, renewals, known: Cache::new(capacity), turns }
    }

    /// The session of a cookie; [`None`] if the cookie is invalid.
    ///
    /// # Errors
    /// [`StatusUnavailable`] if the database does not respond within 2 s.
    pub async fn open(
        &self,
        cookie: &str,
        now: Timestamp,
    ) -> Result<Option<Arc<OpenedSession>>, StatusUnavailable> {
        let Some(session) = session_cookie::session_of(cookie) else { return Ok(None) };
        let opened = match self.known.get(cookie) {
            Some(known) => known,
            None => match self.ask(session, cookie, now).await? {
                Some(found) => {
                    let found = Arc::new(found);
                    self.known.insert(cookie.into(), Arc::clone(&found));
                    found
                }
                None => return Ok(None),
            },
        };
        self.renew(&opened, now);
        Ok(Some(opened))
    }

    async fn ask(
        &self,
        session: SessionId,
        cookie: &str,
        now: Timestamp,
    ) -> Result<Option<OpenedSession>, StatusUnavailable> {
        let answer = timeout(WAIT_TIMEOUT, async {
            let _turn = self.turns.acquire().await.map_err(|_| StatusUnavailable)?;
            self.find(session, cookie, now).await.map_err(|fault| {
                tracing::error!(error = %fault, "a session cannot be looked up");
                StatusUnavailable
            })
        });
        answer.await.unwrap_or(Err(StatusUnavailable))
    }

    async fn find(
        &self,
        id: SessionId,
        cookie: &str,
        now: Timestamp,
    ) -> Result<Option<OpenedSession>, StoreError> {
        let mut transaction = self.store.read().await?;
        let Some(session) = transaction.find_session(id).await? else { return Ok(None) };
        let stored = session.cookie_digest.as_deref().unwrap_or_default();
        if !session_cookie::digest_matches(cookie, stored) || !session.is_live(now) {
            return Ok(None);
        }
        let Some(user) = transaction.find_user(session.user).await? else { return Ok(None) };
        let of_provider = session.roles.is_some();
        let roles = match session.roles {
            Some(roles) => roles,
            None => transaction.roles_of(user.id).await?,
        };
        let id = Some(session.id);
        let identity =
            Identity::new(user.username, Some(user.id), id, roles, Source::Session, None);
        let Ok(identity) = identity else { return Ok(None) };
        let identity = identity.with_second_factor(session.second_factor_at.is_some());
        let identity = if of_provider { identity.with_provider_roles() } else { identity };
        let renew_at = session.last_used_at.plus(self.renewals.lifetimes().renewal()).seconds();
        Ok(Some(OpenedSession {
            identity: Arc::new(identity),
            session: session.id,
            read_at: now,
            renew_at: AtomicI64::new(renew_at),
        }))
    }

    /// Records the use of a session, periodically.
    fn renew(&self, opened: &OpenedSession, now: Timestamp) {
        let due = opened.renew_at.load(Ordering::Relaxed);
        if now.seconds() < due {
            return;
        }
        let next = now.plus(self.renewals.lifetimes().renewal()).seconds();
        let (when, then) = (Ordering::Relaxed, Ordering::Relaxed);
        let first = opened.renew_at.compare_exchange(due, next, when, then).is_ok();
        if first && !self.renewals.record(opened.session) {
            opened.renew_at.store(due, Ordering::Relaxed);
        }
    }
}
