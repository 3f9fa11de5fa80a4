//! SQLite: one file, one writer, a few readers, and one connection for the change feed.

use std::path::Path;
use std::str::FromStr as _;

use sqlx::any::AnyConnectOptions;
use sqlx::{AnyConnection, AnyPool, ConnectOptions as _, Connection as _, Row as _};

use super::dialect::Dialect;
use super::{StoreError, StoreOpenError, file, migrate};
use crate::connect::{Pools, lasting};
use crate::schema_status::SchemaStatus;

/// Number of reader connections.
const READERS: u32 = 4;

/// The writer syncs at each commit, because an acknowledged revocation must survive a power loss.
const WRITER: &[&str] = &["PRAGMA synchronous = FULL"];
/// Reader connections are read-only.
const READER: &[&str] = &["PRAGMA query_only = ON"];

/// Opens the file, creates it if missing (mode 0600), checks it and applies pending migrations. A file with other
/// contents, a damaged or a newer one is rejected and not modified.
pub(super) async fn open(database: &str) -> Result<Pools, StoreOpenError> {
    let path = file::parse(database)?;
    file::prepare(&path)?;
    let options = options(&path)?;
    check(&path, &options).await?;
    apply(&path, &options).await?;
    Ok(Pools {
        writers: pool(&options, 1, WRITER),
        readers: pool(&options, READERS, READER),
        follower: pool(&options, 1, READER),
    })
}

/// Checks the file without creating or migrating it.
pub(super) async fn probe(database: &str) -> Result<SchemaStatus, StoreOpenError> {
    let path = file::parse(database)?;
    if !path.exists() {
        return Ok(SchemaStatus::Missing);
    }
    file::prepare(&path)?;
    let options = options(&path)?;
    check(&path, &options).await?;
    inspect(&options).await.map_err(|error| refuse(&path, error))
}

async fn inspect(options: &AnyConnectOptions) -> Result<SchemaStatus, sqlx::Error> {
    let mut connection = options.connect().await?;
    let probed = SchemaStatus::inspect(Dialect::Sqlite, &mut connection).await?;
    connection.close().await?;
    // An empty file is what SQLite leaves behind when it stops early: it is there.
    Ok(if probed == SchemaStatus::Missing { SchemaStatus::Outdated } else { probed })
}

fn options(path: &Path) -> Result<AnyConnectOptions, StoreOpenError> {
    let options =
        AnyConnectOptions::from_str(&file::url(path)).map_err(|error| refuse(path, error))?;
    Ok(options.disable_statement_logging())
}

fn pool(options: &AnyConnectOptions, size: u32, pragmas: &'static [&'static str]) -> AnyPool {
    lasting(size)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
        .after_connect(move |connection, _| Box::pin(configure(connection, pragmas)))
        .connect_lazy_with(options.clone())
}

async fn configure(
    connection: &mut AnyConnection,
    pragmas: &'static [&'static str],
) -> Result<(), sqlx::Error> {
    for pragma in ["PRAGMA busy_timeout = 5000", "PRAGMA foreign_keys = ON"].iter().chain(pragmas) {
        sqlx::query(*pragma).fetch_all(&mut *connection).await?;
    }
    Ok(())
}

/// Checks the file before anything is written.
async fn check(path: &Path, options: &AnyConnectOptions) -> Result<(), StoreOpenError> {
    let mut connection = options.connect().await.map_err(|error| refuse(path, error))?;
    let verdict: String = sqlx::query("PRAGMA quick_check(1)")
        .fetch_one(&mut connection)
        .await
        .and_then(|row| row.try_get(0))
        .map_err(|error| refuse(path, error))?;
    if verdict != "ok" {
        return Err(StoreOpenError::Damaged { place: path.display().to_string(), reason: verdict });
    }
    connection.close().await.map_err(|error| refuse(path, error))
}

async fn apply(path: &Path, options: &AnyConnectOptions) -> Result<(), StoreOpenError> {
    let mut connection = options.connect().await.map_err(|error| refuse(path, error))?;
    let known = migrate::newest(Dialect::Sqlite);
    let applied = migrate::applied(Dialect::Sqlite, &mut connection)
        .await
        .map_err(|error| refuse(path, error))?;
    let place = path.display().to_string();
    if let Some(version) = applied.filter(|version| *version > known) {
        return Err(StoreOpenError::Newer { place, version });
    }
    configure(&mut connection, &["PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL"])
        .await
        .map_err(|error| refuse(path, error))?;
    if applied != Some(known) {
        let refuse = |error| refuse(path, error);
        migrate::run(Dialect::Sqlite, &place, &mut connection, refuse).await?;
    }
    connection.close().await.map_err(|error| refuse(path, error))
}

fn refuse(path: &Path, error: sqlx::Error) -> StoreOpenError {
    let fault = StoreError::from(error);
    let place = path.display().to_string();
    match fault {
        StoreError::Damaged => StoreOpenError::Damaged { place, reason: fault.to_string() },
        StoreError::Timeout
        | StoreError::Full
        | StoreError::ReadOnly
        | StoreError::Invalid(_)
        | StoreError::Other(_) => StoreOpenError::Inaccessible { place, reason: fault.to_string() },
    }
}

#[cfg(test)]
#[path = "sqlite_tests.rs"]
mod tests;
