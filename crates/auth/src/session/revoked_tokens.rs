//! The cache of revoked provider tokens: all of them, once they were read, and every change since. Until then, and
//! while the change feed is unavailable, the database is queried.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::status::StatusUnavailable;
use guarita_core::revocation_key::{RevocationKey, RevocationKeys, RevokedMark};
use guarita_store::{Store, StoreError};

/// Maximum number of cached revocation keys; with more, the database is queried each time.
const CAPACITY: usize = 262_144;
/// Minimum time before reading all of them is tried again if there were too many.
const TRY_AGAIN: Duration = Duration::from_secs(300);
/// Number of revocation keys read at once.
const PAGE: i64 = 4_096;
/// Maximum number of concurrent queries.
const CONCURRENCY: usize = 4;
/// Time-out of waiting for a query.
const TURN_TIMEOUT: Duration = Duration::from_secs(2);
/// Time-out of a query.
const LOAD_TIMEOUT: Duration = Duration::from_secs(1);

/// How much of the table is cached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Extent {
    /// Only changes since the cache was last cleared.
    #[default]
    Changes,
    /// The same, and the rest is being read.
    Reading,
    /// The whole table.
    Whole,
    /// There were too many entries, at this time.
    TooMuch(Instant),
}

#[derive(Debug, Default)]
struct KnownRevocations {
    marks: HashMap<RevocationKey, RevokedMark>,
    extent: Extent,
    /// How often the cache was cleared.
    forgotten: u64,
}

/// The cache of revocation keys of revoked tokens.
#[derive(Debug)]
pub(super) struct RevokedTokens {
    known: RwLock<KnownRevocations>,
    turns: Semaphore,
}

impl RevokedTokens {
    pub(super) fn new() -> Self {
        Self { known: RwLock::default(), turns: Semaphore::new(CONCURRENCY) }
    }

    /// The cached result, if the cache is complete and up to date; after [`None`], [`RevokedTokens::ask`] must be
    /// called.
    pub(super) fn cached(&self, marks: &RevocationKeys) -> Option<bool> {
        let known = self.read();
        (known.extent == Extent::Whole)
            .then(|| marks.are_revoked(|mark| known.marks.get(mark).copied()))
    }

    /// Queries the database. Starts reading the whole table if that is not in progress.
    pub(super) async fn ask(
        self: &Arc<Self>,
        store: &Store,
        marks: &RevocationKeys,
    ) -> Result<bool, StatusUnavailable> {
        self.begin_to_read(store);
        let turn = timeout(TURN_TIMEOUT, self.turns.acquire()).await;
        let _turn = turn.map_err(|_| StatusUnavailable)?.map_err(|_| StatusUnavailable)?;
        let asked = async { store.read().await?.are_tokens_revoked(marks).await };
        let answer = timeout(LOAD_TIMEOUT, asked).await.unwrap_or(Err(StoreError::Timeout));
        // The feed is silent, and memory is not all of it any more.
        if matches!(answer, Ok(true)) && self.cached(marks) == Some(false) {
            self.invalidate();
        }
        answer.map_err(|fault| {
            tracing::error!(error = %fault, "looking up whether a token is revoked failed");
            StatusUnavailable
        })
    }

    /// Adds a revocation.
    pub(super) fn add(&self, revoked: RevokedMark) {
        let mut known = self.write();
        if matches!(known.extent, Extent::TooMuch(_)) {
            return;
        }
        known.add(revoked);
        if known.marks.len() > CAPACITY {
            let now = revoked.revoked_at;
            known.marks.retain(|_, it| it.keep_until > now);
        }
        if known.marks.len() > CAPACITY {
            known.give_up();
        }
    }

    /// Clears the cache, because changes may have been missed.
    pub(super) fn forget_all(&self) {
        let mut known = self.write();
        let forgotten = known.forgotten.wrapping_add(1);
        *known = KnownRevocations { forgotten, ..KnownRevocations::default() };
    }

    fn invalidate(&self) {
        let mut known = self.write();
        if known.extent == Extent::Whole {
            known.extent = Extent::Changes;
        }
    }

    /// Reads the table in the background, once; meanwhile tokens are queried individually.
    fn begin_to_read(self: &Arc<Self>, store: &Store) {
        let mut known = self.write();
        let is_due = match known.extent {
            Extent::Changes => true,
            Extent::TooMuch(since) => since.elapsed() >= TRY_AGAIN,
            Extent::Reading | Extent::Whole => false,
        };
        if !is_due {
            return;
        }
        known.extent = Extent::Reading;
        let (this, store, forgotten) = (Arc::clone(self), store.clone(), known.forgotten);
        drop(known);
        tokio::spawn(async move {
            let read = this.read_all(&store, forgotten).await;
            if let Err(fault) = &read {
                tracing::error!(error = %fault, "reading the revoked tokens failed");
            }
            let mut known = this.write();
            if known.forgotten == forgotten && known.extent == Extent::Reading {
                known.extent = if read.is_ok() { Extent::Whole } else { Extent::Changes };
            }
        });
    }

