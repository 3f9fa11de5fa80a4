//! Table `sessions`.

use std::net::IpAddr;
use std::time::Duration;

use sqlx::any::AnyRow;

use super::transaction::{number, optional_text, optional_time, text, time};
use super::{StoreError, Transaction};
use guarita_core::{Roles, SessionId, Timestamp, UserId};

/// Maximum number of rows per statement of revoking or listing.
const BATCH: i64 = 1_000;

/// A session.
#[derive(Debug, Clone)]
pub struct StoredSession {
    /// Its id (`sid`).
    pub id: SessionId,
    /// Whose.
    pub user: UserId,
    /// When it began.
    pub created_at: Timestamp,
    /// The last login or refresh; not updated by every request.
    pub last_used_at: Timestamp,
    /// Expired from this second on.
    pub expires_at: Timestamp,
    /// When it was revoked, if it was.
    pub revoked_at: Option<Timestamp>,
    /// The client's address at the login.
    pub address: Option<String>,
    /// The user agent at the login, at most 256 bytes.
    pub user_agent: Option<String>,
    /// When a second factor was verified in it.
    pub second_factor_at: Option<Timestamp>,
    /// SHA-256 of its cookie, if it is a browser session.
    pub cookie_digest: Option<String>,
    /// The roles stated by a provider at the login, if any.
    pub roles: Option<Roles>,
}

impl StoredSession {
    /// Neither revoked nor expired.
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && now < self.expires_at
    }
}

/// A new session.
#[derive(Debug)]
pub struct NewSession<'a> {
    /// Its id.
    pub id: SessionId,
    /// Whose.
    pub user: UserId,
    /// When it expires.
    pub expires_at: Timestamp,
    /// The client's address.
    pub address: Option<IpAddr>,
    /// The user agent; truncated to 256 bytes by the caller.
    pub user_agent: Option<&'a str>,
    /// When a second factor was verified.
    pub second_factor_at: Option<Timestamp>,
    /// SHA-256 of its cookie, for a browser session.
    pub cookie_digest: Option<String>,
}

fn id(row: &AnyRow) -> Result<SessionId, StoreError> {
    SessionId::parse(&text(row, "id")?).ok_or(StoreError::Invalid("session id"))
}

fn roles(names: &str) -> Result<Roles, StoreError> {
    Roles::parse(names.split(',')).map_err(|_| StoreError::Invalid("roles of a session"))
}

/// The columns that `session` reads.
macro_rules! columns {
    () => {
        "id, user_id, created_at, last_used_at, expires_at, revoked_at, address, user_agent, \
         second_factor_at, cookie_digest, roles"
    };
}

fn session(row: &AnyRow) -> Result<StoredSession, StoreError> {
    Ok(StoredSession {
        id: id(row)?,
        user: UserId::new(number(row, "user_id")?),
        created_at: time(row, "created_at")?,
        last_used_at: time(row, "last_used_at")?,
        expires_at: time(row, "expires_at")?,
        revoked_at: optional_time(row, "revoked_at")?,
        address: optional_text(row, "address")?,
        user_agent: optional_text(row, "user_agent")?,
        second_factor_at: optional_time(row, "second_factor_at")?,
        cookie_digest: optional_text(row, "cookie_digest")?,
        roles: optional_text(row, "roles")?.map(|names| roles(&names)).transpose()?,
    })
}

/// The conditions of cleanup; each has an index.
macro_rules! ended {
    () => {
        "SELECT id FROM sessions WHERE COALESCE(keep_until, expires_at) < $1 AND expires_at < $1 \
         ORDER BY COALESCE(keep_until, expires_at)"
    };
}
macro_rules! revoked {
    () => {
        "SELECT id FROM sessions WHERE revoked_at < $1 AND issuer IS NULL ORDER BY revoked_at"
    };
}
macro_rules! tokens_of {
    () => {
        "DELETE FROM refresh_tokens WHERE digest IN \
         (SELECT digest FROM refresh_tokens WHERE session_id IN ("
    };
}
macro_rules! without_tokens {
    () => {
        "DELETE FROM sessions WHERE id IN (SELECT id FROM ("
    };
}
macro_rules! no_tokens {
    () => {
        "NOT EXISTS (SELECT 1 FROM refresh_tokens WHERE session_id = ended.id)"
    };
}

