//! Differences between SQLite and PostgreSQL: how a transaction begins, and which others are in progress.

use sqlx::{AssertSqlSafe, SqlSafeStr as _, SqlStr};

use guarita_core::UserId;

/// Our numbers among the advisory locks of a database: "guar" in ASCII.
const LOCKS: i64 = 0x6775_6172;

/// Which of the two a connection speaks to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    Sqlite,
    Postgres,
}

/// What a transaction is begun for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// To read one consistent picture.
    Read,
    /// To read the feed of changes.
    Follow,
    /// To begin reading it, while nobody changes anything.
    Settle,
    /// To change anything, with nobody beside it.
    Write,
    /// To remove some of many rows, with nobody beside it.
    Sweep,
    /// To change what is one user's, with nobody beside it who changes that.
    WriteFor(UserId),
}

impl Dialect {
    /// The statements that begin a transaction.
    ///
    /// SQLite: taking the lock at once cannot end in a deadlock between two readers that upgrade.
    /// PostgreSQL: every statement after the lock sees all that was committed under it. The number of the
    /// transaction is taken before anything else, for those who follow the changes: none of its changes may
    /// have a number while it has none itself.
    pub(super) fn begin(self, purpose: Purpose) -> SqlStr {
        match (self, purpose) {
            // One writer at a time commits the numbers of changes in their order: whatever picture is read, none
            // below its newest is missing.
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
            // Not REPEATABLE READ: its picture would be taken before the lock is. Not READ ONLY: a standby, which
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

/// Locks by user have 32 bits; two users that share one wait for each other, no more.
fn key(user: UserId) -> i32 {
    let [_, _, _, _, a, b, c, d] = user.get().to_be_bytes();
    i32::from_be_bytes([a, b, c, d])
}
