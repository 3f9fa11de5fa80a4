//! A transaction: the only way to a query.

use std::future::Future;
use std::time::Duration;

use sqlx::any::{AnyArguments, AnyRow};
use sqlx::query::Query;
use sqlx::{Any, Row as _};
use tokio::time::{Instant, timeout_at};

use super::Fault;
use crate::model::Timestamp;

/// Longest life of a transaction.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Everything in it happens or nothing does; dropped without [`Transaction::commit`], nothing. No
/// statement is awaited beyond 5 s after its beginning.
#[derive(Debug)]
pub struct Transaction {
    inner: sqlx::Transaction<'static, Any>,
    deadline: Instant,
}

impl Transaction {
    pub(super) fn new(inner: sqlx::Transaction<'static, Any>) -> Self {
        Self { inner, deadline: Instant::now() + TIMEOUT }
    }

    /// The same transaction with another life from now on.
    pub(super) fn living(self, timeout: Duration) -> Self {
        Self { deadline: Instant::now() + timeout, ..self }
    }

    /// Makes it durable. After a fault it is unknown whether it is.
    pub async fn commit(self) -> Result<(), Fault> {
        within(self.deadline, self.inner.commit()).await
    }

    pub(super) async fn execute(
        &mut self,
        query: Query<'_, Any, AnyArguments>,
    ) -> Result<u64, Fault> {
        let done = within(self.deadline, query.execute(&mut *self.inner)).await?;
        Ok(done.rows_affected())
    }

    /// Lets the numbers that the database gives to rows of a table go on behind the highest there is. SQLite
    /// does so by itself.
    pub(super) async fn number_on(&mut self, table: &str, column: &str) -> Result<(), Fault> {
        if self.inner.backend_name() == "SQLite" {
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
    ) -> Result<Option<AnyRow>, Fault> {
        within(self.deadline, query.fetch_optional(&mut *self.inner)).await
    }

    pub(super) async fn all(
        &mut self,
        query: Query<'_, Any, AnyArguments>,
    ) -> Result<Vec<AnyRow>, Fault> {
        within(self.deadline, query.fetch_all(&mut *self.inner)).await
    }
}

async fn within<T>(
    deadline: Instant,
    work: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, Fault> {
    match timeout_at(deadline, work).await {
        Ok(result) => Ok(result?),
        Err(_) => Err(Fault::Timeout),
    }
}

pub(super) fn number(row: &AnyRow, column: &str) -> Result<i64, Fault> {
    Ok(row.try_get(column)?)
}

pub(super) fn text(row: &AnyRow, column: &str) -> Result<String, Fault> {
    Ok(row.try_get(column)?)
}

pub(super) fn optional_text(row: &AnyRow, column: &str) -> Result<Option<String>, Fault> {
    Ok(row.try_get(column)?)
}

pub(super) fn time(row: &AnyRow, column: &str) -> Result<Timestamp, Fault> {
    number(row, column).map(Timestamp::from_seconds)
}

pub(super) fn optional_time(row: &AnyRow, column: &str) -> Result<Option<Timestamp>, Fault> {
    let seconds: Option<i64> = row.try_get(column)?;
    Ok(seconds.map(Timestamp::from_seconds))
}
