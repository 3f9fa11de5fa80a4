//! Transactions; every query is a method of [`Transaction`].

use std::future::Future;
use std::time::Duration;

use sqlx::any::{AnyArguments, AnyRow};
use sqlx::pool::PoolConnection;
use sqlx::query::Query;
use sqlx::{Any, Row as _, SqlStr};
use tokio::runtime::Handle;
use tokio::time::{Instant, timeout, timeout_at};

use super::StoreError;
use super::dialect::Dialect;
use super::fault::is_lost;
use super::notify::StoreNotifications;
use guarita_core::Timestamp;

/// Time-out of a transaction.
pub(super) const TIMEOUT: Duration = Duration::from_secs(5);
/// Time-out of rolling back.
const ROLLBACK_TIMEOUT: Duration = Duration::from_secs(2);

/// An atomic transaction; rolled back if it is dropped without [`Transaction::commit`]. No statement is awaited longer
/// than 5 s after the beginning. After a fault it cannot be committed.
#[derive(Debug)]
pub struct Transaction {
    /// Taken at its end.
    connection: Option<PoolConnection<Any>>,
    dialect: Dialect,
    deadline: Instant,
    /// Whether it must be committed or rolled back.
    begun: bool,
    failed: bool,
    lost: bool,
    changed: bool,
    hints: StoreNotifications,
}

impl Transaction {
    /// Creates it without beginning it: until then, statements are in autocommit mode.
    pub(super) fn new(
        connection: PoolConnection<Any>,
        dialect: Dialect,
        hints: StoreNotifications,
    ) -> Self {
        let deadline = Instant::now() + TIMEOUT;
        Self {
            connection: Some(connection),
            dialect,
            deadline,
            begun: false,
            failed: false,
            lost: false,
            changed: false,
            hints,
        }
    }

    /// Begins it.
    pub(super) async fn begin(&mut self, statements: SqlStr) -> Result<(), StoreError> {
        self.begun = true;
        let connection = self.connection.as_mut().ok_or_else(ended)?;
        let outcome =
            within(self.deadline, sqlx::raw_sql(statements).execute(&mut **connection)).await;
        self.check_outcome(outcome).map(|_| ())
    }

    /// Whether its connection is unusable.
    pub(super) fn is_lost(&self) -> bool {
        self.lost
    }

    /// Sets another time-out from now on.
    pub(super) fn with_timeout(mut self, timeout: Duration) -> Self {
        self.deadline = Instant::now() + timeout;
        self
    }

    /// Marks it for a change notification.
    pub(super) fn note_change(&mut self) {
        self.changed = true;
    }

    pub(super) fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Commits durably. After a fault it is unknown whether it was committed.
    pub async fn commit(mut self) -> Result<(), StoreError> {
        // PostgreSQL says nothing where it rolls back what failed before.
        if self.failed {
            return Err(StoreError::Other("a statement of the transaction failed".to_owned()));
        }
        let connection = self.connection.as_mut().ok_or_else(ended)?;
        let outcome =
            within(self.deadline, sqlx::raw_sql("COMMIT").execute(&mut **connection)).await;
        self.check_outcome(outcome)?;
        self.connection = None;
        if self.changed {
            self.hints.notify();
        }
        Ok(())
    }

    pub(super) async fn execute(
        &mut self,
        query: Query<'_, Any, AnyArguments>,
    ) -> Result<u64, StoreError> {
        let connection = self.connection.as_mut().ok_or_else(ended)?;
        let outcome = within(self.deadline, query.execute(&mut **connection)).await;
        self.check_outcome(outcome).map(|done| done.rows_affected())
    }

    /// Sets the sequence of a table after its highest id. SQLite does so itself.
    pub(super) async fn number_on(&mut self, table: &str, column: &str) -> Result<(), StoreError> {
        if self.dialect == Dialect::Sqlite {
            return Ok(());
        }
        let statement = format!(
            "SELECT setval(pg_get_serial_sequence('{table}', '{column}'), MAX({column})) FROM {table}"
        );
        self.all(sqlx::query(sqlx::AssertSqlSafe(statement))).await.map(|_| ())
    }

    pub(super) async fn find(
        &mut self,
        query: Query<'_, Any, AnyArguments>,
    ) -> Result<Option<AnyRow>, StoreError> {
        let connection = self.connection.as_mut().ok_or_else(ended)?;
        let outcome = within(self.deadline, query.fetch_optional(&mut **connection)).await;
        self.check_outcome(outcome)
    }

    pub(super) async fn all(
        &mut self,
        query: Query<'_, Any, AnyArguments>,
    ) -> Result<Vec<AnyRow>, StoreError> {
        let connection = self.connection.as_mut().ok_or_else(ended)?;
        let outcome = within(self.deadline, query.fetch_all(&mut **connection)).await;
        self.check_outcome(outcome)
    }

    /// Checks the result of a statement; [`None`] is a time-out.
    fn check_outcome<T>(
        &mut self,
        outcome: Option<Result<T, sqlx::Error>>,
    ) -> Result<T, StoreError> {
        let fault = match outcome {
            Some(Ok(done)) => return Ok(done),
            Some(Err(error)) => {
                self.lost |= is_lost(&error);
                error.into()
            }
            None => {
                self.lost = true;
                StoreError::Timeout
            }
        };
        self.failed = true;
        Err(fault)
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        let Some(mut connection) = self.connection.take() else { return };
        // A connection to a server may hang for as long as TCP likes; that to a file is always there.
        if self.lost && self.dialect == Dialect::Postgres {
            connection.close_on_drop();
            return;
        }
        if !self.begun {
            return;
        }
        let Ok(runtime) = Handle::try_current() else { return };
        let dialect = self.dialect;
        runtime.spawn(async move {
            let rollback = sqlx::raw_sql("ROLLBACK").execute(&mut *connection);
            let rolled_back = timeout(ROLLBACK_TIMEOUT, rollback).await;
            // SQLite says that there is nothing to roll back where it did so by itself.
            if dialect == Dialect::Postgres && !matches!(rolled_back, Ok(Ok(_))) {
                connection.close_on_drop();
            }
        });
    }
}

fn ended() -> StoreError {
    StoreError::Other("the transaction has ended".to_owned())
}

async fn within<T>(
    deadline: Instant,
    work: impl Future<Output = Result<T, sqlx::Error>>,
) -> Option<Result<T, sqlx::Error>> {
    timeout_at(deadline, work).await.ok()
}

/// An untrusted text as a search parameter. PostgreSQL rejects NUL; stored texts have no control characters, so it is
/// replaced by a text that matches nothing either.
pub(super) fn findable(text: String) -> String {
    if text.contains('\0') { text.replace('\0', "\u{1}") } else { text }
}

pub(super) fn number(row: &AnyRow, column: &str) -> Result<i64, StoreError> {
    Ok(row.try_get(column)?)
}

pub(super) fn text(row: &AnyRow, column: &str) -> Result<String, StoreError> {
    Ok(row.try_get(column)?)
}

pub(super) fn optional_text(row: &AnyRow, column: &str) -> Result<Option<String>, StoreError> {
    Ok(row.try_get(column)?)
}

pub(super) fn time(row: &AnyRow, column: &str) -> Result<Timestamp, StoreError> {
    number(row, column).map(Timestamp::from_seconds)
}

pub(super) fn optional_time(row: &AnyRow, column: &str) -> Result<Option<Timestamp>, StoreError> {
    let seconds: Option<i64> = row.try_get(column)?;
    Ok(seconds.map(Timestamp::from_seconds))
}
