//! Clients of token introspection in the database: created and revoked by an operator, cached in memory.
//!
//! All valid ones are in memory, so that guessing does not cause database queries. The cache is valid for one
//! generation of [`crate::session::SessionCache`]; each change of a client begins a new generation.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::timeout;

use crate::session;
use crate::session::StatusUnavailable;
use guarita_core::jose::opaque;
use guarita_core::random;
use guarita_core::random::RandomFault;
use guarita_core::{Secret, Timestamp};
use guarita_store as store;
use guarita_store::{ClientSecret, MostClients, NewClient, Store, WhichClients};

/// Maximum number of valid secrets per client: the current one and its successor.
pub const MAX_OF_ONE_NAME: i64 = 2;
/// Maximum number of valid secrets in total.
pub const MAX_IN_ALL: i64 = 1_000;
/// Maximum length of a name, in bytes.
pub const MAX_NAME: usize = 128;
/// Minimum lifetime of a secret.
pub const MIN_LIFETIME: Duration = Duration::from_secs(1);
/// Maximum lifetime of a secret.
pub const MAX_LIFETIME: Duration = Duration::from_secs(3_650 * 86_400);
/// Maximum length of a presented secret, in bytes.
const MAX_SECRET: usize = 4_096;
/// Time-out of waiting for a query.
const TURN_TIMEOUT: Duration = Duration::from_secs(2);
/// Time-out of a query.
const LOAD_TIMEOUT: Duration = Duration::from_secs(1);
/// How often a query is repeated if a change made its result outdated.
const MAX_LOADS: usize = 10;

/// Secrets by their SHA-256.
type KnownClients = HashMap<String, ClientSecret>;

/// The cached secrets of one generation.
#[derive(Debug)]
struct LearntClients {
    generation: u64,
    known: Arc<KnownClients>,
}

/// The clients in the database.
#[derive(Debug)]
pub struct ClientCache {
    store: Store,
    sessions: session::SessionCache,
    learnt: RwLock<Option<LearntClients>>,
    turn: Mutex<()>,
}

impl ClientCache {
    /// Creates an empty cache. `sessions` provides the generations.
    pub fn new(store: Store, sessions: session::SessionCache) -> Self {
        Self { store, sessions, learnt: RwLock::default(), turn: Mutex::default() }
    }

    /// Whether this is a valid secret of the client.
    ///
    /// # Errors
    /// [`StatusUnavailable`] if it is not cached and the database does not respond within 3 s.
    pub async fn is_secret_of(
        &self,
        name: &str,
        secret: &str,
        now: Timestamp,
    ) -> Result<bool, StatusUnavailable> {
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

    fn cached(&self) -> Option<Arc<KnownClients>> {
        let generation = self.sessions.generation_of_credentials()?;
        let learnt = self.learnt.read().unwrap_or_else(PoisonError::into_inner);
        let learnt = learnt.as_ref().filter(|learnt| learnt.generation == generation)?;
        Some(Arc::clone(&learnt.known))
    }

    /// A single query serves all waiters.
    async fn ask(&self, now: Timestamp) -> Result<Arc<KnownClients>, StatusUnavailable> {
        let _turn = timeout(TURN_TIMEOUT, self.turn.lock()).await.map_err(|_| StatusUnavailable)?;
        if let Some(known) = self.cached() {
            return Ok(known);
        }
        for _ in 0..MAX_LOADS {
            let generation = self.sessions.generation_of_credentials();
            let read = async { self.store.read().await?.live_clients(now).await };
            let read = timeout(LOAD_TIMEOUT, read).await.unwrap_or(Err(store::StoreError::Timeout));
            let known = read.map_err(|fault| {
                tracing::error!(error = %fault, "clients cannot be looked up");
                StatusUnavailable
            })?;
            let known: Arc<KnownClients> = Arc::new(known.into_iter().collect());
            if self.sessions.generation_of_credentials() == generation {
                if let Some(generation) = generation {
                    let learnt = LearntClients { generation, known: Arc::clone(&known) };
                    *self.learnt.write().unwrap_or_else(PoisonError::into_inner) = Some(learnt);
                }
                return Ok(known);
            }
        }
        Err(StatusUnavailable)
    }
}

/// Why a change is rejected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[must_use]
pub enum ClientRejection {
    /// Out of bounds.
    #[error(
        "the name of a client must be 1 to 128 letters, digits, \".\", \"_\" and \"-\", and begin with a \
         letter"
    )]
    InvalidName,
    /// Out of bounds.
    #[error("the lifetime of a secret must be 1s to 3650d")]
    InvalidLifetime,
    /// There are already as many valid secrets as allowed.
    #[error(
        "this client has two valid secrets already, or there are 1,000 in total: revoke one first"
    )]
    TooMany,
    /// No secret matches that is not revoked.
    #[error("there is no such secret or client, or it is already revoked")]
    Unknown,
}

