//! Copies a whole database into an empty one, in batches.
//!
//! The tables and columns are taken from the migrations, which are applied to a database in memory. So new tables
//! cannot be forgotten.

use std::collections::HashMap;
use std::time::Duration;

use sqlx::any::{AnyArguments, AnyRow};
use sqlx::query::Query;
use sqlx::{Any, AnyConnection, AssertSqlSafe, Row as _};

use super::migrate::in_memory;
use super::transaction::{number, text};
use super::{Store, StoreError, Transaction};

/// Rows that are read and written at once.
const BATCH: i64 = 200;
/// Longest time for all of it: the source is read in one transaction, as it was at one moment.
const LONGEST: Duration = Duration::from_secs(86_400);

/// How many rows of a table were copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copied {
    /// The table.
    pub table: String,
    /// Its rows, in the source and in the target.
    pub rows: i64,
}

/// Why a store was not copied, or not whole.
#[derive(Debug, thiserror::Error)]
pub enum CopyFault {
    /// Nothing was written.
    #[error("the target is not empty: its table {0} has rows; nothing was copied")]
    NotEmpty(String),
    /// The target is of no use.
    #[error(
        "the table {table} has {from} rows in the source and {to} in the target: do not use the target"
    )]
    Differs {
        /// Which.
        table: String,
        /// In the source.
        from: i64,
        /// In the target.
        to: i64,
    },
    /// A migration made what cannot be copied.
    #[error("the table {0} cannot be copied by this version")]
    Unknown(String),
    /// A database failed. What was written so far is there.
    #[error("{0}; do not use the target")]
    Store(#[from] StoreError),
}

/// A table as the migrations make it.
#[derive(Debug)]
struct CopiedTable {
    name: String,
    columns: Vec<Column>,
    /// Whether the database numbers its rows.
    numbered: bool,
    /// Rows that the migrations themselves insert.
    seeds: i64,
    parents: Vec<String>,
}

#[derive(Debug)]
struct Column {
    name: String,
    is_number: bool,
    /// The place in the primary key, from 1; 0 outside.
    key: i64,
}

/// What a column may hold.
#[derive(Clone, Debug)]
enum Value {
    Number(Option<i64>),
    Text(Option<String>),
}

impl Store {
    /// Copies every row of this store into `target`, which must be empty, table by table, and compares the
    /// counts. Nobody should write to either meanwhile.
    ///
    /// # Errors
    /// Why not, or not whole.
    pub async fn copy_into(&self, target: &Self) -> Result<Vec<Copied>, CopyFault> {
        let tables = tables().await?;
        let mut source = self.read_within(LONGEST).await?;
        let mut written = target.read().await?;
        for table in &tables {
            if written.count(table).await? > table.seeds {
                return Err(CopyFault::NotEmpty(table.name.clone()));
            }
        }
        drop(written);
        for table in tables.iter().filter(|table| table.seeds > 0) {
            let mut transaction = target.begin_write().await?;
            let statement = format!("DELETE FROM {}", table.name);
            transaction.execute(sqlx::query(AssertSqlSafe(statement))).await?;
            transaction.commit().await?;
        }
        for table in &tables {
            copy(&mut source, target, table).await?;
        }
        let mut copied = Vec::with_capacity(tables.len());
        let mut written = target.read_within(LONGEST).await?;
        for table in tables {
            let (from, to) = (source.count(&table).await?, written.count(&table).await?);
            if from != to {
                return Err(CopyFault::Differs { table: table.name, from, to });
            }
            copied.push(Copied { table: table.name, rows: from });
        }
        Ok(copied)
    }
}

/// One table, in the order of its primary key.
async fn copy(
    source: &mut Transaction,
    target: &Store,
    table: &CopiedTable,
) -> Result<(), CopyFault> {
    let mut after: Option<Vec<Value>> = None;
    loop {
        let rows = source.page(table, after.as_deref()).await?;
        let Some(last) = rows.last() else { break };
        after = Some(table.key_of(last));
        let mut transaction = target.begin_write_within(LONGEST).await?;
        transaction.insert(table, &rows).await?;
        if let (true, Some((_, column))) = (table.numbered, table.key().first()) {
            transaction.number_on(&table.name, &column.name).await?;
        }
        transaction.commit().await?;
    }
    Ok(())
}

