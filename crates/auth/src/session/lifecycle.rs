//! Opening and ending sessions.

use super::{SessionCache, StatusUnavailable};
use guarita_core::jose::opaque;
use guarita_core::revocation_key::{RevocationKeys, RevokedMark};
use guarita_core::{Secret, SessionId, Timestamp, UserId};
use guarita_store::{Change, Store, StoreError, StoredSession};

/// Maximum length of a refresh token, in bytes.
const MAX_TOKEN_LENGTH: usize = 256;

/// Ends sessions. The change is durable and in effect on this node before a function returns.
#[derive(Debug)]
pub struct Sessions {
    store: Store,
    registry: SessionCache,
}

impl Sessions {
    /// Creates it with the store and the registry of this node.
    pub fn new(store: Store, registry: SessionCache) -> Self {
        Self { store, registry }
    }

    /// Revokes a session with its refresh tokens. `Ok` also if it was already revoked.
    pub async fn revoke(
        &self,
        session: SessionId,
        now: Timestamp,
    ) -> Result<(), StatusUnavailable> {
        let outcome = self.write_revocation(session, now).await;
        // After a fault too: it may have been committed.
        self.registry.revoke(session);
        outcome.map_err(unknowable)
    }

    /// Revokes the session of a refresh token; `Ok(None)` for an unknown token.
    pub async fn revoke_by_refresh_token(
        &self,
        token: &Secret,
        now: Timestamp,
    ) -> Result<Option<SessionId>, StatusUnavailable> {
        let Some(session) = self.find_session(token).await.map_err(unknowable)? else {
            return Ok(None);
        };
        self.revoke(session, now).await?;
        Ok(Some(session))
    }

    /// The user of a valid refresh token.
    pub async fn find_user_by_refresh_token(
        &self,
        token: &Secret,
        now: Timestamp,
    ) -> Result<Option<UserId>, StatusUnavailable> {
        self.find_user(token, now).await.map_err(unknowable)
    }

    /// Revokes all sessions of the user; returns how many were active. `marks` are the revocation keys of the provider
    /// token of the request, whose issuer's clock may be ahead: tokens issued before it are revoked too.
    pub async fn revoke_all(
        &self,
        user: UserId,
        marks: Option<&RevocationKeys>,
        now: Timestamp,
    ) -> Result<u64, StatusUnavailable> {
        let outcome = self.write_revocations(user, marks, now).await;
        self.registry.forget_user(user);
        outcome.map_err(unknowable)
    }

    /// Revokes provider tokens by a revocation key.
    pub async fn revoke_tokens(
        &self,
        revoked: RevokedMark,
        now: Timestamp,
    ) -> Result<(), StatusUnavailable> {
        let outcome = self.write_token_revocation(revoked, now).await;
        // After a fault too: it may have been committed.
        self.registry.apply(&[Change::Tokens(revoked)]);
        outcome.map_err(unknowable)
    }

    /// The user's active sessions, newest first, at most 1,000.
    pub async fn list(
        &self,
        user: UserId,
        now: Timestamp,
    ) -> Result<Vec<StoredSession>, StatusUnavailable> {
        let found = async { self.store.read().await?.list_sessions(user, now).await };
        found.await.map_err(unknowable)
    }

    /// The session, also if it has ended.
    pub async fn find(
        &self,
        session: SessionId,
    ) -> Result<Option<StoredSession>, StatusUnavailable> {
        let found = async { self.store.read().await?.find_session(session).await };
        found.await.map_err(unknowable)
    }

    /// The issuer and subject that a browser session was opened with, if it was opened with a provider.
    ///
    /// # Errors
    /// [`StatusUnavailable`] if the database does not respond.
    pub async fn find_issuer(
        &self,
        session: SessionId,
    ) -> Result<Option<(String, Option<String>)>, StatusUnavailable> {
        let found = async { self.store.read().await?.find_session_issuer(session).await };
        found.await.map_err(unknowable)
    }

    async fn write_revocation(&self, session: SessionId, now: Timestamp) -> Result<(), StoreError> {
        let mut transaction = self.store.begin_write().await?;
        transaction.revoke_session(session, now).await?;
        transaction.commit().await
    }

    async fn write_revocations(
        &self,
        user: UserId,
        marks: Option<&RevocationKeys>,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        let mut transaction = self.store.begin_write_for(user).await?;
        let revoked = transaction.revoke_sessions_of(user, now).await?;
        if let Some(marks) = marks {
            transaction.note_sessions_revoked(user, marks.latest(now)).await?;
        }
        transaction.commit().await?;
        Ok(revoked)
    }

    async fn write_token_revocation(
        &self,
        revoked: RevokedMark,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut transaction = self.store.begin_write().await?;
        transaction.revoke_tokens(revoked, now).await?;
        transaction.commit().await
    }

    async fn find_session(&self, token: &Secret) -> Result<Option<SessionId>, StoreError> {
        if token.expose().len() > MAX_TOKEN_LENGTH {
            return Ok(None);
        }
        let digest = opaque::digest(token.expose());
        let found = self.store.read().await?.find_refresh_token(&digest).await?;
        Ok(found.map(|token| token.session))
    }

    async fn find_user(
        &self,
        token: &Secret,
        now: Timestamp,
    ) -> Result<Option<UserId>, StoreError> {
        if token.expose().len() > MAX_TOKEN_LENGTH {
            return Ok(None);
        }
        let digest = opaque::digest(token.expose());
        let mut transaction = self.store.read().await?;
        let found = transaction.find_refresh_token(&digest).await?;
        let Some(found) = found.filter(|found| found.used_at.is_none() && now < found.expires_at)
        else {
            return Ok(None);
        };
        let session = transaction.find_session(found.session).await?;
        let Some(session) = session.filter(|session| session.is_live(now)) else { return Ok(None) };
        let user = transaction.find_user(session.user).await?;
        Ok(user.filter(|user| user.active).map(|user| user.id))
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it ends the fault, for map_err")]
fn unknowable(fault: StoreError) -> StatusUnavailable {
    tracing::error!(error = %fault, "a session cannot be looked up or ended");
    StatusUnavailable
}

#[cfg(test)]
#[path = "lifecycle_tests.rs"]
mod tests;