impl Transaction {
    /// Opens a session.
    pub async fn insert_session(
        &mut self,
        new: &NewSession<'_>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let query = sqlx::query(
            "INSERT INTO sessions (id, user_id, created_at, last_used_at, expires_at, address, \
             user_agent, second_factor_at, cookie_digest) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        )
        .bind(new.id.to_string())
        .bind(new.user.get())
        .bind(now.seconds())
        .bind(now.seconds())
        .bind(new.expires_at.seconds())
        .bind(new.address.map(|address| address.to_string()))
        .bind(new.user_agent.map(ToOwned::to_owned))
        .bind(new.second_factor_at.map(Timestamp::seconds))
        .bind(new.cookie_digest.clone());
        self.execute(query).await.map(|_| ())
    }

    /// Sets the roles of a session stated by a provider; must not be empty.
    pub async fn set_session_roles(
        &mut self,
        session_id: SessionId,
        roles: &Roles,
    ) -> Result<(), StoreError> {
        let names = roles.iter().collect::<Vec<_>>().join(",");
        let query = sqlx::query("UPDATE sessions SET roles = $2 WHERE id = $1")
            .bind(session_id.to_string())
            .bind(names);
        self.execute(query).await.map(|_| ())
    }

    /// Extends a browser session: it expires `idle` after now, but never later than `lifetime` after it began. Returns
    /// whether it was active.
    pub async fn renew_browser_session(
        &mut self,
        session_id: SessionId,
        idle: Duration,
        lifetime: Duration,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let query = sqlx::query(
            "UPDATE sessions SET last_used_at = $2, expires_at = CASE \
             WHEN created_at + $4 < $3 THEN created_at + $4 ELSE $3 END \
             WHERE id = $1 AND revoked_at IS NULL AND expires_at > $2 \
             AND cookie_digest IS NOT NULL",
        )
        .bind(session_id.to_string())
        .bind(now.seconds())
        .bind(now.plus(idle).seconds())
        .bind(i64::try_from(lifetime.as_secs()).unwrap_or(i64::MAX / 2));
        Ok(self.execute(query).await? > 0)
    }

    /// The session with this id, also if it has ended.
    pub async fn find_session(
        &mut self,
        session_id: SessionId,
    ) -> Result<Option<StoredSession>, StoreError> {
        let query = sqlx::query(concat!("SELECT ", columns!(), " FROM sessions WHERE id = $1"))
            .bind(session_id.to_string());
        self.find(query).await?.as_ref().map(session).transpose()
    }

    /// At most 1,000 active sessions of the user, newest first.
    pub async fn list_sessions(
        &mut self,
        user: UserId,
        now: Timestamp,
    ) -> Result<Vec<StoredSession>, StoreError> {
        let query = sqlx::query(concat!(
            "SELECT ",
            columns!(),
            " FROM sessions WHERE user_id = $1 AND revoked_at IS NULL \
             AND expires_at > $2 ORDER BY created_at DESC, id DESC LIMIT $3"
        ))
        .bind(user.get())
        .bind(now.seconds())
        .bind(BATCH);
        self.all(query).await?.iter().map(session).collect()
    }

    /// Records a use and extends the expiry, never shortens it.
    pub async fn extend_session(
        &mut self,
        session_id: SessionId,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let query = sqlx::query(
            "UPDATE sessions SET last_used_at = $2, expires_at = CASE WHEN expires_at > $3 \
             THEN expires_at ELSE $4 END WHERE id = $1",
        )
        .bind(session_id.to_string())
        .bind(now.seconds())
        .bind(expires_at.seconds())
        .bind(expires_at.seconds());
        self.execute(query).await.map(|_| ())
    }

    /// Records that a second factor was verified in the session.
    pub async fn prove_second_factor(
        &mut self,
        session_id: SessionId,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let query = sqlx::query("UPDATE sessions SET second_factor_at = $2 WHERE id = $1")
            .bind(session_id.to_string())
            .bind(now.seconds());
        self.execute(query).await?;
        self.append_session_change(session_id, now).await
    }

    /// Revokes a session and its refresh tokens; returns whether it was not revoked yet.
    pub async fn revoke_session(
        &mut self,
        session_id: SessionId,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let query =
            sqlx::query("UPDATE sessions SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL")
                .bind(session_id.to_string())
                .bind(now.seconds());
        let revoked = self.execute(query).await? > 0;
        if revoked {
            self.append_session_change(session_id, now).await?;
        }
        Ok(revoked)
    }

