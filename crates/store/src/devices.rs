//! Table `devices`, and counters of failed logins, from a known device or from anywhere else.

use sqlx::any::AnyRow;

use super::transaction::{number, optional_text, optional_time, text, time};
use super::{StoreError, Transaction, UnknownName};
use guarita_core::{Roles, Secret, Timestamp, UserId};

/// A known device.
#[derive(Debug, Clone)]
pub struct Device {
    /// The digest of its token.
    pub digest: String,
    /// The account.
    pub user: UserId,
    /// Expired from this time on.
    pub expires_at: Timestamp,
    /// Locked before this time.
    pub locked_until: Option<Timestamp>,
}

/// The counter of failures.
#[derive(Debug, Clone, Copy)]
pub enum Counter<'a> {
    /// The account's: attempts from anywhere but its known devices.
    User(UserId),
    /// A known device's, by its digest.
    Device(&'a str),
    /// That of an unknown name.
    Name(&'a UnknownName),
}

/// The result of recording a success.
#[derive(Debug, Clone)]
pub struct RecordedLogin {
    /// The account's roles.
    pub roles: Roles,
    /// Whether it has an active second factor.
    pub has_factor: bool,
    /// Number of active sessions.
    pub sessions: i64,
    /// Number of known devices.
    pub devices: i64,
}

/// Counts of consecutive failures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failures {
    /// Since the last lock.
    pub since_lock: u32,
    /// Across locks.
    pub in_a_row: u32,
}

fn device(row: &AnyRow) -> Result<Device, StoreError> {
    Ok(Device {
        digest: text(row, "digest")?,
        user: UserId::new(number(row, "user_id")?),
        expires_at: time(row, "expires_at")?,
        locked_until: optional_time(row, "locked_until")?,
    })
}

fn success(row: &AnyRow) -> Result<RecordedLogin, StoreError> {
    let roles = optional_text(row, "roles")?.unwrap_or_default();
    let roles = Roles::parse(roles.split(',').filter(|name| !name.is_empty()));
    Ok(RecordedLogin {
        roles: roles.map_err(|_| StoreError::Invalid("role"))?,
        has_factor: number(row, "factors")? > 0,
        sessions: number(row, "sessions")?,
        devices: number(row, "devices")?,
    })
}

/// The columns that a login needs, read by the statement that records it: `$1` is the account, `$2` the time.
macro_rules! returning_success {
    () => {
        " RETURNING \
         (SELECT string_agg(role, ',') FROM user_roles WHERE user_id = $1) AS roles, \
         (SELECT COUNT(*) FROM totp_factors \
         WHERE user_id = $1 AND confirmed_at IS NOT NULL) AS factors, \
         (SELECT COUNT(*) FROM sessions \
         WHERE user_id = $1 AND revoked_at IS NULL AND expires_at > $2) AS sessions, \
         (SELECT COUNT(*) FROM devices WHERE user_id = $1) AS devices"
    };
}

fn count(row: &AnyRow, column: &str) -> Result<u32, StoreError> {
    u32::try_from(number(row, column)?).map_err(|_| StoreError::Invalid("count of failures"))
}

impl Transaction {
    /// The device with this digest.
    pub async fn find_device(&mut self, digest: &str) -> Result<Option<Device>, StoreError> {
        let query = sqlx::query(
            "SELECT digest, user_id, expires_at, locked_until FROM devices WHERE digest = $1",
        )
        .bind(digest.to_owned());
        self.find(query).await?.as_ref().map(device).transpose()
    }

    /// Adds a known device.
    pub async fn insert_device(&mut self, new: &Device, now: Timestamp) -> Result<(), StoreError> {
        let query = sqlx::query(
            "INSERT INTO devices (digest, user_id, created_at, last_used_at, expires_at) \
             VALUES ($1, $2, $3, $3, $4)",
        )
        .bind(new.digest.clone())
        .bind(new.user.get())
        .bind(now.seconds())
        .bind(new.expires_at.seconds());
        self.execute(query).await.map(|_| ())
    }

    /// Removes the least recently used devices of the account, so that `most` remain.
    pub async fn forget_oldest_devices(
        &mut self,
        user: UserId,
        most: i64,
    ) -> Result<(), StoreError> {
        let query = sqlx::query(
            "DELETE FROM devices WHERE user_id = $1 AND digest NOT IN (SELECT digest FROM devices \
             WHERE user_id = $1 ORDER BY last_used_at DESC, created_at DESC, digest LIMIT $2)",
        )
        .bind(user.get())
        .bind(most);
        self.execute(query).await.map(|_| ())
    }

