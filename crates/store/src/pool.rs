//! The connection pools: for writing, for reading, and one for the change feed.

use std::time::Duration;

use sqlx::any::AnyPoolOptions;
use sqlx::{AnyConnection, AnyPool, Row as _};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::dialect::{Dialect, Purpose};
use super::notify::{NotificationListener, StoreNotifications};
use super::postgres::{self, Listening, PostgresServer};
use super::{StoreError, StoreOpenError, StoreSettings, Transaction, migrate, sqlite};
use guarita_core::{Timestamp, UserId};

/// Longest wait for a connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);
/// Pauses between attempts to open a store that is not there yet.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LAST_PAUSE: Duration = Duration::from_secs(5);

/// The connections of a store, by what they are for.
#[derive(Clone, Debug)]
pub(super) struct Pools {
    pub(super) writers: AnyPool,
    pub(super) readers: AnyPool,
    pub(super) follower: AnyPool,
}

/// The open database; a clone shares its connections.
#[derive(Clone, Debug)]
pub struct Store {
    dialect: Dialect,
    pools: Pools,
    hints: StoreNotifications,
    /// Where hints are heard.
    server: Option<Listening>,
}

impl Store {
    /// Opens the database and applies the migrations that it lacks. What is not ours, damaged or newer is
    /// refused and left alone. A file that is missing is made (mode 0600).
    pub async fn open(settings: &StoreSettings) -> Result<Self, StoreOpenError> {
        sqlx::any::install_default_drivers();
        let Some(server) = PostgresServer::find(settings.database.expose())? else {
            let pools = sqlite::open(settings.database.expose()).await?;
            let (dialect, hints) = (Dialect::Sqlite, StoreNotifications::none());
            return Ok(Self { dialect, pools, hints, server: None });
        };
        let pools = postgres::open(&server).await?;
        let hints = StoreNotifications::over(pools.writers.clone());
        let server = Some(server.listening()?);
        Ok(Self { dialect: Dialect::Postgres, pools, hints, server })
    }

    /// As [`Store::open`], and where the server does not answer, again for so long: it may be starting too.
    pub async fn open_within(
        settings: &StoreSettings,
        patience: Duration,
    ) -> Result<Self, StoreOpenError> {
        let deadline = Instant::now() + patience;
        let mut pause = FIRST_PAUSE;
        loop {
            match Self::open(settings).await {
                Err(fault @ StoreOpenError::Unreachable { .. })
                    if Instant::now() + pause < deadline =>
                {
                    tracing::warn!(%fault, "waiting for the database");
                }
                opened => return opened,
            }
            sleep(pause).await;
            pause = LAST_PAUSE.min(pause * 2);
        }
    }

    /// Looks at the database, and neither makes nor migrates it.
    pub async fn probe(settings: &StoreSettings) -> Result<SchemaStatus, StoreOpenError> {
        sqlx::any::install_default_drivers();
        match PostgresServer::find(settings.database.expose())? {
            Some(server) => postgres::probe(&server).await,
            None => sqlite::probe(settings.database.expose()).await,
        }
    }

    /// Begins a transaction that writes. There is one at a time, on all nodes together: what it reads stays
    /// as it is until its end.
    pub async fn begin_write(&self) -> Result<Transaction, StoreError> {
        self.begin(&self.pools.writers, Purpose::Write).await
    }

    /// As [`Store::begin_write`], for a transaction that reads and changes nothing but what is one user's:
    /// its row, roles, sessions, tokens, second factor, links and devices. Those of other users go on beside
    /// it. With SQLite it is the same.
    pub async fn begin_write_for(&self, user: UserId) -> Result<Transaction, StoreError> {
        self.begin(&self.pools.writers, Purpose::WriteFor(user)).await
    }

    /// As [`Store::begin_write`], for a transaction that removes a few rows of large tables: they are found by
    /// indices, whatever the database thinks.
    pub async fn begin_sweep(&self) -> Result<Transaction, StoreError> {
        self.begin(&self.pools.writers, Purpose::Sweep).await
    }

    /// As [`Store::begin_write`], with a longer life: nobody else writes for so long.
    pub async fn begin_write_within(&self, timeout: Duration) -> Result<Transaction, StoreError> {
        Ok(self.begin_write().await?.with_timeout(timeout))
    }

    /// As [`Store::read`], with a longer life.
    pub async fn read_within(&self, timeout: Duration) -> Result<Transaction, StoreError> {
        Ok(self.read().await?.with_timeout(timeout))
    }

    /// Begins a transaction that reads one consistent picture.
    pub async fn read(&self) -> Result<Transaction, StoreError> {
        self.begin(&self.pools.readers, Purpose::Read).await
    }

    /// Reads what needs no consistent picture: each statement counts by itself, and nothing else is asked.
    pub fn autocommit_read(&self) -> Autocommit {
        self.at_once(&self.pools.readers)
    }

    /// As [`Store::read_at_once`], writing: each statement is kept once it is done, and nobody is kept from
    /// writing beside it. Of what is done again some may have been kept, so that it must do no harm twice; and
    /// none may append a change: those who follow them count on how a transaction begins.
    pub fn write_at_once(&self) -> Autocommit {
        self.at_once(&self.pools.writers)
    }

    /// As [`Store::write_at_once`], for many statements: with SQLite, where each would wait for the disk and
    /// there is one writer anyway, they are one transaction.
    pub fn write_many_at_once(&self) -> Autocommit {
        Autocommit { is_whole: self.dialect == Dialect::Sqlite, ..self.write_at_once() }
    }

