//! Refresh with rotation (RFC 9700 section 4.14).

use std::sync::Arc;

use super::{Fault, Issuer, Tokens};
use crate::adapters::store::{NewRefreshToken, RefreshToken, Store, Transaction, User};
use crate::model::{Roles, Secret, SessionId, Timestamp, UserId, random};
use crate::rules::token::opaque;
use crate::services::session::Registry;

/// Longest refresh token that is looked at, in bytes.
const MAX_LENGTH: usize = 256;

/// Why a refresh token is refused. The caller hears one answer; the door audits
/// `auth.refresh.reuse_detected` for [`InvalidRefreshToken::Reused`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InvalidRefreshToken {
    /// Nobody was ever given it, or it ended long ago.
    Unknown,
    /// It ended.
    Expired,
    /// Its session was revoked or ended, or its user disabled.
    Revoked,
    /// It was used before: its family and its session are revoked by this.
    Reused {
        /// The session that it ended.
        session: SessionId,
        /// Whose.
        user: UserId,
    },
}

/// Exchanges refresh tokens.
#[derive(Debug)]
pub struct Refresh {
    store: Store,
    registry: Registry,
    issuer: Arc<Issuer>,
}

/// Whom a refresh token that counts speaks for.
struct Bearer {
    token: RefreshToken,
    user: User,
    roles: Roles,
    second_factor_at: Option<Timestamp>,
}

impl Refresh {
    /// Over one store and the registry of this node.
    pub fn new(store: Store, registry: Registry, issuer: Arc<Issuer>) -> Self {
        Self { store, registry, issuer }
    }

    /// Exchanges a refresh token for the next pair; a used one revokes its family and session.
    pub async fn refresh(
        &self,
        token: &Secret,
        now: Timestamp,
    ) -> Result<Result<Tokens, InvalidRefreshToken>, Fault> {
        if token.expose().is_empty() || token.expose().len() > MAX_LENGTH {
            return Ok(Err(InvalidRefreshToken::Unknown));
        }
        let digest = opaque::digest(token.expose());
        let mut transaction = self.store.begin_write().await?;
        let bearer = match examine(&mut transaction, &digest, now).await? {
            Ok(bearer) => bearer,
            Err(refusal) => return self.refuse(transaction, refusal).await,
        };
        let next = self.exchange(&mut transaction, token, &digest, &bearer, now).await?;
        let Some(next) = next else { return Ok(Err(InvalidRefreshToken::Revoked)) };
        let session = bearer.token.session;
        // Signed before the commit: without a signature the old token must stay good.
        let access_token =
            self.issuer.issue(&bearer.user, bearer.roles, session, bearer.second_factor_at, now)?;
        transaction.commit().await?;
        Ok(Ok(Tokens {
            access_token,
            refresh_token: Some(next),
            expires_in: self.issuer.settings().access_ttl,
            session,
            user: bearer.user.id,
            subject: bearer.user.username,
        }))
    }

    /// Keeps what the refusal wrote.
    async fn refuse(
        &self,
        transaction: Transaction,
        refusal: InvalidRefreshToken,
    ) -> Result<Result<Tokens, InvalidRefreshToken>, Fault> {
        if let InvalidRefreshToken::Reused { session, .. } = refusal {
            let committed = transaction.commit().await;
            self.registry.revoke(session);
            committed?;
        }
        Ok(Err(refusal))
    }

    /// Writes the exchange; `None` where the token was used up by another at the same time.
    async fn exchange(
        &self,
        transaction: &mut Transaction,
        token: &Secret,
        digest: &str,
        bearer: &Bearer,
        now: Timestamp,
    ) -> Result<Option<Secret>, Fault> {
        let settings = self.issuer.settings();
        if !settings.refresh_rotation {
            transaction.extend_session(bearer.token.session, bearer.token.expires_at, now).await?;
            return Ok(Some(token.clone()));
        }
        let next = random::token()?;
        let next_digest = opaque::digest(next.expose());
        if !transaction.use_refresh_token(digest, &next_digest, now).await? {
            return Ok(None);
        }
        let expires_at = now.plus(settings.refresh_ttl);
        let new = NewRefreshToken {
            digest: &next_digest,
            session: bearer.token.session,
            family: &bearer.token.family,
            expires_at,
        };
        transaction.insert_refresh_token(&new, now).await?;
        let session_ends = expires_at.max(now.plus(settings.access_ttl));
        transaction.extend_session(bearer.token.session, session_ends, now).await?;
        Ok(Some(next))
    }
}

/// Whether the token counts, and what a used one ends.
async fn examine(
    transaction: &mut Transaction,
    digest: &str,
    now: Timestamp,
) -> Result<Result<Bearer, InvalidRefreshToken>, Fault> {
    let Some(token) = transaction.find_refresh_token(digest).await? else {
        return Ok(Err(InvalidRefreshToken::Unknown));
    };
    let session = transaction.find_session(token.session).await?;
    let Some(session) = session.filter(|session| session.is_live(now)) else {
        return Ok(Err(InvalidRefreshToken::Revoked));
    };
    if token.used_at.is_some() {
        transaction.revoke_family(&token.family, token.session, now).await?;
        transaction.revoke_session(token.session, now).await?;
        let reused = InvalidRefreshToken::Reused { session: session.id, user: session.user };
        return Ok(Err(reused));
    }
    if now >= token.expires_at {
        return Ok(Err(InvalidRefreshToken::Expired));
    }
    let user = transaction.find_user(session.user).await?;
    let Some(user) = user.filter(|user| user.active) else {
        return Ok(Err(InvalidRefreshToken::Revoked));
    };
    let roles = transaction.roles_of(user.id).await?;
    Ok(Ok(Bearer { token, user, roles, second_factor_at: session.second_factor_at }))
}

#[cfg(test)]
#[path = "refresh_tests.rs"]
mod tests;
