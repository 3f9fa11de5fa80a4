//! Table `changes`: the change feed, by which other processes on the same database learn of changes within 1 s.
//!
//! SQLite commits one writer at a time, so `seq` grows in the order of commits. PostgreSQL assigns numbers
//! before the commit, so a reader must wait for gaps to be filled; [`XidHorizon`] tells how long.

use std::time::Duration;

use sqlx::any::AnyRow;

use super::dialect::Dialect;
use super::transaction::{number, text};
use super::{StoreError, Transaction};
use guarita_core::revocation_key::{RevocationKey, RevokedMark};
use guarita_core::{ApiKeyId, SessionId, Timestamp, UserId};

/// Maximum number of change numbers per statement.
const AT_ONCE: usize = 32;

/// A change as read by the feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotedChange {
    /// Its number.
    pub number: i64,
    /// What changed.
    pub change: Change,
    /// When it was written, before its commit: milliseconds since the epoch by the database's clock.
    pub noted_ms: i64,
}

/// The horizon of a transaction that reads the feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct XidHorizon {
    /// All transactions with lower ids have ended, and their commits are visible.
    pub ended_below: i64,
    /// The id of the server process; another one is another server, or the same after a restart.
    pub server: i64,
    /// Milliseconds since the epoch by the database's clock.
    pub now_ms: i64,
}

/// What changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The session was revoked, or its second factor verified.
    Session(SessionId),
    /// The user was disabled or enabled, its roles or its required second factor changed, or all its sessions were
    /// revoked.
    User(UserId),
    /// The key was revoked.
    ApiKey(ApiKeyId),
    /// Keys were added, removed or re-encrypted.
    Keys,
    /// A secret of a client was created or revoked.
    Clients,
    /// Provider tokens were revoked.
    Tokens(RevokedMark),
    /// Written by a newer version: readers must clear their caches.
    Unknown,
}

impl Change {
    fn parse(kind: &str, key: &str) -> Self {
        let change = match kind {
            "session" => SessionId::parse(key).map(Self::Session),
            "user" => key.parse().ok().map(|id| Self::User(UserId::new(id))),
            "api_key" => key.parse().ok().map(|id| Self::ApiKey(ApiKeyId::new(id))),
            "keys" => Some(Self::Keys),
            "client" => Some(Self::Clients),
            "tokens" => revoked_mark(key).map(Self::Tokens),
            _ => None,
        };
        change.unwrap_or(Self::Unknown)
    }
}

fn noted(row: &AnyRow) -> Result<NotedChange, StoreError> {
    Ok(NotedChange {
        number: number(row, "seq")?,
        change: Change::parse(&text(row, "kind")?, &text(row, "key")?),
        noted_ms: number(row, "noted_ms")?,
    })
}

/// Parses a revocation key and its two times, as written by [`Transaction::append_token_change`].
fn revoked_mark(key: &str) -> Option<RevokedMark> {
    let mut parts = key.split(' ');
    let mark = RevocationKey::parse(parts.next()?)?;
    let mut time = || parts.next()?.parse().ok().map(Timestamp::from_seconds);
    let (revoked_at, keep_until) = (time()?, time()?);
    Some(RevokedMark { mark, revoked_at, keep_until })
}

impl Transaction {
    pub(super) async fn append_session_change(
        &mut self,
        session: SessionId,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.append("session", session.to_string(), now).await
    }

    pub(super) async fn append_user_change(
        &mut self,
        user: UserId,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.append("user", user.to_string(), now).await
    }

    pub(super) async fn append_api_key_change(
        &mut self,
        key: ApiKeyId,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.append("api_key", key.to_string(), now).await
    }

    pub(super) async fn append_keys_change(&mut self, now: Timestamp) -> Result<(), StoreError> {
        self.append("keys", String::new(), now).await
    }

    pub(super) async fn append_client_change(
        &mut self,
        name: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.append("client", name.to_owned(), now).await
    }

    pub(super) async fn append_token_change(
        &mut self,
        revoked: RevokedMark,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let RevokedMark { mark, revoked_at, keep_until } = revoked;
        let (from, until) = (revoked_at.seconds(), keep_until.seconds());
        self.append("tokens", format!("{} {from} {until}", mark.text()), now).await
    }

    async fn append(
        &mut self,
        kind: &'static str,
        key: String,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let query = sqlx::query("INSERT INTO changes (kind, key, at) VALUES ($1, $2, $3)")
            .bind(kind)
            .bind(key)
            .bind(now.seconds());
        self.execute(query).await?;
        self.note_change();
        Ok(())
    }

