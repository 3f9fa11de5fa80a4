//! The pools: one writer, a few readers, one connection that only follows the feed of changes.

use std::path::{Path, PathBuf};
use std::str::FromStr as _;
use std::time::Duration;

use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::{AnyConnection, AnyPool, ConnectOptions as _, Connection as _, Row as _};

use super::{Fault, OpenFault, Settings, Transaction, file};
use crate::model::Timestamp;

static MIGRATIONS: Migrator = sqlx::migrate!("migrations/sqlite");

/// Connections that read.
const READERS: u32 = 4;
/// Longest wait for a connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

/// A revocation that was answered must survive a power loss: the writer syncs at each commit.
const WRITER: &[&str] = &["PRAGMA synchronous = FULL"];
/// Readers cannot write, whatever they are asked.
const READER: &[&str] = &["PRAGMA query_only = ON"];

/// The open database; a clone shares its connections.
#[derive(Clone, Debug)]
pub struct Store {
    writer: AnyPool,
    readers: AnyPool,
    follower: AnyPool,
}

impl Store {
    /// Opens the database, makes it if it is missing (mode 0600), checks it and applies the
    /// migrations that it lacks. What is not ours, damaged or newer is refused and left alone.
    pub async fn open(settings: &Settings) -> Result<Self, OpenFault> {
        let path = file::parse(settings.database.expose())?;
        file::prepare(&path)?;
        sqlx::any::install_default_drivers();
        let options = AnyConnectOptions::from_str(&file::url(&path))
            .map_err(|error| refuse(&path, error))?
            .disable_statement_logging();
        check(&path, &options).await?;
        migrate(&path, &options).await?;
        Ok(Self {
            writer: pool(&options, 1, WRITER),
            readers: pool(&options, READERS, READER),
            follower: pool(&options, 1, READER),
        })
    }

    /// Looks at the database, and neither makes nor migrates it.
    pub async fn probe(settings: &Settings) -> Result<Probed, OpenFault> {
        let path = file::parse(settings.database.expose())?;
        if !path.exists() {
            return Ok(Probed::Missing);
        }
        file::prepare(&path)?;
        sqlx::any::install_default_drivers();
        let options = AnyConnectOptions::from_str(&file::url(&path))
            .map_err(|error| refuse(&path, error))?
            .disable_statement_logging();
        check(&path, &options).await?;
        look(&options).await.map_err(|error| refuse(&path, error))
    }

    /// Begins a transaction that writes. There is one at a time.
    pub async fn begin_write(&self) -> Result<Transaction, Fault> {
        // Taking the lock at once cannot end in a deadlock between two readers that upgrade.
        Ok(Transaction::new(self.writer.begin_with("BEGIN IMMEDIATE").await?))
    }

    /// As [`Store::begin_write`], with a longer life: nobody else writes for so long.
    pub async fn begin_write_within(&self, timeout: Duration) -> Result<Transaction, Fault> {
        Ok(self.begin_write().await?.living(timeout))
    }

    /// As [`Store::read`], with a longer life.
    pub async fn read_within(&self, timeout: Duration) -> Result<Transaction, Fault> {
        Ok(self.read().await?.living(timeout))
    }

    /// Begins a transaction that reads one consistent picture.
    pub async fn read(&self) -> Result<Transaction, Fault> {
        Ok(Transaction::new(self.readers.begin().await?))
    }

    /// As [`Store::read`], on a connection kept for the feed of changes: load on the readers must
    /// not make it fall silent.
    pub async fn follow(&self) -> Result<Transaction, Fault> {
        Ok(Transaction::new(self.follower.begin().await?))
    }

    /// Closes every connection and folds the write-ahead log into the file.
    pub async fn close(&self) {
        self.follower.close().await;
        self.readers.close().await;
        self.writer.close().await;
    }
}

/// What a look at a database found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probed {
    /// There is none yet.
    Missing,
    /// It lacks migrations.
    Outdated,
    /// It is whole; the last session was opened then.
    Ready(Option<Timestamp>),
}

