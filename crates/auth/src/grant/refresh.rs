//! Refresh with rotation (RFC 9700 section 4.14).
//!
//! The successor is derived from the used token and a seed that is stored for the grace period, so that a
//! repeated request gets the same one. Neither the database alone nor the holder alone can compute it.

use std::sync::Arc;

use super::settings::RefreshRotation;
use super::tokens::TokenRequest;
use super::{Issuer, TokenError, Tokens};
use crate::session::SessionCache;
use crate::snapshot::AuthSnapshot;
use guarita_core::jose::opaque;
use guarita_core::{Roles, Secret, SessionId, Timestamp, UserId, random};
use guarita_store::{NewRefreshToken, RefreshToken, Store, StoredSession, Transaction, User};

/// Maximum length of a refresh token, in bytes.
const MAX_LENGTH: usize = 256;

/// Why a refresh token is rejected. The client gets the same response for all reasons; the endpoint audits
/// `auth.refresh.reuse_detected` for [`InvalidRefreshToken::Reused`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InvalidRefreshToken {
    /// Unknown, or expired long ago.
    Unknown,
    /// Expired.
    Expired,
    /// Its session was revoked or ended, or its user disabled.
    Revoked,
    /// It was used before: its family and its session are revoked.
    Reused {
        /// The revoked session.
        session: SessionId,
        /// The user.
        user: UserId,
    },
}

/// Exchanges refresh tokens.
#[derive(Debug)]
pub struct Refresh {
    store: Store,
    registry: SessionCache,
    issuer: Arc<Issuer>,
}

/// A refresh token was exchanged.
#[derive(Debug)]
pub struct Refreshed {
    /// The next pair.
    pub tokens: Tokens,
    /// Whether this repeats an exchange within the grace period, with the same result.
    pub repeated: bool,
}

/// The user and session of a valid refresh token.
struct Bearer {
    token: RefreshToken,
    session: StoredSession,
    user: User,
    roles: Roles,
}

/// The result of an exchange. It depends only on the used token and on what is stored about its use, so
/// that a repeated request gets the same pair.
struct RefreshExchange {
    refresh_token: Secret,
    /// `jti` and `iat` of the access token.
    token_id: String,
    at: Timestamp,
    repeated: bool,
}

impl Refresh {
    /// Creates it with the store and the registry of this node.
    pub fn new(store: Store, registry: SessionCache, issuer: Arc<Issuer>) -> Self {
        Self { store, registry, issuer }
    }

    /// Exchanges a refresh token for the next pair. A used one gets the same pair again during the grace
    /// period (a second tab, a lost response); after that, its family and session are revoked.
    pub async fn refresh(
        &self,
        token: &Secret,
        snapshot: &AuthSnapshot,
        now: Timestamp,
    ) -> Result<Result<Refreshed, InvalidRefreshToken>, TokenError> {
        let off = self.issuer.settings().refresh_rotation == RefreshRotation::Off;
        if off || token.expose().is_empty() || token.expose().len() > MAX_LENGTH {
            return Ok(Err(InvalidRefreshToken::Unknown));
        }
        let digest = opaque::digest(token.expose());
        // Whose a token is never changes.
        let owner = self.store.read().await?.find_owner_of_refresh_token(&digest).await?;
        let Some(owner) = owner else { return Ok(Err(InvalidRefreshToken::Unknown)) };
        let mut transaction = self.store.begin_write_for(owner).await?;
        let bearer = match self.examine(&mut transaction, &digest, now).await? {
            Ok(bearer) => bearer,
            Err(refusal) => return self.refuse(transaction, refusal).await,
        };
        let exchange = match repetition(token, &bearer.token) {
            Some(exchange) => exchange,
            None => match self.exchange(&mut transaction, token, &digest, &bearer, now).await? {
                Some(exchange) => exchange,
                None => return Ok(Err(InvalidRefreshToken::Revoked)),
            },
        };
        // A signature may wait for its turn, and while a transaction is open nothing else is written.
        // Where none is made, the grace has the same pair for whoever asks again.
        transaction.commit().await?;
        let tokens = self.tokens(bearer, &exchange, snapshot).await?;
        Ok(Ok(Refreshed { tokens, repeated: exchange.repeated }))
    }

