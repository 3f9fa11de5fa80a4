//! The cache of API keys, by the SHA-256 of the presented key. A miss queries the database; if that fails, the key
//! is rejected.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use ipnet::IpNet;
use quick_cache::sync::Cache;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::usage::{PERIOD, Uses};
use crate::session;
use crate::session::{StaleReadPolicy, StatusUnavailable};
use guarita_core::identity::InvalidIdentity;
use guarita_core::jose::api_key::KeyDigest;
use guarita_core::{ApiKeyId, Identity, Source, Subject, Timestamp};
use guarita_store::{ApiKey, Store, StoreError};

/// Maximum number of cached keys.
const CAPACITY: usize = 16_384;
/// Maximum number of cached digests of unknown keys.
const ABSENT_CAPACITY: usize = 10_000;
/// How long unknown digests are cached.
const ABSENT_TTL: Duration = Duration::from_secs(10);
/// Maximum number of concurrent queries, so that invented keys cannot occupy more connections.
const CONCURRENCY: usize = 2;
/// Time-out of waiting for a query.
const TURN_TIMEOUT: Duration = Duration::from_secs(2);
/// Time-out of a query; so a result is never older than this.
const LOAD_TIMEOUT: Duration = Duration::from_secs(1);
/// How often a query is repeated if a change made its result outdated.
const MAX_LOADS: usize = 10;

/// A cached key that was not revoked when it was read.
#[derive(Debug)]
struct KnownKey {
    id: ApiKeyId,
    identity: Arc<Identity>,
    networks: Box<[IpNet]>,
    expires_at: Option<Timestamp>,
    /// When its use is recorded next, in seconds since the epoch.
    tell_at: AtomicI64,
}

impl KnownKey {
    fn new(key: ApiKey) -> Result<Self, InvalidIdentity> {
        let subject = Subject::parse(&key.name.subject())?;
        let identity = Identity::new(subject, None, None, key.roles, Source::ApiKey, None)?;
        let told = key.last_used_at.map_or(0, |last| last.plus(PERIOD).seconds());
        Ok(Self {
            id: key.id,
            identity: Arc::new(identity.with_scopes(key.scopes).with_api_key(key.id)),
            networks: key.networks.into(),
            expires_at: key.expires_at,
            tell_at: AtomicI64::new(told),
        })
    }

    /// Whether it is valid now for a client at this address. The reason is only logged.
    fn admits(&self, client: IpAddr, now: Timestamp) -> bool {
        let expired = self.expires_at.is_some_and(|end| now >= end);
        let client = client.to_canonical();
        let elsewhere = !self.networks.is_empty()
            && !self.networks.iter().any(|network| network.contains(&client));
        if expired || elsewhere {
            let reason = if expired { "expired" } else { "network" };
            tracing::debug!(reason, id = self.id.get(), "API key rejected");
        }
        !expired && !elsewhere
    }
}

/// The cache of one generation of keys.
#[derive(Clone, Debug)]
struct LearntKey<T> {
    generation: u64,
    what: T,
}

/// The registry of named keys, bounded in size. Malformed keys cause no query.
#[derive(Debug)]
pub struct ApiKeyCache {
    store: Store,
    sessions: session::SessionCache,
    uses: Uses,
    known: Cache<KeyDigest, LearntKey<Arc<KnownKey>>>,
    absent: Cache<KeyDigest, LearntKey<Timestamp>>,
    turns: Semaphore,
}

impl ApiKeyCache {
    /// Creates an empty registry. The cache is used while the change feed of `sessions` is up to date.
    pub fn new(store: Store, sessions: session::SessionCache, uses: Uses) -> Self {
        Self {
            store,
            sessions,
            uses,
            known: Cache::new(CAPACITY),
            absent: Cache::new(ABSENT_CAPACITY),
            turns: Semaphore::new(CONCURRENCY),
        }
    }

    /// The identity of a key; [`None`] if it is unknown, revoked, expired, or not allowed from this address. With
    /// `leave`, stale state may be used.
    ///
    /// # Errors
    /// [`StatusUnavailable`] if it is not cached and the database does not respond within 3 s.
    pub async fn identify(
        &self,
        leave: Option<&StaleReadPolicy>,
        presented: &str,
        client: IpAddr,
        now: Timestamp,
    ) -> Result<Option<Arc<Identity>>, StatusUnavailable> {
        let Some(digest) = KeyDigest::of(presented) else { return Ok(None) };
        let known = match self.cached(&digest, now) {
            Some(known) => known,
            // Boxed: a miss is rare, and its size would be paid on every hit.
            None => {
                let last = || {
                    let generation = self.sessions.last_generation_of_credentials();
                    self.recall_under(generation, &digest, now)
                };
                Box::pin(self.sessions.ask_or(leave, self.ask(&digest, now), last)).await?
            }
        };
        let Some(known) = known.filter(|known| known.admits(client, now)) else { return Ok(None) };
        self.report_use(&known, now);
        Ok(Some(Arc::clone(&known.identity)))
    }