    /// The horizon of this transaction and of everything that it reads from here on. With SQLite there are no concurrent
    /// writers.
    pub async fn horizon(&mut self) -> Result<XidHorizon, StoreError> {
        let statement = match self.dialect() {
            Dialect::Sqlite => {
                "SELECT 0 AS ended_below, 0 AS server, \
                 CAST((julianday('now') - 2440587.5) * 86400000.0 AS INTEGER) AS now_ms"
            }
            Dialect::Postgres => {
                "SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS ended_below, \
                 (EXTRACT(EPOCH FROM pg_postmaster_start_time()) * 1000000)::bigint AS server, \
                 (EXTRACT(EPOCH FROM clock_timestamp()) * 1000)::bigint AS now_ms"
            }
        };
        let row = self.find(sqlx::query(statement)).await?;
        let row = row.ok_or(StoreError::Invalid("horizon"))?;
        Ok(XidHorizon {
            ended_below: number(&row, "ended_below")?,
            server: number(&row, "server")?,
            now_ms: number(&row, "now_ms")?,
        })
    }

    /// A number above the ids of all transactions that have appended a change so far, committed or not: when a
    /// [`XidHorizon`] reaches it, they have ended. Writing transactions take their id before anything else, and this one
    /// takes the next.
    pub async fn boundary(&mut self) -> Result<i64, StoreError> {
        match self.dialect() {
            Dialect::Sqlite => Ok(0),
            Dialect::Postgres => {
                let query = sqlx::query("SELECT pg_current_xact_id()::text::bigint AS boundary");
                let row = self.find(query).await?;
                number(&row.ok_or(StoreError::Invalid("boundary"))?, "boundary")
            }
        }
    }

    /// The number of the newest change; 0 if there is none.
    pub async fn last_change(&mut self) -> Result<i64, StoreError> {
        let query = sqlx::query("SELECT COALESCE(MAX(seq), 0) AS seq FROM changes");
        match self.find(query).await? {
            Some(row) => number(&row, "seq"),
            None => Ok(0),
        }
    }

    /// At most `limit` changes after the number `after`, oldest first.
    pub async fn changes_after(
        &mut self,
        after: i64,
        limit: i64,
    ) -> Result<Vec<NotedChange>, StoreError> {
        let query = sqlx::query(
            "SELECT seq, kind, key, noted_ms FROM changes WHERE seq > $1 ORDER BY seq LIMIT $2",
        )
        .bind(after)
        .bind(limit);
        self.all(query).await?.iter().map(noted).collect()
    }

    /// The existing changes among these numbers.
    pub async fn changes_with(&mut self, numbers: &[i64]) -> Result<Vec<NotedChange>, StoreError> {
        let mut found = Vec::new();
        for some in numbers.chunks(AT_ONCE) {
            // One statement for any count: what is over is asked for again.
            let mut query = sqlx::query(
                "SELECT seq, kind, key, noted_ms FROM changes WHERE seq IN ($1, $2, $3, $4, $5, $6, \
                 $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, \
                 $24, $25, $26, $27, $28, $29, $30, $31, $32) ORDER BY seq",
            );
            for number in some.iter().cycle().take(AT_ONCE) {
                query = query.bind(*number);
            }
            for row in self.all(query).await? {
                found.push(noted(&row)?);
            }
        }
        Ok(found)
    }

    /// Removes those of the `limit` oldest changes that are older than `age`, and returns how many. The database's clock
    /// is used, because with a gateway's wrong clock a change could be removed before all have read it.
    pub async fn prune_changes(&mut self, age: Duration, limit: i64) -> Result<u64, StoreError> {
        let age = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
        let before = self.horizon().await?.now_ms.saturating_sub(age);
        // All numbers are above 0: said so that no plan goes over the whole table.
        let query = sqlx::query(
            "DELETE FROM changes WHERE seq IN (SELECT seq FROM (SELECT seq, noted_ms FROM changes \
             WHERE seq > 0 ORDER BY seq LIMIT $1) AS oldest WHERE noted_ms < $2)",
        )
        .bind(limit)
        .bind(before);
        self.execute(query).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_read_is_doubted() {
        assert_eq!(Change::parse("user", "7"), Change::User(UserId::new(7)));
        assert_eq!(Change::parse("api_key", "7"), Change::ApiKey(ApiKeyId::new(7)));
        assert_eq!(Change::parse("client", "portal"), Change::Clients);
        for (kind, key) in [
            ("user", "x"),
            ("session", "7"),
            ("api_key", "x"),
            ("tokens", "x 1 2"),
            ("tokens", ""),
            ("something", "7"),
            ("", ""),
        ] {
            assert_eq!(Change::parse(kind, key), Change::Unknown, "{kind} {key}");
        }
    }
}