impl CopiedTable {
    fn names(&self) -> String {
        let names: Vec<_> = self.columns.iter().map(|column| &*column.name).collect();
        names.join(", ")
    }

    /// The columns of the primary key, in its order.
    fn key(&self) -> Vec<(usize, &Column)> {
        let columns = self.columns.iter().enumerate();
        let mut key: Vec<_> = columns.filter(|(_, column)| column.key > 0).collect();
        key.sort_by_key(|(_, column)| column.key);
        key
    }

    fn key_of(&self, row: &[Value]) -> Vec<Value> {
        self.key().into_iter().filter_map(|(at, _)| row.get(at).cloned()).collect()
    }

    fn read(&self, row: &AnyRow) -> Result<Vec<Value>, StoreError> {
        let columns = self.columns.iter();
        let read = columns.map(|column| match column.is_number {
            true => row.try_get(&*column.name).map(Value::Number),
            false => row.try_get(&*column.name).map(Value::Text),
        });
        Ok(read.collect::<Result<_, _>>()?)
    }
}

type Statement<'a> = Query<'a, Any, AnyArguments>;

fn bind<'a>(query: Statement<'a>, value: &Value) -> Statement<'a> {
    match value {
        Value::Number(number) => query.bind(*number),
        Value::Text(text) => query.bind(text.clone()),
    }
}

/// `$1, $2, …` from a number on.
fn places(from: usize, count: usize) -> String {
    let places: Vec<_> = (from..from + count).map(|place| format!("${place}")).collect();
    places.join(", ")
}

impl Transaction {
    async fn count(&mut self, table: &CopiedTable) -> Result<i64, StoreError> {
        let statement = format!("SELECT COUNT(*) AS count FROM {}", table.name);
        match self.find(sqlx::query(AssertSqlSafe(statement))).await? {
            Some(row) => number(&row, "count"),
            None => Ok(0),
        }
    }

    /// The rows after a primary key, at most [`BATCH`].
    async fn page(
        &mut self,
        table: &CopiedTable,
        after: Option<&[Value]>,
    ) -> Result<Vec<Vec<Value>>, StoreError> {
        let key: Vec<_> = table.key().into_iter().map(|(_, column)| &*column.name).collect();
        let (key, count) = (key.join(", "), key.len());
        let after = after.unwrap_or_default();
        let condition = match after.is_empty() {
            true => String::new(),
            false => format!("WHERE ({key}) > ({})", places(1, count)),
        };
        let statement = format!(
            "SELECT {} FROM {} {condition} ORDER BY {key} LIMIT {BATCH}",
            table.names(),
            table.name
        );
        let query = sqlx::query(AssertSqlSafe(statement));
        let query = after.iter().fold(query, bind);
        let rows = self.all(query).await?;
        rows.iter().map(|row| table.read(row)).collect()
    }

    async fn insert(&mut self, table: &CopiedTable, rows: &[Vec<Value>]) -> Result<(), StoreError> {
        let width = table.columns.len();
        let places: Vec<_> =
            (0..rows.len()).map(|row| format!("({})", places(row * width + 1, width))).collect();
        let statement =
            format!("INSERT INTO {} ({}) VALUES {}", table.name, table.names(), places.join(", "));
        let query = sqlx::query(AssertSqlSafe(statement));
        let query = rows.iter().flatten().fold(query, bind);
        self.execute(query).await.map(|_| ())
    }
}

