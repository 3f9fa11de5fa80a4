//! Loads a session from the database into the cache.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::timeout;

use super::{CachedSessions, KnownSession, KnownUser, StatusResult};
use crate::session::lookup::{ActiveSession, find};
use crate::session::status::{SessionStatus, StatusUnavailable, UserStatus};
use guarita_core::{SessionId, Timestamp};

/// Time-out of waiting for a query.
const TURN_TIMEOUT: Duration = Duration::from_secs(2);
/// Time-out of a query; so a result is never older than this.
const LOAD_TIMEOUT: Duration = Duration::from_secs(1);
/// How often a query is repeated if a revocation made its result outdated.
const MAX_LOADS: usize = 10;
/// How long a session is cached as inactive.
pub(super) const ABSENT_TTL: Duration = Duration::from_secs(10);

impl CachedSessions {
    pub(super) async fn load(
        &self,
        session: SessionId,
        number: u64,
        now: Timestamp,
    ) -> StatusResult {
        let turn = timeout(TURN_TIMEOUT, self.turns.acquire()).await;
        let _turn = turn.map_err(|_| StatusUnavailable)?.map_err(|_| StatusUnavailable)?;
        for _ in 0..MAX_LOADS {
            self.lock().restart(session);
            let found = match timeout(LOAD_TIMEOUT, find(&self.store, session, now)).await {
                Ok(Ok(found)) => found,
                Ok(Err(fault)) => {
                    tracing::error!(error = %fault, "a session cannot be looked up");
                    return Err(StatusUnavailable);
                }
                Err(_) => {
                    tracing::error!("looking up a session took too long");
                    return Err(StatusUnavailable);
                }
            };
            if let Some(standing) = self.insert(session, number, found, now) {
                return Ok(standing);
            }
        }
        Err(StatusUnavailable)
    }

    /// Caches the result, unless a revocation made it outdated. From here on nobody can join the lookup, because a
    /// request after a later revocation must not get this result.
    pub(super) fn insert(
        &self,
        session: SessionId,
        number: u64,
        found: Option<ActiveSession>,
        now: Timestamp,
    ) -> Option<SessionStatus> {
        let mut flights = self.lock();
        let user = found.as_ref().map(|found| found.standing.user);
        if flights.doubts(session, user) {
            return None;
        }
        flights.end(session, number);
        let Some(found) = found else {
            let known = self.sessions.remove(&session);
            // It may have been its user who was disabled, and the feed does not say so.
            if let Some((_, known)) = known.filter(|_| !self.hearing.is_recent()) {
                self.users.remove(&known.user);
            }
            self.absent.insert(session, now.plus(ABSENT_TTL));
            return Some(SessionStatus::Inactive);
        };
        let user = self.remember_user(found.standing);
        let known = KnownSession {
            user: user.standing.user,
            generation: user.generation,
            expires_at: found.expires_at,
            second_factor: found.second_factor,
        };
        self.sessions.insert(session, known);
        let KnownSession { second_factor, expires_at, .. } = known;
        Some(SessionStatus::Active { user: user.standing, second_factor, expires_at })
    }

    /// The user's entry, replaced if it differs.
    fn remember_user(&self, standing: UserStatus) -> KnownUser {
        if let Some(known) = self.users.get(&standing.user)
            && *known.standing == standing
        {
            return known;
        }
        let generation = self.generation.fetch_add(1, Ordering::Relaxed);
        let id = standing.user;
        let known = KnownUser { generation, standing: Arc::new(standing) };
        self.users.insert(id, known.clone());
        known
    }
}
