//! Migrations: by number, the same for SQLite and PostgreSQL.

use std::str::FromStr as _;

use sqlx::any::AnyConnectOptions;
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::{AnyConnection, ConnectOptions as _, Row as _};

use super::dialect::Dialect;
use super::{StoreError, StoreOpenError};

static SQLITE: Migrator = sqlx::migrate!("../../migrations/sqlite");
static POSTGRES: Migrator = sqlx::migrate!("../../migrations/postgres");

const fn migrations(dialect: Dialect) -> &'static Migrator {
    match dialect {
        Dialect::Sqlite => &SQLITE,
        Dialect::Postgres => &POSTGRES,
    }
}

/// The newest migration of this version.
pub(super) fn newest(dialect: Dialect) -> i64 {
    migrations(dialect).iter().map(|migration| migration.version).max().unwrap_or(0)
}

/// The newest migration that was applied.
pub(super) async fn applied(
    dialect: Dialect,
    connection: &mut AnyConnection,
) -> Result<Option<i64>, sqlx::Error> {
    let is_there = match dialect {
        Dialect::Sqlite => {
            "SELECT 1 AS found FROM sqlite_master \
             WHERE type = 'table' AND name = '_sqlx_migrations'"
        }
        Dialect::Postgres => "SELECT 1 AS found WHERE to_regclass('_sqlx_migrations') IS NOT NULL",
    };
    if sqlx::query(is_there).fetch_optional(&mut *connection).await?.is_none() {
        return Ok(None);
    }
    let row = sqlx::query("SELECT MAX(version) AS version FROM _sqlx_migrations")
        .fetch_one(&mut *connection)
        .await?;
    row.try_get("version")
}

/// Applies pending migrations. If several processes start at once, one does so and the others wait. `refuse` maps
/// failures of the database itself.
pub(super) async fn run(
    dialect: Dialect,
    place: &str,
    connection: &mut AnyConnection,
    refuse: impl FnOnce(sqlx::Error) -> StoreOpenError,
) -> Result<(), StoreOpenError> {
    let Err(error) = migrations(dialect).run(&mut *connection).await else { return Ok(()) };
    let reason = error.to_string();
    match (dialect, error) {
        (
            Dialect::Sqlite,
            MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _),
        ) => Err(refuse(error)),
        _ => Err(StoreOpenError::Migration { place: place.to_owned(), reason }),
    }
}

/// A private database with all migrations applied, to determine the tables.
pub(super) async fn in_memory() -> Result<AnyConnection, StoreError> {
    sqlx::any::install_default_drivers();
    let options = AnyConnectOptions::from_str("sqlite::memory:")?.disable_statement_logging();
    let mut connection = options.connect().await?;
    SQLITE.run(&mut connection).await.map_err(|error| StoreError::Other(error.to_string()))?;
    Ok(connection)
}