    /// Removes the devices of an account.
    pub async fn forget_devices(&mut self, user: UserId) -> Result<(), StoreError> {
        let query = sqlx::query("DELETE FROM devices WHERE user_id = $1").bind(user.get());
        self.execute(query).await.map(|_| ())
    }

    /// Removes at most `limit` devices that expired before this time; returns how many.
    pub async fn prune_devices(
        &mut self,
        before: Timestamp,
        limit: i64,
    ) -> Result<u64, StoreError> {
        let query = sqlx::query(
            "DELETE FROM devices WHERE digest IN \
             (SELECT digest FROM devices WHERE expires_at < $1 LIMIT $2)",
        )
        .bind(before.seconds())
        .bind(limit);
        self.execute(query).await
    }

    /// Counts a failure, unless it is locked; returns the new counts.
    pub async fn count_failure(
        &mut self,
        counter: Counter<'_>,
        now: Timestamp,
    ) -> Result<Option<Failures>, StoreError> {
        let query = match counter {
            Counter::User(id) => sqlx::query(
                "UPDATE users SET failures = failures + 1, \
                 failures_in_a_row = failures_in_a_row + 1 \
                 WHERE id = $1 AND (locked_until IS NULL OR locked_until <= $2) \
                 RETURNING failures, failures_in_a_row",
            )
            .bind(id.get()),
            Counter::Device(digest) => sqlx::query(
                "UPDATE devices SET failures = failures + 1, \
                 failures_in_a_row = failures_in_a_row + 1 \
                 WHERE digest = $1 AND (locked_until IS NULL OR locked_until <= $2) \
                 RETURNING failures, failures_in_a_row",
            )
            .bind(digest.to_owned()),
            // Another name in the slot makes way.
            Counter::Name(name) => sqlx::query(
                "INSERT INTO name_failures (slot, name, failures, failures_in_a_row) \
                 VALUES ($1, $2, 1, 1) ON CONFLICT (slot) DO UPDATE SET \
                 failures = CASE WHEN name_failures.name = excluded.name \
                 THEN name_failures.failures + 1 ELSE 1 END, \
                 failures_in_a_row = CASE WHEN name_failures.name = excluded.name \
                 THEN name_failures.failures_in_a_row + 1 ELSE 1 END, \
                 locked_until = CASE WHEN name_failures.name = excluded.name \
                 THEN name_failures.locked_until ELSE NULL END, name = excluded.name \
                 WHERE name_failures.name <> excluded.name \
                 OR name_failures.locked_until IS NULL OR name_failures.locked_until <= $3 \
                 RETURNING failures, failures_in_a_row",
            )
            .bind(i64::from(name.slot))
            .bind(name.digest.clone()),
        };
        let Some(row) = self.find(query.bind(now.seconds())).await? else { return Ok(None) };
        let (since_lock, in_a_row) = (count(&row, "failures")?, count(&row, "failures_in_a_row")?);
        Ok(Some(Failures { since_lock, in_a_row }))
    }

    /// Locks until this time and resets the count towards the next lock.
    pub async fn lock(&mut self, counter: Counter<'_>, until: Timestamp) -> Result<(), StoreError> {
        let query = match counter {
            Counter::User(id) => {
                sqlx::query("UPDATE users SET failures = 0, locked_until = $2 WHERE id = $1")
                    .bind(id.get())
            }
            Counter::Device(digest) => {
                sqlx::query("UPDATE devices SET failures = 0, locked_until = $2 WHERE digest = $1")
                    .bind(digest.to_owned())
            }
            Counter::Name(name) => sqlx::query(
                "UPDATE name_failures SET failures = 0, locked_until = $2 WHERE slot = $1",
            )
            .bind(i64::from(name.slot)),
        };
        self.execute(query.bind(until.seconds())).await.map(|_| ())
    }

    /// Until when it is locked.
    pub async fn locked_until(
        &mut self,
        counter: Counter<'_>,
    ) -> Result<Option<Timestamp>, StoreError> {
        let query = match counter {
            Counter::User(id) => {
                sqlx::query("SELECT locked_until FROM users WHERE id = $1").bind(id.get())
            }
            Counter::Device(digest) => {
                sqlx::query("SELECT locked_until FROM devices WHERE digest = $1")
                    .bind(digest.to_owned())
            }
            Counter::Name(name) => {
                sqlx::query("SELECT locked_until FROM name_failures WHERE slot = $1 AND name = $2")
                    .bind(i64::from(name.slot))
                    .bind(name.digest.clone())
            }
        };
        let row = self.find(query).await?;
        row.map_or(Ok(None), |row| optional_time(&row, "locked_until"))
    }

