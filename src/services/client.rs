//! Clients of token introspection in the database: created and revoked by an operator, cached in memory.
//!
//! All valid ones are in memory, so that guessing does not cause database queries. The cache is valid for one
//! generation of [`crate::services::session::Registry`]; each change of a client begins a new generation.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::timeout;

use crate::adapters::store::{self, ClientSecret, MostClients, NewClient, Store, WhichClients};
use crate::model::random::{self, RandomFault};
use crate::model::{Secret, Timestamp};
use crate::rules::token::opaque;
use crate::services::session::{self, Unknowable};

/// Secrets of one client that count at a time: one, and the one that takes its place.
pub const MAX_OF_ONE_NAME: i64 = 2;
/// Secrets that count at a time.
pub const MAX_IN_ALL: i64 = 1_000;
/// Longest name, in bytes.
pub const MAX_NAME: usize = 128;
/// The shortest time that a secret may be made for.
pub const MIN_LIFETIME: Duration = Duration::from_secs(1);
/// The longest.
pub const MAX_LIFETIME: Duration = Duration::from_secs(3_650 * 86_400);
/// Longest secret that is looked at, in bytes.
const MAX_SECRET: usize = 4_096;
/// Longest wait for a turn to ask.
const TURN_TIMEOUT: Duration = Duration::from_secs(2);
/// Longest wait for the store.
const LOAD_TIMEOUT: Duration = Duration::from_secs(1);
/// How often an answer that a change overtook is asked for again.
const MAX_LOADS: usize = 10;

/// By the SHA-256 of the secret, as the store has it: no prefix of what differs leads to it.
type Known = HashMap<String, ClientSecret>;

/// What was read, under one generation.
#[derive(Debug)]
struct Learnt {
    generation: u64,
    known: Arc<Known>,
}

/// The clients of the store.
#[derive(Debug)]
pub struct Registry {
    store: Store,
    sessions: session::Registry,
    learnt: RwLock<Option<Learnt>>,
    turn: Mutex<()>,
}

impl Registry {
    /// One that knows none yet. `sessions` gives out the generations.
    pub fn new(store: Store, sessions: session::Registry) -> Self {
        Self { store, sessions, learnt: RwLock::default(), turn: Mutex::default() }
    }

    /// Whether it is a secret of that client that counts now.
    ///
    /// # Errors
    /// [`Unknowable`] where neither memory nor, within 3 s, the store says.
    pub async fn is_secret_of(
        &self,
        name: &str,
        secret: &str,
        now: Timestamp,
    ) -> Result<bool, Unknowable> {
        if secret.len() > MAX_SECRET {
            return Ok(false);
        }
        let known = match self.cached() {
            Some(known) => known,
            None => self.ask(now).await?,
        };
        let found = known.get(&opaque::digest(secret));
        Ok(found.is_some_and(|found| found.name == name && found.is_live(now)))
    }

    fn cached(&self) -> Option<Arc<Known>> {
        let generation = self.sessions.generation_of_credentials()?;
        let learnt = self.learnt.read().unwrap_or_else(PoisonError::into_inner);
        let learnt = learnt.as_ref().filter(|learnt| learnt.generation == generation)?;
        Some(Arc::clone(&learnt.known))
    }

    /// One asks for all who wait.
    async fn ask(&self, now: Timestamp) -> Result<Arc<Known>, Unknowable> {
        let _turn = timeout(TURN_TIMEOUT, self.turn.lock()).await.map_err(|_| Unknowable)?;
        if let Some(known) = self.cached() {
            return Ok(known);
        }
        for _ in 0..MAX_LOADS {
            let generation = self.sessions.generation_of_credentials();
            let read = async { self.store.read().await?.live_clients(now).await };
            let read = timeout(LOAD_TIMEOUT, read).await.unwrap_or(Err(store::Fault::Timeout));
            let known = read.map_err(|fault| {
                tracing::error!(error = %fault, "clients cannot be looked up");
                Unknowable
            })?;
            let known: Arc<Known> = Arc::new(known.into_iter().collect());
            if self.sessions.generation_of_credentials() == generation {
                if let Some(generation) = generation {
                    let learnt = Learnt { generation, known: Arc::clone(&known) };
                    *self.learnt.write().unwrap_or_else(PoisonError::into_inner) = Some(learnt);
                }
                return Ok(known);
            }
        }
        Err(Unknowable)
    }
}

/// Why a change is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[must_use]
pub enum Refusal {
    /// Out of bounds.
    #[error(
        "the name of a client must be 1 to 128 letters, digits, \".\", \"_\" and \"-\", and begin with a \
         letter"
    )]
    InvalidName,
    /// Out of bounds.
    #[error("the lifetime of a secret must be 1s to 3650d")]
    InvalidLifetime,
    /// As many count as may.
    #[error(
        "this client has two valid secrets already, or there are 1,000 in total: revoke one first"
    )]
    TooMany,
    /// None that was not revoked is meant.
    #[error("there is no such secret or client, or it is already revoked")]
    Unknown,
}