    /// Revokes all sessions of the user, and prevents earlier provider tokens from opening new ones; returns how many
    /// were active.
    pub async fn revoke_sessions_of(
        &mut self,
        user: UserId,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        let query = sqlx::query(
            "SELECT COUNT(*) AS live FROM sessions \
             WHERE user_id = $1 AND revoked_at IS NULL AND expires_at > $2",
        )
        .bind(user.get())
        .bind(now.seconds());
        let live = match self.find(query).await? {
            Some(row) => number(&row, "live")?,
            None => 0,
        };
        let query = sqlx::query(
            "UPDATE sessions SET revoked_at = $2 WHERE user_id = $1 AND revoked_at IS NULL",
        )
        .bind(user.get())
        .bind(now.seconds());
        self.execute(query).await?;
        self.note_sessions_revoked(user, now).await?;
        self.append_user_change(user, now).await?;
        Ok(u64::try_from(live).unwrap_or(0))
    }

    /// Revokes all sessions of the user except one, and prevents earlier provider tokens from opening new ones.
    pub async fn revoke_other_sessions(
        &mut self,
        user: UserId,
        kept: SessionId,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let query = sqlx::query(
            "UPDATE sessions SET revoked_at = $3 \
             WHERE user_id = $1 AND id <> $2 AND revoked_at IS NULL",
        )
        .bind(user.get())
        .bind(kept.to_string())
        .bind(now.seconds());
        self.execute(query).await?;
        self.note_sessions_revoked(user, now).await?;
        self.append_user_change(user, now).await
    }

    /// Revokes the oldest active sessions of the user so that at most `keep` remain; returns the revoked ones.
    pub async fn revoke_oldest_sessions(
        &mut self,
        user: UserId,
        keep: i64,
        now: Timestamp,
    ) -> Result<Vec<SessionId>, StoreError> {
        let query = sqlx::query(
            "UPDATE sessions SET revoked_at = $1 WHERE id IN (SELECT id FROM sessions \
             WHERE user_id = $2 AND revoked_at IS NULL AND expires_at > $3 \
             ORDER BY created_at DESC, id DESC LIMIT $4 OFFSET $5) RETURNING id",
        )
        .bind(now.seconds())
        .bind(user.get())
        .bind(now.seconds())
        .bind(BATCH)
        .bind(keep);
        let rows = self.all(query).await?;
        let revoked = rows.iter().map(id).collect::<Result<Vec<_>, _>>()?;
        for session_id in &revoked {
            self.append_session_change(*session_id, now).await?;
        }
        Ok(revoked)
    }

    /// Removes sessions that expired before this time, and first their refresh tokens, at most `limit` of each; returns
    /// the number of rows.
    pub async fn remove_ended_sessions(
        &mut self,
        before: Timestamp,
        limit: i64,
    ) -> Result<u64, StoreError> {
        let tokens = concat!(tokens_of!(), ended!(), " LIMIT $2) LIMIT $2)");
        let sessions =
            concat!(without_tokens!(), ended!(), " LIMIT $2) AS ended WHERE ", no_tokens!(), ")");
        self.remove([tokens, sessions], before, limit).await
    }

    /// Like [`Transaction::remove_ended_sessions`], for sessions revoked before this time.
    pub async fn remove_revoked_sessions(
        &mut self,
        before: Timestamp,
        limit: i64,
    ) -> Result<u64, StoreError> {
        let tokens = concat!(tokens_of!(), revoked!(), " LIMIT $2) LIMIT $2)");
        let sessions =
            concat!(without_tokens!(), revoked!(), " LIMIT $2) AS ended WHERE ", no_tokens!(), ")");
        self.remove([tokens, sessions], before, limit).await
    }

    async fn remove(
        &mut self,
        statements: [&'static str; 2],
        before: Timestamp,
        limit: i64,
    ) -> Result<u64, StoreError> {
        let mut removed = 0;
        for statement in statements {
            let query = sqlx::query(statement).bind(before.seconds()).bind(limit);
            removed += self.execute(query).await?;
        }
        Ok(removed)
    }
}
