//! Sliding expiry of browser sessions: the new expiry of used sessions is written in batches, in the background.

use std::time::Duration;

use tokio::sync::mpsc;

use super::Lifetimes;
use guarita_core::{SessionId, Timestamp};
use guarita_store::{Store, StoreError, Transaction};

/// Maximum number of queued uses; further ones are written with the session's next use.
const WAITING: usize = 4_096;
/// Number of uses written per batch.
const BATCH: usize = 500;
/// Number of uses written on one connection before it is released.
const FEW: usize = 100;
/// Interval of batches.
const PERIOD: Duration = Duration::from_millis(200);

/// The sender of uses.
#[derive(Debug, Clone)]
pub struct Renewals {
    sender: mpsc::Sender<SessionId>,
    lifetimes: Lifetimes,
}

impl Renewals {
    /// The lifetimes of sessions.
    pub const fn lifetimes(&self) -> Lifetimes {
        self.lifetimes
    }

    /// Records a use. Returns false if the queue is full; then the next use tries again.
    pub fn record(&self, session: SessionId) -> bool {
        self.sender.try_send(session).is_ok()
    }
}

/// Writes recorded uses.
#[derive(Debug)]
pub struct SessionRenewal {
    store: Store,
    lifetimes: Lifetimes,
    receiver: mpsc::Receiver<SessionId>,
    clock: fn() -> Timestamp,
}

impl SessionRenewal {
    /// Creates a writer without starting it, and its sender. `clock` is `model::clock::now`.
    pub fn new(store: Store, lifetimes: Lifetimes, clock: fn() -> Timestamp) -> (Self, Renewals) {
        let (sender, receiver) = mpsc::channel(WAITING);
        (Self { store, lifetimes, receiver, clock }, Renewals { sender, lifetimes })
    }

    /// Runs forever; drop it to stop.
    pub async fn run(mut self) {
        let mut told = Vec::with_capacity(BATCH);
        while self.receiver.recv_many(&mut told, BATCH).await > 0 {
            if let Err(fault) = self.write(&told).await {
                tracing::warn!(error = %fault, "recording the use of sessions failed");
            }
            told.clear();
            tokio::time::sleep(PERIOD).await;
        }
    }

    async fn write(&self, told: &[SessionId]) -> Result<(), StoreError> {
        // Each by itself: nobody's login waits for hundreds of them, nor can two gateways that write the same ones
        // wait for each other.
        for few in told.chunks(FEW) {
            let written = self.store.write_many_at_once().run(|mut transaction| async move {
                let written = self.renew(&mut transaction, few).await;
                (transaction, written)
            });
            written.await?;
        }
        Ok(())
    }

    async fn renew(
        &self,
        transaction: &mut Transaction,
        told: &[SessionId],
    ) -> Result<(), StoreError> {
        let Lifetimes { idle, absolute } = self.lifetimes;
        for session in told {
            let now = (self.clock)();
            transaction.renew_browser_session(*session, idle, absolute, now).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use guarita_core::random;
    use guarita_store::NewSession;
    use guarita_store::sample;
    use guarita_store::sample::NOW;

    const IDLE: Duration = Duration::from_secs(1_000);

    fn later() -> Timestamp {
        NOW.plus(Duration::from_secs(50))
    }

    #[tokio::test]
    async fn many_uses_are_written_and_with_a_server_beside_another_writer() {
        let (directory, store) = sample::open().await;
        let user = sample::user(&store, "ana").await;
        let sessions: Vec<_> =
            (0..FEW * 2 + 1).map(|_| SessionId::new(random::ordered_uuid())).collect();
        let mut transaction = store.begin_write().await.unwrap();
        for id in &sessions {
            let new = NewSession {
                id: *id,
                user,
                expires_at: NOW.plus(IDLE),
                address: None,
                user_agent: None,
                second_factor_at: None,
                cookie_digest: Some(id.to_string()),
            };
            transaction.insert_session(&new, NOW).await.unwrap();
        }
        transaction.revoke_session(sessions[0], NOW).await.unwrap();
        transaction.commit().await.unwrap();
        let other = sample::reopen(directory.path()).await;
        let writing = match sample::is_postgres(directory.path()) {
            true => Some(other.begin_write().await.unwrap()),
            false => None,
        };
        let lifetimes = Lifetimes { idle: IDLE, absolute: IDLE * 10 };
        let (renewal, _renewals) = SessionRenewal::new(store.clone(), lifetimes, later);
        renewal.write(&sessions).await.unwrap();
        drop(writing);
        let mut transaction = store.read().await.unwrap();
        for (at, id) in sessions.iter().enumerate() {
            let session = transaction.find_session(*id).await.unwrap().unwrap();
            let (used, end) =
                if at == 0 { (NOW, NOW.plus(IDLE)) } else { (later(), later().plus(IDLE)) };
            assert_eq!((session.last_used_at, session.expires_at), (used, end), "{at}");
        }
    }
}
