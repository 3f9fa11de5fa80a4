//! Table `refresh_tokens`: digests only.

use super::transaction::{number, optional_text, optional_time, text, time};
use super::{StoreError, Transaction};
use guarita_core::{Secret, SessionId, Timestamp, UserId};

/// A stored refresh token.
#[derive(Debug, Clone)]
pub struct RefreshToken {
    /// The session.
    pub session: SessionId,
    /// The family: all tokens that descend from one login.
    pub family: String,
    /// Expired from this second on.
    pub expires_at: Timestamp,
    /// When it was exchanged, if it was.
    pub used_at: Option<Timestamp>,
    /// The seed of its successor, during the grace period.
    pub successor_seed: Option<Secret>,
}

/// A new refresh token.
#[derive(Debug)]
pub struct NewRefreshToken<'a> {
    /// SHA-256 in base64url.
    pub digest: &'a str,
    /// The session.
    pub session: SessionId,
    /// The family.
    pub family: &'a str,
    /// When it expires.
    pub expires_at: Timestamp,
}

impl Transaction {
    /// Adds a refresh token.
    pub async fn insert_refresh_token(
        &mut self,
        new: &NewRefreshToken<'_>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let query = sqlx::query(
            "INSERT INTO refresh_tokens (digest, session_id, family, issued_at, expires_at) \
             VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(new.digest.to_owned())
        .bind(new.session.to_string())
        .bind(new.family.to_owned())
        .bind(now.seconds())
        .bind(new.expires_at.seconds());
        self.execute(query).await.map(|_| ())
    }

    /// The token with this digest, also if it is used or expired.
    pub async fn find_refresh_token(
        &mut self,
        digest: &str,
    ) -> Result<Option<RefreshToken>, StoreError> {
        let query = sqlx::query(
            "SELECT session_id, family, expires_at, used_at, successor_seed \
             FROM refresh_tokens WHERE digest = $1",
        )
        .bind(digest.to_owned());
        let Some(row) = self.find(query).await? else { return Ok(None) };
        Ok(Some(RefreshToken {
            session: SessionId::parse(&text(&row, "session_id")?)
                .ok_or(StoreError::Invalid("session id"))?,
            family: text(&row, "family")?,
            expires_at: time(&row, "expires_at")?,
            used_at: optional_time(&row, "used_at")?,
            successor_seed: optional_text(&row, "successor_seed")?.map(Secret::new),
        }))
    }

    /// The user of the token with this digest.
    pub async fn find_owner_of_refresh_token(
        &mut self,
        digest: &str,
    ) -> Result<Option<UserId>, StoreError> {
        let query = sqlx::query(
            "SELECT user_id FROM refresh_tokens JOIN sessions ON sessions.id = session_id \
             WHERE digest = $1",
        )
        .bind(digest.to_owned());
        let row = self.find(query).await?;
        row.map(|row| number(&row, "user_id").map(UserId::new)).transpose()
    }

    /// Consumes the token in one conditional write; returns whether it was unused.
    pub async fn use_refresh_token(
        &mut self,
        digest: &str,
        replaced_by: &str,
        successor_seed: &str,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let query = sqlx::query(
            "UPDATE refresh_tokens SET used_at = $2, replaced_by = $3, successor_seed = $4 \
             WHERE digest = $1 AND used_at IS NULL",
        )
        .bind(digest.to_owned())
        .bind(now.seconds())
        .bind(replaced_by.to_owned())
        .bind(successor_seed.to_owned());
        Ok(self.execute(query).await? > 0)
    }

    /// Consumes all tokens of the family.
    pub async fn revoke_family(
        &mut self,
        family: &str,
        session: SessionId,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let query = sqlx::query(
            "UPDATE refresh_tokens SET used_at = $3 \
             WHERE session_id = $1 AND family = $2 AND used_at IS NULL",
        )
        .bind(session.to_string())
        .bind(family.to_owned())
        .bind(now.seconds());
        self.execute(query).await.map(|_| ())
    }

    /// Removes at most `limit` seeds of tokens used before this time; returns how many.
    pub async fn forget_successor_seeds(
        &mut self,
        before: Timestamp,
        limit: i64,
    ) -> Result<u64, StoreError> {
        let query = sqlx::query(
            "UPDATE refresh_tokens SET successor_seed = NULL WHERE digest IN \
             (SELECT digest FROM refresh_tokens \
             WHERE successor_seed IS NOT NULL AND used_at < $1 LIMIT $2)",
        )
        .bind(before.seconds())
        .bind(limit);
        self.execute(query).await
    }

    /// Removes at most `limit` tokens that expired before this time; returns how many.
    pub async fn remove_ended_refresh_tokens(
        &mut self,
        before: Timestamp,
        limit: i64,
    ) -> Result<u64, StoreError> {
        let query = sqlx::query(
            "DELETE FROM refresh_tokens WHERE digest IN \
             (SELECT digest FROM refresh_tokens WHERE expires_at < $1 LIMIT $2)",
        )
        .bind(before.seconds())
        .bind(limit);
        self.execute(query).await
    }
}
