//! A browser's session that is used lives on: its end is written anew, in batches and off the
//! request's path.

use std::time::Duration;

use tokio::sync::mpsc;

use super::Lifetimes;
use crate::adapters::store::{Fault, Store};
use crate::model::{SessionId, Timestamp};

/// Uses that wait to be written; more are written with the session's next use.
const WAITING: usize = 4_096;
/// Uses written in one transaction.
const BATCH: usize = 500;
/// From one batch to the next.
const PERIOD: Duration = Duration::from_millis(200);

/// Where a use is told.
#[derive(Debug, Clone)]
pub struct Renewals {
    sender: mpsc::Sender<SessionId>,
    lifetimes: Lifetimes,
}

impl Renewals {
    /// How long sessions last.
    pub const fn lifetimes(&self) -> Lifetimes {
        self.lifetimes
    }

    /// The session was used. Whether that will be written down; where not, its next use tells again.
    pub fn tell(&self, session: SessionId) -> bool {
        self.sender.try_send(session).is_ok()
    }
}

/// Writes what is told.
#[derive(Debug)]
pub struct Renewal {
    store: Store,
    lifetimes: Lifetimes,
    receiver: mpsc::Receiver<SessionId>,
    clock: fn() -> Timestamp,
}

impl Renewal {
    /// One that has not begun, and where it is told. `clock` is `model::clock::now`.
    pub fn new(store: Store, lifetimes: Lifetimes, clock: fn() -> Timestamp) -> (Self, Renewals) {
        let (sender, receiver) = mpsc::channel(WAITING);
        (Self { store, lifetimes, receiver, clock }, Renewals { sender, lifetimes })
    }

    /// Writes for ever; drop it to stop.
    pub async fn run(mut self) {
        let mut told = Vec::with_capacity(BATCH);
        while self.receiver.recv_many(&mut told, BATCH).await > 0 {
            if let Err(fault) = self.write(&told).await {
                tracing::warn!(error = %fault, "the use of sessions could not be written down");
            }
            told.clear();
            tokio::time::sleep(PERIOD).await;
        }
    }

    async fn write(&self, told: &[SessionId]) -> Result<(), Fault> {
        let Lifetimes { idle, absolute } = self.lifetimes;
        let mut transaction = self.store.begin_write().await?;
        for session in told {
            let now = (self.clock)();
            transaction.renew_browser_session(*session, idle, absolute, now).await?;
        }
        transaction.commit().await
    }
}