async fn look(options: &AnyConnectOptions) -> Result<Probed, sqlx::Error> {
    let mut connection = options.connect().await?;
    let known = MIGRATIONS.iter().map(|migration| migration.version).max();
    let probed = if applied(&mut connection).await? == known {
        let query = sqlx::query("SELECT MAX(created_at) AS last FROM sessions");
        let last: Option<i64> = query.fetch_one(&mut connection).await?.try_get("last")?;
        Probed::Ready(last.map(Timestamp::from_seconds))
    } else {
        Probed::Outdated
    };
    connection.close().await?;
    Ok(probed)
}

fn pool(options: &AnyConnectOptions, size: u32, pragmas: &'static [&'static str]) -> AnyPool {
    AnyPoolOptions::new()
        .max_connections(size)
        .acquire_timeout(ACQUIRE_TIMEOUT)
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

/// Looks before anything is written.
async fn check(path: &Path, options: &AnyConnectOptions) -> Result<(), OpenFault> {
    let mut connection = options.connect().await.map_err(|error| refuse(path, error))?;
    let verdict: String = sqlx::query("PRAGMA quick_check(1)")
        .fetch_one(&mut connection)
        .await
        .and_then(|row| row.try_get(0))
        .map_err(|error| refuse(path, error))?;
    if verdict != "ok" {
        return Err(OpenFault::Damaged { path: path.to_owned(), reason: verdict });
    }
    connection.close().await.map_err(|error| refuse(path, error))
}

async fn migrate(path: &Path, options: &AnyConnectOptions) -> Result<(), OpenFault> {
    let mut connection = options.connect().await.map_err(|error| refuse(path, error))?;
    let known = MIGRATIONS.iter().map(|migration| migration.version).max().unwrap_or(0);
    let applied = applied(&mut connection).await.map_err(|error| refuse(path, error))?;
    if let Some(version) = applied.filter(|version| *version > known) {
        return Err(OpenFault::Newer { path: path.to_owned(), version });
    }
    configure(&mut connection, &["PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL"])
        .await
        .map_err(|error| refuse(path, error))?;
    if applied != Some(known) {
        run_migrations(path, &mut connection).await?;
    }
    connection.close().await.map_err(|error| refuse(path, error))
}

async fn run_migrations(path: &Path, connection: &mut AnyConnection) -> Result<(), OpenFault> {
    let Err(error) = MIGRATIONS.run(&mut *connection).await else { return Ok(()) };
    let reason = error.to_string();
    if let MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) = error {
        return Err(refuse(path, error));
    }
    Err(OpenFault::Migration { path: path.to_owned(), reason })
}

/// A database of this process alone, as the migrations make it: it tells which tables there are.
pub(super) async fn in_memory() -> Result<AnyConnection, Fault> {
    sqlx::any::install_default_drivers();
    let options = AnyConnectOptions::from_str("sqlite::memory:")?.disable_statement_logging();
    let mut connection = options.connect().await?;
    MIGRATIONS.run(&mut connection).await.map_err(|error| Fault::Other(error.to_string()))?;
    Ok(connection)
}

/// The newest migration that was applied.
async fn applied(connection: &mut AnyConnection) -> Result<Option<i64>, sqlx::Error> {
    let table = sqlx::query(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name = '_sqlx_migrations'",
    )
    .fetch_optional(&mut *connection)
    .await?;
    if table.is_none() {
        return Ok(None);
    }
    let row = sqlx::query("SELECT MAX(version) AS version FROM _sqlx_migrations")
        .fetch_one(&mut *connection)
        .await?;
    row.try_get("version")
}