    fn at_once(&self, pool: &AnyPool) -> Autocommit {
        Autocommit {
            pool: pool.clone(),
            dialect: self.dialect,
            hints: self.hints.clone(),
            others: pool.options().get_max_connections(),
            is_whole: false,
        }
    }

    /// As [`Store::read`], on a connection kept for the feed of changes: load on the readers must
    /// not make it fall silent.
    pub async fn follow(&self) -> Result<Transaction, StoreError> {
        self.begin(&self.pools.follower, Purpose::Follow).await
    }

    /// As [`Store::follow`], while no transaction that writes is under way, on all nodes together: those that
    /// began have ended and are seen, and none begins until this ends. With PostgreSQL a fault after 500 ms
    /// where one goes on for longer; it reads no consistent picture, and needs none.
    pub async fn follow_exclusive(&self) -> Result<Transaction, StoreError> {
        self.begin(&self.pools.follower, Purpose::Settle).await
    }

    /// Hears the hints of processes that changed something.
    pub fn listener(&self) -> NotificationListener {
        NotificationListener::new(self.server.clone())
    }

    /// Counts up whenever this process committed a change that others should look for.
    pub fn committed(&self) -> watch::Receiver<u64> {
        self.hints.committed()
    }

    /// A connection that was lost while it was idle is none of the caller's business: the next is tried, and
    /// in the end a new one.
    async fn begin(&self, pool: &AnyPool, purpose: Purpose) -> Result<Transaction, StoreError> {
        let mut others = pool.options().get_max_connections();
        loop {
            let connection = pool.acquire().await?;
            let mut transaction = Transaction::new(connection, self.dialect, self.hints.clone());
            match transaction.begin(self.dialect.begin(purpose)).await {
                Ok(()) => return Ok(transaction),
                Err(StoreError::Timeout) => return Err(StoreError::Timeout),
                Err(_) if transaction.is_lost() && others > 0 => others -= 1,
                Err(fault) => return Err(fault),
            }
        }
    }

    /// Waits until other processes were hinted at what was committed, 2 s at most: for a process that ends.
    pub async fn hinted(&self) {
        self.hints.finish().await;
    }

    /// Tells what is left to be told, and closes every connection. SQLite folds its write-ahead log into the
    /// file.
    pub async fn close(&self) {
        self.hints.finish().await;
        self.pools.follower.close().await;
        self.pools.readers.close().await;
        self.pools.writers.close().await;
    }

    #[cfg(any(test, feature = "test-util"))]
    pub(super) fn writers(&self) -> &AnyPool {
        &self.pools.writers
    }

    #[cfg(test)]
    pub(super) fn readers(&self) -> &AnyPool {
        &self.pools.readers
    }
}

/// Statements that each count by themselves: two round trips fewer than a transaction.
#[derive(Debug)]
pub struct Autocommit {
    pool: AnyPool,
    dialect: Dialect,
    hints: StoreNotifications,
    /// Connections that may be lost too.
    others: u32,
    /// Whether all are one transaction.
    is_whole: bool,
}

impl Autocommit {
    /// Lets `ask` send them, and give the transaction back. A connection that was lost while it was idle shows by
    /// the first of them, so all is asked again on another.
    pub async fn run<T, Asked>(
        mut self,
        ask: impl Fn(Transaction) -> Asked,
    ) -> Result<T, StoreError>
    where
        Asked: Future<Output = (Transaction, Result<T, StoreError>)>,
    {
        loop {
            let (transaction, outcome) = ask(self.begin().await?).await;
            match outcome {
                Ok(done) if self.is_whole => return transaction.commit().await.map(|()| done),
                Err(StoreError::Timeout) => return Err(StoreError::Timeout),
                Err(_) if transaction.is_lost() && self.others > 0 => self.others -= 1,
                Ok(_) | Err(_) => return outcome,
            }
        }
    }

    async fn begin(&self) -> Result<Transaction, StoreError> {
        let connection = self.pool.acquire().await?;
        let mut transaction = Transaction::new(connection, self.dialect, self.hints.clone());
        if self.is_whole {
            transaction.begin(self.dialect.begin(Purpose::Write)).await?;
        }
        Ok(transaction)
    }
}

/// What a look at a database found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SchemaStatus {
    /// There is none yet.
    Missing,
    /// It lacks migrations.
    Outdated,
    /// It is whole; the last session was opened then.
    Ready(Option<Timestamp>),
}

impl SchemaStatus {
    pub(super) async fn inspect(
        dialect: Dialect,
        connection: &mut AnyConnection,
    ) -> Result<Self, sqlx::Error> {
        let applied = migrate::applied(dialect, connection).await?;
        let Some(applied) = applied else { return Ok(Self::Missing) };
        if applied != migrate::newest(dialect) {
            return Ok(Self::Outdated);
        }
        let query = sqlx::query("SELECT MAX(created_at) AS last FROM sessions");
        let last: Option<i64> = query.fetch_one(connection).await?.try_get("last")?;
        Ok(Self::Ready(last.map(Timestamp::from_seconds)))
    }
}

/// What the pools of both have in common.
pub(super) fn lasting(size: u32) -> AnyPoolOptions {
    AnyPoolOptions::new().max_connections(size).acquire_timeout(ACQUIRE_TIMEOUT)
}
