//! The connection pools: for writing, for reading, and one for the change feed.

use std::time::Duration;

use sqlx::AnyPool;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::dialect::{Dialect, Purpose};
use super::notify::{NotificationListener, StoreNotifications};
use super::postgres::{self, Listening, PostgresServer};
use super::{StoreError, StoreOpenError, StoreSettings, Transaction, sqlite};
use crate::connect::Pools;
use crate::schema_status::SchemaStatus;
use guarita_core::UserId;

/// Pause between attempts to open a database that is not available yet.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LAST_PAUSE: Duration = Duration::from_secs(5);

/// The open database; clones share its connections.
#[derive(Clone, Debug)]
pub struct Store {
    dialect: Dialect,
    pools: Pools,
    hints: StoreNotifications,
    /// The receiver of change notifications.
    server: Option<Listening>,
}

impl Store {
    /// Opens the database and applies pending migrations. A database with other contents, a damaged or a newer one is
    /// rejected and not modified. A missing file is created (mode 0600).
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

    /// Like [`Store::open`], but retries for this time if the server does not respond, because it may be starting.
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

    /// Checks the database without creating or migrating it.
    pub async fn probe(settings: &StoreSettings) -> Result<SchemaStatus, StoreOpenError> {
        sqlx::any::install_default_drivers();
        match PostgresServer::find(settings.database.expose())? {
            Some(server) => postgres::probe(&server).await,
            None => sqlite::probe(settings.database.expose()).await,
        }
    }

    /// Begins a writing transaction. There is one at a time on all nodes, so what it reads does not change until its
    /// end.
    pub async fn begin_write(&self) -> Result<Transaction, StoreError> {
        self.begin(&self.pools.writers, Purpose::Write).await
    }

    /// Like [`Store::begin_write`], for a transaction that reads and writes only data of one user: its row, roles,
    /// sessions, tokens, second factor, links and devices. Those of other users run concurrently. No difference with
    /// SQLite.
    pub async fn begin_write_for(&self, user: UserId) -> Result<Transaction, StoreError> {
        self.begin(&self.pools.writers, Purpose::WriteFor(user)).await
    }

    /// Like [`Store::begin_write`], for a transaction that removes a few rows of large tables, with index scans
    /// enforced.
    pub async fn begin_sweep(&self) -> Result<Transaction, StoreError> {
        self.begin(&self.pools.writers, Purpose::Sweep).await
    }

    /// Like [`Store::begin_write`], with a longer time-out; nobody else can write meanwhile.
    pub async fn begin_write_within(&self, timeout: Duration) -> Result<Transaction, StoreError> {
        Ok(self.begin_write().await?.with_timeout(timeout))
    }

    /// Like [`Store::read`], with a longer time-out.
    pub async fn read_within(&self, timeout: Duration) -> Result<Transaction, StoreError> {
        Ok(self.read().await?.with_timeout(timeout))
    }

    /// Begins a transaction that reads a consistent snapshot.
    pub async fn read(&self) -> Result<Transaction, StoreError> {
        self.begin(&self.pools.readers, Purpose::Read).await
    }

    /// Runs reading statements in autocommit mode, without a consistent snapshot.
    pub fn autocommit_read(&self) -> Autocommit {
        self.at_once(&self.pools.readers)
    }

    /// Like [`Store::autocommit_read`], for writing: each statement is committed when it is done, and others can write
    /// concurrently. Statements may be repeated after a lost connection, so they must be idempotent; and none may
    /// append to the change feed, whose readers depend on how a transaction begins.
    pub fn write_at_once(&self) -> Autocommit {
        self.at_once(&self.pools.writers)
    }

    /// Like [`Store::write_at_once`], for many statements: with SQLite, where each would wait for the disk and there is
    /// a single writer anyway, they are one transaction.
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

    /// Like [`Store::read`], on a connection that is reserved for the change feed, so that load on the readers does not
    /// delay it.
    pub async fn follow(&self) -> Result<Transaction, StoreError> {
        self.begin(&self.pools.follower, Purpose::Follow).await
    }

    /// Like [`Store::follow`], without concurrent writers on all nodes: earlier ones have ended and are visible, and none
    /// begins until this ends. With PostgreSQL it fails if a writer takes longer than 500 ms; it does not read a
    /// consistent snapshot, and needs none.
    pub async fn follow_exclusive(&self) -> Result<Transaction, StoreError> {
        self.begin(&self.pools.follower, Purpose::Settle).await
    }

    /// Receives change notifications of other processes.
    pub fn listener(&self) -> NotificationListener {
        NotificationListener::new(self.server.clone())
    }

    /// Incremented whenever this process commits a change that others must read.
    pub fn committed(&self) -> watch::Receiver<u64> {
        self.hints.committed()
    }

    /// Retries on another connection if an idle connection was lost, and finally on a new one.
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

    /// Waits until other processes were notified of commits, at most 2 s; for a process that ends.
    pub async fn hinted(&self) {
        self.hints.finish().await;
    }

    /// Sends pending notifications and closes all connections. SQLite merges its write-ahead log into the file.
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

/// Statements in autocommit mode: two round trips fewer than a transaction.
#[derive(Debug)]
pub struct Autocommit {
    pool: AnyPool,
    dialect: Dialect,
    hints: StoreNotifications,
    /// Number of connections that may be lost too.
    others: u32,
    /// Whether all statements are one transaction.
    is_whole: bool,
}

impl Autocommit {
    /// Runs `ask`, which sends the statements and returns the transaction. A lost idle connection is detected by the
    /// first statement, so everything is repeated on another one.
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