fn refuse(path: &Path, error: sqlx::Error) -> OpenFault {
    let fault = Fault::from(error);
    let path: PathBuf = path.to_owned();
    match fault {
        Fault::Damaged => OpenFault::Damaged { path, reason: fault.to_string() },
        Fault::Timeout | Fault::Full | Fault::ReadOnly | Fault::Invalid(_) | Fault::Other(_) => {
            OpenFault::Inaccessible { path, reason: fault.to_string() }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::model::Secret;

    fn settings(path: &Path) -> Settings {
        Settings { database: Secret::new(format!("sqlite:{}", path.display())) }
    }

    #[tokio::test]
    async fn a_missing_file_is_made_for_the_owner_only_and_opens_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("new dir/100%/guarita.db");
        Store::open(&settings(&path)).await.unwrap().close().await;
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let store = Store::open(&settings(&path)).await.unwrap();
        let mut connection = store.writer.acquire().await.unwrap();
        for (pragma, expected) in [("PRAGMA synchronous", 2), ("PRAGMA foreign_keys", 1)] {
            let row = sqlx::query(pragma).fetch_one(&mut *connection).await.unwrap();
            assert_eq!(row.try_get::<i64, _>(0).unwrap(), expected, "{pragma}");
        }
        let row = sqlx::query("PRAGMA journal_mode").fetch_one(&mut *connection).await.unwrap();
        assert_eq!(row.try_get::<String, _>(0).unwrap(), "wal");
        let mut connection = store.readers.acquire().await.unwrap();
        let written = sqlx::query("DELETE FROM users").execute(&mut *connection).await;
        assert!(written.is_err(), "a reader cannot write");
    }

    #[tokio::test]
    async fn a_file_with_other_contents_is_refused_and_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("guarita.db");
        std::fs::write(&path, "precious notes, not a database").unwrap();
        let refused = Store::open(&settings(&path)).await;
        assert!(matches!(refused, Err(OpenFault::NotADatabase(_))), "{refused:?}");
        assert_eq!(std::fs::read(&path).unwrap(), b"precious notes, not a database");
    }

    #[tokio::test]
    async fn a_damaged_file_is_refused_and_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("guarita.db");
        Store::open(&settings(&path)).await.unwrap().close().await;
        let mut contents = std::fs::read(&path).unwrap();
        contents[100..].fill(0xa5);
        std::fs::write(&path, &contents).unwrap();
        let refused = Store::open(&settings(&path)).await;
        assert!(matches!(refused, Err(OpenFault::Damaged { .. })), "{refused:?}");
        assert!(std::fs::read(&path).unwrap() == contents, "overwritten");
    }

    #[tokio::test]
    async fn a_newer_schema_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("guarita.db");
        let store = Store::open(&settings(&path)).await.unwrap();
        let mut connection = store.writer.acquire().await.unwrap();
        sqlx::query("UPDATE _sqlx_migrations SET version = 9999 WHERE version = 1")
            .execute(&mut *connection)
            .await
            .unwrap();
        drop(connection);
        store.close().await;
        let refused = Store::open(&settings(&path)).await;
        assert!(matches!(refused, Err(OpenFault::Newer { version: 9999, .. })), "{refused:?}");
    }

    #[tokio::test]
    async fn a_look_makes_and_changes_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("guarita.db");
        assert_eq!(Store::probe(&settings(&path)).await.unwrap(), Probed::Missing);
        assert!(!path.exists());
        std::fs::write(&path, "").unwrap();
        assert_eq!(Store::probe(&settings(&path)).await.unwrap(), Probed::Outdated);
        Store::open(&settings(&path)).await.unwrap().close().await;
        assert_eq!(Store::probe(&settings(&path)).await.unwrap(), Probed::Ready(None));
        std::fs::write(&path, "notes").unwrap();
        assert!(Store::probe(&settings(&path)).await.is_err());
    }

    #[tokio::test]
    async fn a_place_that_cannot_hold_a_file_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        std::fs::write(&file, "").unwrap();
        for path in [file.join("below/guarita.db"), directory.path().to_owned()] {
            let refused = Store::open(&settings(&path)).await;
            assert!(matches!(refused, Err(OpenFault::Inaccessible { .. })), "{refused:?}");
        }
    }

    #[tokio::test]
    async fn a_full_disk_is_named_and_leaves_what_was_there() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&settings(&directory.path().join("guarita.db"))).await.unwrap();
        let mut connection = store.writer.acquire().await.unwrap();
        sqlx::query("PRAGMA max_page_count = 1").fetch_all(&mut *connection).await.unwrap();
        drop(connection);
        let user = crate::model::UserId::new(1);
        let now = crate::model::Timestamp::from_seconds(1);
        let fault = loop {
            let mut transaction = store.begin_write().await.unwrap();
            if let Err(fault) = transaction.set_active(user, false, now).await {
                break fault;
            }
            transaction.commit().await.unwrap();
        };
        assert!(matches!(fault, Fault::Full), "{fault:?}");
        assert!(store.read().await.unwrap().last_change().await.unwrap() > 0);
    }
}