    /// Whether the key is still valid in the database.
    ///
    /// # Errors
    /// [`StatusUnavailable`] if the database does not respond within 3 s.
    pub async fn is_live(&self, key: ApiKeyId, now: Timestamp) -> Result<bool, StatusUnavailable> {
        let _turn = self.turn().await?;
        let found = load(async { self.store.read().await?.find_api_key(key).await }).await?;
        Ok(found.is_some_and(|found| found.is_live(now)))
    }

    /// The cached key; after [`None`], [`ApiKeyCache::ask`] must be called. The inner [`None`] is for a digest that no
    /// key has.
    fn cached(&self, digest: &KeyDigest, now: Timestamp) -> Option<Option<Arc<KnownKey>>> {
        self.recall_under(self.sessions.generation_of_credentials()?, digest, now)
    }

    fn recall_under(
        &self,
        generation: u64,
        digest: &KeyDigest,
        now: Timestamp,
    ) -> Option<Option<Arc<KnownKey>>> {
        if let Some(known) = self.known.get(digest).filter(|it| it.generation == generation) {
            return Some(Some(known.what));
        }
        let absent = self.absent.get(digest).filter(|it| it.generation == generation)?;
        (now < absent.what).then_some(None)
    }

    async fn ask(
        &self,
        digest: &KeyDigest,
        now: Timestamp,
    ) -> Result<Option<Arc<KnownKey>>, StatusUnavailable> {
        let _turn = self.turn().await?;
        // Somebody may have asked the same while this waited.
        if let Some(known) = self.cached(digest, now) {
            return Ok(known);
        }
        for _ in 0..MAX_LOADS {
            let generation = self.sessions.generation_of_credentials();
            let find =
                async { self.store.read().await?.find_api_key_by_digest(digest.text()).await };
            let found = load(find).await?;
            let known = found.filter(|found| found.revoked_at.is_none()).map(KnownKey::new);
            let known = known.transpose().map_err(|error| {
                tracing::error!(%error, "a stored API key is invalid");
                StatusUnavailable
            })?;
            let known = known.map(Arc::new);
            if self.sessions.generation_of_credentials() == generation {
                self.cache(*digest, generation, known.as_ref(), now);
                return Ok(known);
            }
        }
        Err(StatusUnavailable)
    }

    /// Caches a result, unless the change feed is unavailable, when the cache is not used anyway. Keys that no longer
    /// exist are removed in any case.
    fn cache(
        &self,
        digest: KeyDigest,
        generation: Option<u64>,
        known: Option<&Arc<KnownKey>>,
        now: Timestamp,
    ) {
        if known.is_none() {
            self.known.remove(&digest);
        }
        let Some(generation) = generation else { return };
        match known {
            Some(known) => {
                self.known.insert(digest, LearntKey { generation, what: Arc::clone(known) });
            }
            None => {
                let what = now.plus(ABSENT_TTL);
                self.absent.insert(digest, LearntKey { generation, what });
            }
        }
    }

    async fn turn(&self) -> Result<tokio::sync::SemaphorePermit<'_>, StatusUnavailable> {
        let turn = timeout(TURN_TIMEOUT, self.turns.acquire()).await;
        turn.map_err(|_| StatusUnavailable)?.map_err(|_| StatusUnavailable)
    }

    /// Records the use of a key, periodically.
    fn report_use(&self, known: &KnownKey, now: Timestamp) {
        let due = known.tell_at.load(Ordering::Relaxed);
        if now.seconds() < due {
            return;
        }
        let next = now.plus(PERIOD).seconds();
        let (when, then) = (Ordering::Relaxed, Ordering::Relaxed);
        let first = known.tell_at.compare_exchange(due, next, when, then).is_ok();
        if first && !self.uses.record(known.id) {
            known.tell_at.store(due, Ordering::Relaxed);
        }
    }
}

/// Runs a query with the time-out.
async fn load(
    find: impl Future<Output = Result<Option<ApiKey>, StoreError>>,
) -> Result<Option<ApiKey>, StatusUnavailable> {
    let found = timeout(LOAD_TIMEOUT, find).await.unwrap_or(Err(StoreError::Timeout));
    found.map_err(|fault| {
        tracing::error!(error = %fault, "an API key cannot be looked up");
        StatusUnavailable
    })
}

#[cfg(test)]
#[path = "registry_tests.rs"]
mod tests;
