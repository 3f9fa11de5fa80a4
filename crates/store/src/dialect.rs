//! Differences between SQLite and PostgreSQL: how a transaction begins, and which others are in progress.

use sqlx::{AssertSqlSafe, SqlSafeStr as _, SqlStr};

use guarita_core::UserId;

/// The class of Guarita's advisory locks: "guar" in ASCII.
const LOCKS: i64 = 0x6775_6172;

/// The database system of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    Sqlite,
    Postgres,
}

/// The purpose of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// To read a consistent snapshot.
    Read,
    /// To read the change feed.
    Follow,
    /// To start reading the change feed, without concurrent writers.
    Settle,
    /// To write anything, exclusively.
    Write,
    /// To remove some of many rows, exclusively.
    Sweep,
    /// To write data of one user, exclusively for this user.
    WriteFor(UserId),
}

impl Dialect {
    /// The statements that begin a transaction.
    ///
    /// SQLite: taking the write lock at once avoids a deadlock between two readers that upgrade.
    /// PostgreSQL: every statement after the lock sees everything that was committed under it. The transaction takes its
    /// id before anything else, for readers of the change feed: none of its changes may have a number before it has an
    /// id.
    pub(super) fn begin(self, purpose: Purpose) -> SqlStr {
        match (self, purpose) {
            // A single writer commits the numbers of changes in order, so every snapshot has all changes up to its
            // newest.
            (Self::Sqlite, Purpose::Read | Purpose::Follow | Purpose::Settle) => {
                "BEGIN".into_sql_str()
            }
            (Self::Sqlite, Purpose::Write | Purpose::Sweep | Purpose::WriteFor(_)) => {
                "BEGIN IMMEDIATE".into_sql_str()
            }
            (Self::Postgres, Purpose::Read) => {
                "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY".into_sql_str()
            }
            // Not READ ONLY: it may take a number of its own, see `Transaction::boundary`.
            (Self::Postgres, Purpose::Follow) => {
                "BEGIN ISOLATION LEVEL REPEATABLE READ".into_sql_str()
            }
            // Not REPEATABLE READ: its snapshot would be taken before the lock. Not READ ONLY: a standby, which
            // learns of changes late, would begin it. The wait is shorter than that for the feed's answer, and
            // others who would write queue behind it.
            (Self::Postgres, Purpose::Settle) => AssertSqlSafe(format!(
                "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; \
                 SET LOCAL lock_timeout = 500; \
                 SELECT 1 FROM pg_advisory_xact_lock({LOCKS})"
            ))
            .into_sql_str(),
            (Self::Postgres, Purpose::Write) => AssertSqlSafe(format!(
                "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; \
                 SELECT 1 FROM pg_advisory_xact_lock({LOCKS}); \
                 SELECT pg_current_xact_id()::text"
            ))
            .into_sql_str(),
            // Of a large table it would read all to find a few hundred rows that another query names: it takes
            // what that returns for many more.
            (Self::Postgres, Purpose::Sweep) => AssertSqlSafe(format!(
                "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; \
                 SET LOCAL enable_seqscan = off; SET LOCAL enable_hashjoin = off; \
                 SET LOCAL enable_mergejoin = off; \
                 SELECT 1 FROM pg_advisory_xact_lock({LOCKS}); \
                 SELECT pg_current_xact_id()::text"
            ))
            .into_sql_str(),
            // In this order always, or two that wait for each other would be possible.
            (Self::Postgres, Purpose::WriteFor(user)) => AssertSqlSafe(format!(
                "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; \
                 SELECT 1 FROM pg_advisory_xact_lock_shared({LOCKS}); \
                 SELECT 1 FROM pg_advisory_xact_lock({LOCKS}, '{key}'::int4); \
                 SELECT pg_current_xact_id()::text",
                key = key(user),
            ))
            .into_sql_str(),
        }
    }
}

/// Locks by user have 32 bits; two users that share one only wait for each other.
fn key(user: UserId) -> i32 {
    let [_, _, _, _, a, b, c, d] = user.get().to_be_bytes();
    i32::from_be_bytes([a, b, c, d])
}