/// All tables, each after those that it refers to.
async fn tables() -> Result<Vec<CopiedTable>, CopyFault> {
    let mut connection = in_memory().await?;
    let mut waiting = Vec::new();
    let named = "SELECT name, sql FROM sqlite_master WHERE type = 'table' \
                 AND name NOT LIKE 'sqlite_%' AND name <> '_sqlx_migrations' ORDER BY name";
    for row in fetch(&mut connection, named, None).await? {
        let numbered = text(&row, "sql")?.to_ascii_uppercase().contains("AUTOINCREMENT");
        waiting.push(table(&mut connection, text(&row, "name")?, numbered).await?);
    }
    let mut ordered: Vec<CopiedTable> = Vec::with_capacity(waiting.len());
    while !waiting.is_empty() {
        let is_ready = |table: &CopiedTable| {
            let known = |parent: &String| {
                *parent == table.name || ordered.iter().any(|before| before.name == *parent)
            };
            table.parents.iter().all(known)
        };
        let Some(next) = waiting.iter().position(is_ready) else {
            return Err(CopyFault::Unknown(waiting.swap_remove(0).name));
        };
        ordered.push(waiting.remove(next));
    }
    Ok(ordered)
}

async fn table(
    connection: &mut AnyConnection,
    name: String,
    numbered: bool,
) -> Result<CopiedTable, CopyFault> {
    let kinds = HashMap::from([("INTEGER", true), ("BIGINT", true), ("TEXT", false)]);
    let mut columns = Vec::new();
    let described = "SELECT name, type, pk FROM pragma_table_info($1)";
    for row in fetch(connection, described, Some(&name)).await? {
        let kind = text(&row, "type")?.to_ascii_uppercase();
        let is_number = *kinds.get(&*kind).ok_or_else(|| CopyFault::Unknown(name.clone()))?;
        let column = text(&row, "name")?;
        columns.push(Column { name: column, is_number, key: number(&row, "pk")? });
    }
    if columns.iter().all(|column| column.key == 0) {
        return Err(CopyFault::Unknown(name));
    }
    let referred = "SELECT \"table\" AS parent FROM pragma_foreign_key_list($1)";
    let rows = fetch(connection, referred, Some(&name)).await?;
    let parents = rows.iter().map(|row| text(row, "parent")).collect::<Result<_, _>>()?;
    let counted = format!("SELECT COUNT(*) AS count FROM {name}");
    let row = sqlx::query(AssertSqlSafe(counted)).fetch_one(connection).await;
    let seeds = number(&row.map_err(StoreError::from)?, "count")?;
    Ok(CopiedTable { name, columns, numbered, seeds, parents })
}

async fn fetch(
    connection: &mut AnyConnection,
    statement: &'static str,
    of: Option<&str>,
) -> Result<Vec<AnyRow>, StoreError> {
    let query = of.into_iter().fold(sqlx::query(statement), |query, of| query.bind(of.to_owned()));
    Ok(query.fetch_all(connection).await?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;
    use crate::sample::{DAY, NOW};

    #[tokio::test]
    async fn every_table_is_copied_whole_and_numbers_go_on() {
        let (_source, from) = sample::open().await;
        let (_target, to) = sample::open().await;
        let mut last = None;
        for number in 0..450 {
            let user = sample::user(&from, &format!("user-{number}")).await;
            last = Some((user, sample::session(&from, user, NOW.plus(DAY)).await));
        }
        let (user, session) = last.unwrap();
        sample::revoke(&from, session).await;
        let copied = from.copy_into(&to).await.unwrap();
        let of = |name: &str| copied.iter().find(|it| it.table == name).unwrap().rows;
        assert_eq!((of("users"), of("sessions"), of("changes")), (450, 450, 1));
        assert_eq!((of("unknown_names"), of("keys")), (1, 0));
        let mut transaction = to.read().await.unwrap();
        let found = transaction.find_session(session).await.unwrap().unwrap();
        assert_eq!((found.user, found.revoked_at), (user, Some(NOW)));
        drop(transaction);
        let next = sample::user(&to, "another").await;
        assert_eq!(next.get(), user.get() + 1);
    }

    #[tokio::test]
    async fn a_target_that_is_not_empty_is_left_alone() {
        let (_source, from) = sample::open().await;
        let (_target, to) = sample::open().await;
        sample::user(&from, "alice").await;
        sample::user(&to, "bob").await;
        let refused = from.copy_into(&to).await;
        assert!(matches!(refused, Err(CopyFault::NotEmpty(table)) if table == "users"));
        let mut transaction = to.read().await.unwrap();
        assert!(transaction.find_user_by_username("alice").await.unwrap().is_none());
    }
}
