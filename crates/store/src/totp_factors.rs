//! Tables `totp_factors` and `recovery_codes`.

use super::transaction::{number, optional_time, text};
use super::{StoreError, Transaction};
use guarita_core::{SessionId, Timestamp, UserId};

/// The TOTP secret of one account.
#[derive(Debug, Clone)]
pub struct TotpFactor {
    /// The secret, encrypted.
    pub sealed: String,
    /// The id of the key that encrypted it.
    pub key_id: String,
    /// When it was confirmed; pending until then.
    pub confirmed_at: Option<Timestamp>,
    /// Locked before this time.
    pub locked_until: Option<Timestamp>,
}

impl Transaction {
    /// Replaces a pending second factor; false if there is an active one. Failures and lock are kept.
    pub async fn put_pending_totp(
        &mut self,
        user: UserId,
        session: SessionId,
        sealed: &str,
        key_id: &str,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let query = sqlx::query(
            "INSERT INTO totp_factors (user_id, session_id, sealed, key_id, created_at) \
             VALUES ($1, $2, $3, $4, $5) ON CONFLICT (user_id) DO UPDATE SET \
             session_id = excluded.session_id, sealed = excluded.sealed, \
             key_id = excluded.key_id, created_at = excluded.created_at \
             WHERE totp_factors.confirmed_at IS NULL",
        )
        .bind(user.get())
        .bind(session.to_string())
        .bind(sealed.to_owned())
        .bind(key_id.to_owned())
        .bind(now.seconds());
        Ok(self.execute(query).await? > 0)
    }

    /// The user's second factor, pending or active. A pending one belongs to the session that requested it.
    pub async fn find_totp(
        &mut self,
        user: UserId,
        pending_in: Option<SessionId>,
    ) -> Result<Option<TotpFactor>, StoreError> {
        let query = sqlx::query(
            "SELECT sealed, key_id, confirmed_at, locked_until FROM totp_factors WHERE user_id = $1 \
             AND (confirmed_at IS NOT NULL OR session_id = $2)",
        )
        .bind(user.get())
        .bind(pending_in.map(|session| session.to_string()).unwrap_or_default());
        let Some(row) = self.find(query).await? else { return Ok(None) };
        Ok(Some(TotpFactor {
            sealed: text(&row, "sealed")?,
            key_id: text(&row, "key_id")?,
            confirmed_at: optional_time(&row, "confirmed_at")?,
            locked_until: optional_time(&row, "locked_until")?,
        }))
    }

    /// The number of accounts with an active second factor.
    pub async fn count_totp(&mut self) -> Result<i64, StoreError> {
        let query = sqlx::query(
            "SELECT COUNT(*) AS active FROM totp_factors WHERE confirmed_at IS NOT NULL",
        );
        self.find(query).await?.map_or(Ok(0), |row| number(&row, "active"))
    }

    /// Activates the pending second factor and consumes its first code; false if it is another one.
    pub async fn confirm_totp(
        &mut self,
        user: UserId,
        sealed: &str,
        step: i64,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let query = sqlx::query(
            "UPDATE totp_factors SET confirmed_at = $2, last_step = $3, last_step_at = $4, \
             failures = 0, locked_until = NULL \
             WHERE user_id = $1 AND confirmed_at IS NULL AND sealed = $5",
        )
        .bind(user.get())
        .bind(now.seconds())
        .bind(step)
        .bind(now.seconds())
        .bind(sealed.to_owned());
        Ok(self.execute(query).await? > 0)
    }

    /// Consumes the code of a step, once: only later steps are accepted, unless the last was used before `forget`.
    pub async fn use_totp_step(
        &mut self,
        user: UserId,
        step: i64,
        forget: Timestamp,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let query = sqlx::query(
            "UPDATE totp_factors SET last_step = $2, last_step_at = $3, failures = 0, \
             locked_until = NULL WHERE user_id = $1 AND confirmed_at IS NOT NULL \
             AND (last_step IS NULL OR last_step < $4 OR last_step_at < $5) \
             AND (locked_until IS NULL OR locked_until <= $6)",
        )
        .bind(user.get())
        .bind(step)
        .bind(now.seconds())
        .bind(step)
        .bind(forget.seconds())
        .bind(now.seconds());
        Ok(self.execute(query).await? > 0)
    }

