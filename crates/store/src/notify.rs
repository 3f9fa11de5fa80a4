//! Change notifications by LISTEN and NOTIFY: there are new rows in the table `changes`.
//!
//! A notification has no other content and may be lost: followers of the change feed also poll. SQLite has no
//! notifications. Commits of this process are always counted, for notifications by another channel.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sqlx::AnyPool;
use sqlx::postgres::{PgListener, PgPoolOptions};
use tokio::runtime::Handle;
use tokio::sync::{Mutex, watch};
use tokio::time::{sleep, timeout};

use super::postgres::Listening;

/// Time-out of getting a connection, and of sending a notification.
const TIMEOUT: Duration = Duration::from_secs(2);
/// After this time without a notification the listening connection is checked.
const PROBE_INTERVAL: Duration = Duration::from_secs(15);
/// Pause before reconnecting.
const PAUSE: Duration = Duration::from_secs(1);

/// Sent outside of the transaction that it is about, because NOTIFY holds a server-wide lock until the commit. A
/// notification need not survive a power loss, so its commit does not wait for the disk.
const TELL: &str = "BEGIN; SET LOCAL synchronous_commit = off; NOTIFY guarita_changes; COMMIT";
const CHANNEL: &str = "guarita_changes";

/// Notifies other processes; clones share the state.
#[derive(Clone, Debug)]
pub(super) struct StoreNotifications {
    committed: watch::Sender<u64>,
    teller: Option<Arc<Teller>>,
}

#[derive(Debug)]
struct Teller {
    pool: AnyPool,
    /// Whether a notification is pending.
    waiting: AtomicBool,
    turn: Mutex<()>,
}

impl StoreNotifications {
    /// Sends no notifications.
    pub(super) fn none() -> Self {
        Self { committed: watch::Sender::new(0), teller: None }
    }

    /// Sends on a connection of the pool.
    pub(super) fn over(pool: AnyPool) -> Self {
        let waiting = AtomicBool::new(false);
        let teller = Teller { pool, waiting, turn: Mutex::default() };
        Self { teller: Some(Arc::new(teller)), ..Self::none() }
    }

    /// Incremented with each commit of a change by this process.
    pub(super) fn committed(&self) -> watch::Receiver<u64> {
        self.committed.subscribe()
    }

    /// Sends a notification soon, in the background. Changes that come before it is sent are covered by it.
    pub(super) fn notify(&self) {
        self.committed.send_modify(|count| *count = count.wrapping_add(1));
        let Some(teller) = &self.teller else { return };
        let Ok(runtime) = Handle::try_current() else { return };
        if teller.waiting.swap(true, Ordering::AcqRel) {
            return;
        }
        let teller = Arc::clone(teller);
        runtime.spawn(async move {
            let _turn = teller.turn.lock().await;
            // From here on what is new needs another hint.
            teller.waiting.store(false, Ordering::Release);
            let told = timeout(TIMEOUT, sqlx::raw_sql(TELL).execute(&teller.pool)).await;
            if !matches!(told, Ok(Ok(_))) {
                tracing::debug!(
                    "notifying other processes failed; they detect the change by polling"
                );
            }
        });
    }

    /// Waits until no notification is pending.
    pub(super) async fn finish(&self) {
        let Some(teller) = &self.teller else { return };
        let told = async {
            loop {
                // Whoever tells something has the turn.
                drop(teller.turn.lock().await);
                if !teller.waiting.load(Ordering::Acquire) {
                    return;
                }
                tokio::task::yield_now().await;
            }
        };
        // Who closes the store does not wait for a server that is gone.
        let _ = timeout(TIMEOUT, told).await;
    }
}

/// Receives notifications of other processes, and its own.
pub struct NotificationListener {
    server: Option<Listening>,
    listener: Option<PgListener>,
}

impl NotificationListener {
    pub(super) fn new(server: Option<Listening>) -> Self {
        Self { server, listener: None }
    }

    /// Waits for the next notification, forever if there are none. A possibly lost notification is reported as one.
    pub async fn hint(&mut self) {
        while let Err(error) = self.next().await {
            tracing::debug!(%error, "listening for change notifications failed");
            self.listener = None;
            sleep(PAUSE).await;
        }
    }

    async fn next(&mut self) -> Result<(), sqlx::Error> {
        let Some(server) = &self.server else { return pending().await };
        let Some(listener) = &mut self.listener else {
            self.listener = Some(within(connect(server)).await?);
            return Ok(());
        };
        loop {
            // Both a hint and a connection that was made anew.
            if let Ok(heard) = timeout(PROBE_INTERVAL, listener.try_recv()).await {
                return heard.map(|_| ());
            }
            within(sqlx::query("SELECT 1").execute(&mut *listener)).await?;
        }
    }
}

async fn connect(server: &Listening) -> Result<PgListener, sqlx::Error> {
    let pool = PgPoolOptions::new()
        .max_connections(1)
        .acquire_timeout(TIMEOUT)
        .idle_timeout(None)
        .max_lifetime(None)
        .connect_lazy_with(server.0.clone());
    let mut listener = PgListener::connect_with(&pool).await?;
    listener.listen(CHANNEL).await?;
    Ok(listener)
}

async fn within<T>(work: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, sqlx::Error> {
    timeout(TIMEOUT, work).await.unwrap_or(Err(sqlx::Error::PoolTimedOut))
}