/// An internal fault.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The store.
    #[error(transparent)]
    Store(#[from] store::StoreError),
    /// Randomness.
    #[error(transparent)]
    Random(#[from] RandomFault),
}

type ClientOutcome<T> = Result<Result<T, ClientRejection>, ClientError>;

/// The administration of clients.
#[derive(Debug)]
pub struct ClientAdministration {
    store: Store,
}

impl ClientAdministration {
    /// Creates it with a store; gateways learn of changes by their change feeds.
    pub const fn new(store: Store) -> Self {
        Self { store }
    }

    /// Creates a secret for the client, which is shown once. At most two secrets can be valid at a time.
    pub async fn create(
        &self,
        name: &str,
        lifetime: Option<Duration>,
        now: Timestamp,
    ) -> ClientOutcome<Secret> {
        if !is_name(name) {
            return Ok(Err(ClientRejection::InvalidName));
        }
        if lifetime.is_some_and(|lifetime| !(MIN_LIFETIME..=MAX_LIFETIME).contains(&lifetime)) {
            return Ok(Err(ClientRejection::InvalidLifetime));
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
            return Ok(Err(ClientRejection::TooMany));
        }
        transaction.commit().await?;
        Ok(Ok(secret))
    }

    /// At most 1,000 secrets with ids above `after`, in the order of ids; including revoked ones if `revoked`.
    pub async fn list(&self, after: i64, revoked: bool) -> Result<Vec<ClientSecret>, ClientError> {
        Ok(self.store.read().await?.list_clients(after, revoked).await?)
    }

    /// Revokes the secret with this id, or all secrets of the client with this name. Returns how many.
    pub async fn revoke(&self, which: &str, now: Timestamp) -> ClientOutcome<usize> {
        let which = match which.parse() {
            Ok(id) => WhichClients::Id(id),
            Err(_) if is_name(which) => WhichClients::Name(which),
            Err(_) => return Ok(Err(ClientRejection::InvalidName)),
        };
        let mut transaction = self.store.begin_write().await?;
        let revoked = transaction.revoke_clients(which, now).await?;
        transaction.commit().await?;
        Ok(if revoked == 0 { Err(ClientRejection::Unknown) } else { Ok(revoked) })
    }
}

/// A name cannot be an id, and has no colon, which would end it in `Basic`.
fn is_name(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=MAX_NAME).contains(&text.len())
        && text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::ChangeFeed;
    use guarita_store::sample;
    use guarita_store::sample::{DAY, NOW};

    #[tokio::test]
    async fn a_secret_counts_for_its_client_from_its_making_to_its_end() {
        let (_directory, store) = sample::open().await;
        let sessions = session::SessionCache::new(store.clone());
        let (made, clients) = (
            ClientAdministration::new(store.clone()),
            ClientCache::new(store.clone(), sessions.clone()),
        );
        let mut feed = ChangeFeed::new(store, sessions);
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
        assert_eq!(made.create("portal", None, NOW).await.unwrap(), Err(ClientRejection::TooMany));
        let id = made.list(0, false).await.unwrap()[0].id.to_string();
        assert_eq!(made.revoke(&id, NOW).await.unwrap(), Ok(1));
        feed.poll().await.unwrap();
        assert!(!counts("portal", &first, NOW).await && counts("portal", &second, NOW).await);
        assert_eq!(made.revoke("portal", NOW).await.unwrap(), Ok(1));
        assert_eq!(made.revoke("portal", NOW).await.unwrap(), Err(ClientRejection::Unknown));
    }

    #[tokio::test]
    async fn who_cannot_know_does_not_say() {
        let (_directory, store) = sample::open().await;
        let clients = ClientCache::new(store.clone(), session::SessionCache::new(store.clone()));
        store.close().await;
        assert_eq!(clients.is_secret_of("portal", "x", NOW).await, Err(StatusUnavailable));
    }

    #[tokio::test]
    async fn what_an_operator_may_make_is_bounded() {
        let (_directory, store) = sample::open().await;
        let made = ClientAdministration::new(store);
        for name in ["", "7", "a b", "a:b", ".a", "é", &"a".repeat(MAX_NAME + 1)] {
            assert_eq!(
                made.create(name, None, NOW).await.unwrap(),
                Err(ClientRejection::InvalidName)
            );
        }
        for lifetime in [Duration::from_millis(999), MAX_LIFETIME + MIN_LIFETIME] {
            let refused = made.create("a", Some(lifetime), NOW).await.unwrap();
            assert_eq!(refused, Err(ClientRejection::InvalidLifetime));
        }
        assert!(made.create(&"a".repeat(MAX_NAME), Some(MAX_LIFETIME), NOW).await.unwrap().is_ok());
    }
}