    async fn tokens(
        &self,
        bearer: Bearer,
        exchange: &RefreshExchange,
        snapshot: &AuthSnapshot,
    ) -> Result<Tokens, TokenError> {
        let Bearer { session, user, roles, .. } = bearer;
        let expires_at = self.issuer.settings().access_ends(session.created_at, exchange.at);
        let request = TokenRequest {
            user: &user,
            roles,
            session: session.id,
            token_id: exchange.token_id.clone(),
            issued_at: exchange.at,
            expires_at,
            second_factor_at: session.second_factor_at,
        };
        let (access_token, half_proven) = self.issuer.issue(request, snapshot).await?;
        Ok(Tokens {
            access_token,
            refresh_token: Some(exchange.refresh_token.clone()),
            expires_in: exchange.at.until(expires_at),
            session: session.id,
            user: user.id,
            half_proven,
        })
    }

    /// Commits the changes of a rejection.
    async fn refuse(
        &self,
        transaction: Transaction,
        refusal: InvalidRefreshToken,
    ) -> Result<Result<Refreshed, InvalidRefreshToken>, TokenError> {
        if let InvalidRefreshToken::Reused { session, .. } = refusal {
            let committed = transaction.commit().await;
            self.registry.revoke(session);
            committed?;
        }
        Ok(Err(refusal))
    }

    /// Checks the token; a reused one revokes its family and session.
    async fn examine(
        &self,
        transaction: &mut Transaction,
        digest: &str,
        now: Timestamp,
    ) -> Result<Result<Bearer, InvalidRefreshToken>, TokenError> {
        let Some(token) = transaction.find_refresh_token(digest).await? else {
            return Ok(Err(InvalidRefreshToken::Unknown));
        };
        let session = transaction.find_session(token.session).await?;
        let Some(session) = session.filter(|session| session.is_live(now)) else {
            return Ok(Err(InvalidRefreshToken::Revoked));
        };
        if token.used_at.is_some_and(|used_at| !self.is_in_grace(used_at, now)) {
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
        Ok(Ok(Bearer { token, session, user, roles }))
    }

    /// The clock may have been set back since, so the difference is taken as an absolute value.
    fn is_in_grace(&self, used_at: Timestamp, now: Timestamp) -> bool {
        used_at.until(now).max(now.until(used_at)) < self.issuer.settings().refresh_grace
    }

    /// Writes the exchange; [`None`] if a concurrent request used the token.
    async fn exchange(
        &self,
        transaction: &mut Transaction,
        token: &Secret,
        digest: &str,
        bearer: &Bearer,
        now: Timestamp,
    ) -> Result<Option<RefreshExchange>, TokenError> {
        let (settings, session) = (self.issuer.settings(), &bearer.session);
        let token_id = random::ordered_uuid().to_string();
        let access_ends = settings.access_ends(session.created_at, now);
        if settings.refresh_rotation != RefreshRotation::Rotate {
            let ends = bearer.token.expires_at.max(access_ends);
            transaction.extend_session(session.id, ends, now).await?;
            let refresh_token = token.clone();
            return Ok(Some(RefreshExchange { refresh_token, token_id, at: now, repeated: false }));
        }
        let seed = format!("{token_id}.{}", random::token()?.expose());
        let refresh_token = opaque::successor(token.expose(), &seed);
        let successor = opaque::digest(refresh_token.expose());
        if !transaction.use_refresh_token(digest, &successor, &seed, now).await? {
            return Ok(None);
        }
        let expires_at = settings.refresh_ends(session.created_at, now);
        let family = &bearer.token.family;
        let new = NewRefreshToken { digest: &successor, session: session.id, family, expires_at };
        transaction.insert_refresh_token(&new, now).await?;
        transaction.extend_session(session.id, expires_at.max(access_ends), now).await?;
        Ok(Some(RefreshExchange { refresh_token, token_id, at: now, repeated: false }))
    }
}

/// The exchange of a token that was used before, if its seed is still stored.
fn repetition(presented: &Secret, token: &RefreshToken) -> Option<RefreshExchange> {
    let (at, seed) = (token.used_at?, token.successor_seed.as_ref()?.expose());
    let (token_id, _) = seed.split_once('.')?;
    Some(RefreshExchange {
        refresh_token: opaque::successor(presented.expose(), seed),
        token_id: token_id.to_owned(),
        at,
        repeated: true,
    })
}

#[cfg(test)]
#[path = "refresh_tests.rs"]
mod tests;