    /// Reads page by page; additions in the meantime are received by the feed.
    async fn read_all(&self, store: &Store, forgotten: u64) -> Result<(), StoreError> {
        let mut after = None;
        loop {
            let page = async { store.read().await?.list_revoked_tokens(after, PAGE).await };
            let page = timeout(LOAD_TIMEOUT, page).await.unwrap_or(Err(StoreError::Timeout))?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(last.mark);
            let mut known = self.write();
            if known.forgotten != forgotten || known.extent != Extent::Reading {
                return Ok(());
            }
            for revoked in page {
                known.add(revoked);
            }
            if known.marks.len() > CAPACITY {
                known.give_up();
                return Ok(());
            }
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, KnownRevocations> {
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, KnownRevocations> {
        self.known.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl KnownRevocations {
    fn add(&mut self, revoked: RevokedMark) {
        let joined = |it: &mut RevokedMark| *it = it.joined(revoked);
        self.marks.entry(revoked.mark).and_modify(joined).or_insert(revoked);
    }

    fn give_up(&mut self) {
        tracing::warn!(
            most = CAPACITY,
            "too many revoked tokens to cache: the database is queried for each"
        );
        self.marks = HashMap::new();
        self.extent = Extent::TooMuch(Instant::now());
        // Whoever still reads is not to take the next attempt for its own.
        self.forgotten = self.forgotten.wrapping_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use guarita_core::revocation_key::{MarkKind, Said};
    use guarita_store::sample;
    use guarita_store::sample::NOW;

    fn marks(session: &str) -> RevocationKeys {
        RevocationKeys::new(Said {
            issuer: "i",
            token_id: None,
            session: Some(session),
            subject: "u",
            also: ["u"; 2],
            issued_at: NOW,
            expires_at: NOW,
        })
    }

    fn revoked(number: usize) -> RevokedMark {
        RevokedMark::now(RevocationKey::of("i", MarkKind::Session, &number.to_string()), NOW)
    }

    async fn until_read(tokens: &RevokedTokens) {
        while tokens.read().extent == Extent::Reading {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn memory_says_nothing_until_all_is_read_and_then_all() {
        let (_directory, store) = sample::open().await;
        let mut transaction = store.begin_write().await.unwrap();
        transaction.revoke_tokens(revoked(1), NOW).await.unwrap();
        transaction.commit().await.unwrap();
        let tokens = Arc::new(RevokedTokens::new());
        tokens.add(revoked(2));
        assert_eq!(tokens.cached(&marks("2")), None);
        assert_eq!(tokens.ask(&store, &marks("1")).await, Ok(true));
        until_read(&tokens).await;
        for (session, is_revoked) in [("1", true), ("2", true), ("3", false)] {
            assert_eq!(tokens.cached(&marks(session)), Some(is_revoked), "{session}");
        }
        tokens.forget_all();
        assert_eq!(tokens.cached(&marks("1")), None);
        assert_eq!(tokens.ask(&store, &marks("3")).await, Ok(false));
        until_read(&tokens).await;
        assert_eq!(tokens.cached(&marks("1")), Some(true));
    }

    #[tokio::test]
    async fn memory_that_the_store_contradicts_says_nothing_more() {
        let (_directory, store) = sample::open().await;
        let tokens = Arc::new(RevokedTokens::new());
        assert_eq!(tokens.ask(&store, &marks("1")).await, Ok(false));
        until_read(&tokens).await;
        assert_eq!(tokens.cached(&marks("1")), Some(false));
        // The feed does not say so.
        let mut transaction = store.begin_write().await.unwrap();
        transaction.revoke_tokens(revoked(1), NOW).await.unwrap();
        transaction.commit().await.unwrap();
        assert_eq!(tokens.ask(&store, &marks("1")).await, Ok(true));
        assert_eq!(tokens.cached(&marks("1")), None);
    }

    #[tokio::test]
    async fn who_cannot_know_does_not_say() {
        let (_directory, store) = sample::open().await;
        store.close().await;
        let tokens = Arc::new(RevokedTokens::new());
        assert_eq!(tokens.ask(&store, &marks("1")).await, Err(StatusUnavailable));
        until_read(&tokens).await;
        assert_eq!(tokens.cached(&marks("1")), None);
    }

    #[tokio::test]
    async fn what_was_too_much_is_read_again_after_a_while() {
        let (_directory, store) = sample::open().await;
        let mut transaction = store.begin_write().await.unwrap();
        transaction.revoke_tokens(revoked(1), NOW).await.unwrap();
        transaction.commit().await.unwrap();
        let tokens = Arc::new(RevokedTokens::new());
        tokens.write().give_up();
        assert_eq!(tokens.ask(&store, &marks("1")).await, Ok(true));
        let Extent::TooMuch(since) = tokens.read().extent else { panic!("too soon") };
        tokens.write().extent = Extent::TooMuch(since.checked_sub(TRY_AGAIN).unwrap());
        assert_eq!(tokens.ask(&store, &marks("1")).await, Ok(true));
        until_read(&tokens).await;
        for (session, is_revoked) in [("1", true), ("2", false)] {
            assert_eq!(tokens.cached(&marks(session)), Some(is_revoked), "{session}");
        }
    }

    #[test]
    fn memory_is_bounded_and_what_is_beyond_it_is_asked_for() {
        let tokens = RevokedTokens::new();
        tokens.write().extent = Extent::Whole;
        for number in 0..=CAPACITY {
            tokens.add(revoked(number));
        }
        assert!(tokens.read().marks.is_empty());
        assert_eq!(tokens.cached(&marks("1")), None);
        // What is of no use any more makes room first.
        let tokens = RevokedTokens::new();
        tokens.write().extent = Extent::Whole;
        for number in 0..CAPACITY {
            tokens.add(RevokedMark { keep_until: NOW, ..revoked(number) });
        }
        tokens.add(revoked(CAPACITY));
        assert_eq!(tokens.read().marks.len(), 1);
        assert_eq!(tokens.cached(&marks(&CAPACITY.to_string())), Some(true));
    }
}