    /// Ends a lock of the account and resets its failures.
    pub async fn unlock(&mut self, id: UserId) -> Result<(), StoreError> {
        let query = sqlx::query(
            "UPDATE users SET failures = 0, failures_in_a_row = 0, locked_until = NULL \
             WHERE id = $1",
        )
        .bind(id.get());
        self.execute(query).await.map(|_| ())
    }

    /// Records a success from anywhere but a known device: sets the hash to `hash` and resets failures, if the account
    /// is active, not locked, and its hash is still the one that was verified. Returns the result, if so.
    pub async fn record_success(
        &mut self,
        id: UserId,
        verified: &Secret,
        hash: &Secret,
        now: Timestamp,
    ) -> Result<Option<RecordedLogin>, StoreError> {
        let query = sqlx::query(concat!(
            "UPDATE users SET failures = 0, failures_in_a_row = 0, locked_until = NULL, \
             password_hash = $4 WHERE id = $1 AND password_hash = $3 AND active = 1 \
             AND (locked_until IS NULL OR locked_until <= $2)",
            returning_success!()
        ))
        .bind(id.get())
        .bind(now.seconds())
        .bind(verified.expose().to_owned())
        .bind(hash.expose().to_owned());
        self.find(query).await?.as_ref().map(success).transpose()
    }

    /// Like [`Self::record_success`], from a known device: resets its failures and extends its expiry to this time. The
    /// account's own failures are kept.
    pub async fn record_success_from(
        &mut self,
        device: &Device,
        verified: &Secret,
        hash: &Secret,
        now: Timestamp,
    ) -> Result<Option<RecordedLogin>, StoreError> {
        if hash != verified {
            let query = sqlx::query(
                "UPDATE users SET password_hash = $3 WHERE id = $1 AND password_hash = $2",
            )
            .bind(device.user.get())
            .bind(verified.expose().to_owned())
            .bind(hash.expose().to_owned());
            self.execute(query).await?;
        }
        let query = sqlx::query(concat!(
            "UPDATE devices SET failures = 0, failures_in_a_row = 0, locked_until = NULL, \
             last_used_at = $2, expires_at = $4 \
             WHERE digest = $3 AND (locked_until IS NULL OR locked_until <= $2) \
             AND EXISTS (SELECT 1 FROM users \
             WHERE id = $1 AND password_hash = $5 AND active = 1)",
            returning_success!()
        ))
        .bind(device.user.get())
        .bind(now.seconds())
        .bind(device.digest.clone())
        .bind(device.expires_at.seconds())
        .bind(hash.expose().to_owned());
        self.find(query).await?.as_ref().map(success).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;
    use crate::sample::{DAY, NOW};

    #[tokio::test]
    async fn failures_of_a_device_count_apart_and_devices_are_bounded() {
        let (_directory, store) = sample::open().await;
        let user = sample::user(&store, "ana").await;
        let mut transaction = store.begin_write().await.unwrap();
        for (digest, later) in [("a", 0), ("b", 1), ("c", 2)] {
            let device = Device {
                digest: digest.into(),
                user,
                expires_at: NOW.plus(DAY),
                locked_until: None,
            };
            let at = NOW.plus(std::time::Duration::from_secs(later));
            transaction.insert_device(&device, at).await.unwrap();
            transaction.forget_oldest_devices(user, 2).await.unwrap();
        }
        assert!(transaction.find_device("a").await.unwrap().is_none());
        let one = Some(Failures { since_lock: 1, in_a_row: 1 });
        let (account, device) = (Counter::User(user), Counter::Device("b"));
        assert_eq!(transaction.count_failure(account, NOW).await.unwrap(), one);
        assert_eq!(transaction.count_failure(device, NOW).await.unwrap(), one);
        transaction.lock(device, NOW.plus(DAY)).await.unwrap();
        assert_eq!(transaction.count_failure(device, NOW).await.unwrap(), None);
        let two = Some(Failures { since_lock: 2, in_a_row: 2 });
        assert_eq!(transaction.count_failure(account, NOW).await.unwrap(), two);
        assert_eq!(transaction.prune_devices(NOW.plus(DAY), 10).await.unwrap(), 0);
        assert_eq!(transaction.prune_devices(NOW.plus(DAY * 2), 10).await.unwrap(), 2);
    }
}