/// Something of ours failed.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The store.
    #[error(transparent)]
    Store(#[from] store::Fault),
    /// Randomness.
    #[error(transparent)]
    Random(#[from] RandomFault),
}

type Outcome<T> = Result<Result<T, Refusal>, Fault>;

/// The administration of clients.
#[derive(Debug)]
pub struct Administration {
    store: Store,
}

impl Administration {
    /// Over one store, beside gateways that hear of it by their feeds.
    pub const fn new(store: Store) -> Self {
        Self { store }
    }

    /// Makes a secret for the client of that name, which is told once. A second one may count beside the
    /// first; a third may not.
    pub async fn create(
        &self,
        name: &str,
        lifetime: Option<Duration>,
        now: Timestamp,
    ) -> Outcome<Secret> {
        if !is_name(name) {
            return Ok(Err(Refusal::InvalidName));
        }
        if lifetime.is_some_and(|lifetime| !(MIN_LIFETIME..=MAX_LIFETIME).contains(&lifetime)) {
            return Ok(Err(Refusal::InvalidLifetime));
        }
        let secret = random::token()?;
        let new = NewClient {
            name,
            digest: opaque::digest(secret.expose()),
            expires_at: lifetime.map(|lifetime| now.plus(lifetime)),
        };
        let most = MostClients { of_one: MAX_OF_ONE_NAME, in_all: MAX_IN_ALL };
        let mut transaction = self.store.begin_write().await?;
        if transaction.insert_client(&new, most, now).await?.is_none() {
            return Ok(Err(Refusal::TooMany));
        }
        transaction.commit().await?;
        Ok(Ok(secret))
    }

    /// At most 1,000 secrets with ids above `after`, in order of id; those that were revoked too where
    /// `revoked` says so.
    pub async fn list(&self, after: i64, revoked: bool) -> Result<Vec<ClientSecret>, Fault> {
        Ok(self.store.read().await?.list_clients(after, revoked).await?)
    }

    /// Revokes the secret with that id, or every one of the client of that name. How many.
    pub async fn revoke(&self, which: &str, now: Timestamp) -> Outcome<usize> {
        let which = match which.parse() {
            Ok(id) => WhichClients::Id(id),
            Err(_) if is_name(which) => WhichClients::Name(which),
            Err(_) => return Ok(Err(Refusal::InvalidName)),
        };
        let mut transaction = self.store.begin_write().await?;
        let revoked = transaction.revoke_clients(which, now).await?;
        transaction.commit().await?;
        Ok(if revoked == 0 { Err(Refusal::Unknown) } else { Ok(revoked) })
    }
}

/// A name is neither an id nor has it a colon, which ends it in `Basic`.
fn is_name(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=MAX_NAME).contains(&text.len())
        && text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::store::sample::{self, DAY, NOW};
    use crate::services::session::Feed;

    #[tokio::test]
    async fn a_secret_counts_for_its_client_from_its_making_to_its_end() {
        let (_directory, store) = sample::open().await;
        let sessions = session::Registry::new(store.clone());
        let (made, clients) =
            (Administration::new(store.clone()), Registry::new(store.clone(), sessions.clone()));
        let mut feed = Feed::new(store, sessions);
        feed.poll().await.unwrap();
        let first = made.create("portal", None, NOW).await.unwrap().unwrap();
        let counts = async |name, secret: &Secret, now| {
            clients.is_secret_of(name, secret.expose(), now).await.unwrap()
        };
        assert!(counts("portal", &first, NOW).await);
        assert!(!counts("other", &first, NOW).await);
        assert!(!counts("portal", &Secret::new("x"), NOW).await);
        assert!(!counts("portal", &Secret::new("x".repeat(MAX_SECRET + 1)), NOW).await);
        let second = made.create("portal", Some(DAY), NOW).await.unwrap().unwrap();
        feed.poll().await.unwrap();
        assert!(counts("portal", &first, NOW).await && counts("portal", &second, NOW).await);
        assert!(!counts("portal", &second, NOW.plus(DAY)).await, "it ended");
        assert_eq!(made.create("portal", None, NOW).await.unwrap(), Err(Refusal::TooMany));
        let id = made.list(0, false).await.unwrap()[0].id.to_string();
        assert_eq!(made.revoke(&id, NOW).await.unwrap(), Ok(1));
        feed.poll().await.unwrap();
        assert!(!counts("portal", &first, NOW).await && counts("portal", &second, NOW).await);
        assert_eq!(made.revoke("portal", NOW).await.unwrap(), Ok(1));
        assert_eq!(made.revoke("portal", NOW).await.unwrap(), Err(Refusal::Unknown));
    }

    #[tokio::test]
    async fn who_cannot_know_does_not_say() {
        let (_directory, store) = sample::open().await;
        let clients = Registry::new(store.clone(), session::Registry::new(store.clone()));
        store.close().await;
        assert_eq!(clients.is_secret_of("portal", "x", NOW).await, Err(Unknowable));
    }

    #[tokio::test]
    async fn what_an_operator_may_make_is_bounded() {
        let (_directory, store) = sample::open().await;
        let made = Administration::new(store);
        for name in ["", "7", "a b", "a:b", ".a", "é", &"a".repeat(MAX_NAME + 1)] {
            assert_eq!(made.create(name, None, NOW).await.unwrap(), Err(Refusal::InvalidName));
        }
        for lifetime in [Duration::from_millis(999), MAX_LIFETIME + MIN_LIFETIME] {
            let refused = made.create("a", Some(lifetime), NOW).await.unwrap();
            assert_eq!(refused, Err(Refusal::InvalidLifetime));
        }
        assert!(made.create(&"a".repeat(MAX_NAME), Some(MAX_LIFETIME), NOW).await.unwrap().is_ok());
    }
}