    /// Replaces the secret by the same one encrypted with another key.
    pub async fn reseal_totp(
        &mut self,
        user: UserId,
        sealed: &str,
        key_id: &str,
    ) -> Result<(), StoreError> {
        let query =
            sqlx::query("UPDATE totp_factors SET sealed = $2, key_id = $3 WHERE user_id = $1")
                .bind(user.get())
                .bind(sealed.to_owned())
                .bind(key_id.to_owned());
        self.execute(query).await.map(|_| ())
    }

    /// Counts a wrong code; returns the number of consecutive ones.
    pub async fn count_totp_failure(&mut self, user: UserId) -> Result<u32, StoreError> {
        let query = sqlx::query(
            "UPDATE totp_factors SET failures = failures + 1 WHERE user_id = $1 RETURNING failures",
        )
        .bind(user.get());
        let failures = self.find(query).await?.map_or(Ok(0), |row| number(&row, "failures"))?;
        u32::try_from(failures).map_err(|_| StoreError::Invalid("count of failures"))
    }

    /// Locks the second factor until this time; the count is kept.
    pub async fn lock_totp(&mut self, user: UserId, until: Timestamp) -> Result<(), StoreError> {
        let query = sqlx::query("UPDATE totp_factors SET locked_until = $2 WHERE user_id = $1")
            .bind(user.get())
            .bind(until.seconds());
        self.execute(query).await.map(|_| ())
    }

    /// Removes the second factor and its recovery codes.
    pub async fn remove_totp(&mut self, user: UserId) -> Result<bool, StoreError> {
        self.remove_recovery_codes(user).await?;
        let factor = sqlx::query("DELETE FROM totp_factors WHERE user_id = $1").bind(user.get());
        Ok(self.execute(factor).await? > 0)
    }

    /// Removes the recovery codes.
    pub async fn remove_recovery_codes(&mut self, user: UserId) -> Result<(), StoreError> {
        let query = sqlx::query("DELETE FROM recovery_codes WHERE user_id = $1").bind(user.get());
        self.execute(query).await.map(|_| ())
    }

    /// The number of unused recovery codes.
    pub async fn count_recovery_codes(&mut self, user: UserId) -> Result<i64, StoreError> {
        let query = sqlx::query(
            "SELECT COUNT(*) AS unused FROM recovery_codes WHERE user_id = $1 AND used_at IS NULL",
        )
        .bind(user.get());
        self.find(query).await?.map_or(Ok(0), |row| number(&row, "unused"))
    }

    /// Adds one recovery code.
    pub async fn insert_recovery_code(
        &mut self,
        user: UserId,
        digest: &str,
    ) -> Result<(), StoreError> {
        let query = sqlx::query("INSERT INTO recovery_codes (user_id, digest) VALUES ($1, $2)")
            .bind(user.get())
            .bind(digest.to_owned());
        self.execute(query).await.map(|_| ())
    }

    /// Consumes a recovery code, once, and resets failures.
    pub async fn use_recovery_code(
        &mut self,
        user: UserId,
        digest: &str,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let query = sqlx::query(
            "UPDATE recovery_codes SET used_at = $3 \
             WHERE user_id = $1 AND digest = $2 AND used_at IS NULL",
        )
        .bind(user.get())
        .bind(digest.to_owned())
        .bind(now.seconds());
        if self.execute(query).await? == 0 {
            return Ok(false);
        }
        let query =
            sqlx::query("UPDATE totp_factors SET failures = 0 WHERE user_id = $1").bind(user.get());
        self.execute(query).await.map(|_| true)
    }
}
