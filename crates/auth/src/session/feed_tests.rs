use super::*;
use crate::session::{ExpiryCleanup, SessionStatus};
use guarita_core::UserId;
use guarita_store::sample;
use guarita_store::sample::{DAY, NOW};

#[tokio::test]
async fn a_revocation_by_another_process_is_learnt() {
    let (directory, store) = sample::open().await;
    let elsewhere = sample::reopen(directory.path()).await;
    let registry = SessionCache::new(store.clone());
    let mut feed = ChangeFeed::new(store.clone(), registry.clone());
    let user = sample::user(&store, "alice").await;
    let session = sample::session(&store, user, NOW.plus(DAY)).await;
    feed.poll().await.unwrap();
    registry.ask(session, NOW).await.unwrap();
    feed.poll().await.unwrap();
    assert!(registry.cached(session, NOW).is_some());
    sample::revoke(&elsewhere, session).await;
    feed.poll().await.unwrap();
    assert!(registry.cached(session, NOW).is_none());
    assert!(matches!(registry.ask(session, NOW).await, Ok(SessionStatus::Inactive)));
}

#[tokio::test]
async fn more_changes_than_one_batch_are_applied_at_once() {
    let (_directory, store) = sample::open().await;
    let registry = SessionCache::new(store.clone());
    let mut feed = ChangeFeed::new(store.clone(), registry.clone());
    let user = sample::user(&store, "alice").await;
    let session = sample::session(&store, user, NOW.plus(DAY)).await;
    feed.poll().await.unwrap();
    registry.ask(session, NOW).await.unwrap();
    let mut transaction = store.begin_write().await.unwrap();
    for _ in 0..=BATCH {
        transaction.set_active(user, true, NOW).await.unwrap();
    }
    transaction.revoke_session(session, NOW).await.unwrap();
    transaction.commit().await.unwrap();
    feed.poll().await.unwrap();
    assert_eq!(feed.place.as_ref().unwrap().newest(), BATCH + 2);
    assert!(matches!(registry.ask(session, NOW).await, Ok(SessionStatus::Inactive)));
}

#[tokio::test]
async fn a_feed_that_was_silent_for_long_begins_with_an_empty_memory() {
    let (_directory, store) = sample::open().await;
    let registry = SessionCache::new(store.clone());
    let mut feed = ChangeFeed::new(store.clone(), registry.clone());
    let user = sample::user(&store, "alice").await;
    let session = sample::session(&store, user, NOW.plus(DAY)).await;
    feed.poll().await.unwrap();
    registry.ask(session, NOW).await.unwrap();
    assert_eq!(registry.len(), 1);
    sample::revoke(&store, session).await;
    sample::age_changes(&store, DAY).await;
    let swept = ExpiryCleanup::new(store.clone(), || NOW).sweep(NOW.plus(DAY)).await.unwrap();
    assert_eq!(swept, 1, "the change is pruned, the session is kept");
    feed.heard = feed.heard.checked_sub(MAX_GAP).unwrap();
    feed.poll().await.unwrap();
    assert!(registry.is_empty());
}

/// The clock of a machine that is suspended stands still; that of the database went on.
#[tokio::test]
async fn a_feed_that_was_suspended_begins_with_an_empty_memory() {
    let (_directory, store) = sample::open().await;
    let registry = SessionCache::new(store.clone());
    let mut feed = ChangeFeed::new(store.clone(), registry.clone());
    let user = sample::user(&store, "alice").await;
    let session = sample::session(&store, user, NOW.plus(DAY)).await;
    feed.poll().await.unwrap();
    registry.ask(session, NOW).await.unwrap();
    sample::revoke(&store, session).await;
    sample::age_changes(&store, DAY).await;
    let swept = ExpiryCleanup::new(store.clone(), || NOW).sweep(NOW.plus(DAY)).await.unwrap();
    assert_eq!(swept, 1, "the change is pruned, the session is kept");
    let now = store.follow().await.unwrap().horizon().await.unwrap();
    let then = XidHorizon { now_ms: now.now_ms - 86_400_000, ..now };
    feed.place = Some(FeedCursor::new(&then, feed.place.as_ref().unwrap().newest()));
    feed.poll().await.unwrap();
    assert!(registry.is_empty());
}

#[tokio::test]
async fn a_running_feed_takes_sessions_out_of_memory() {
    let (directory, store) = sample::open().await;
    let elsewhere = sample::reopen(directory.path()).await;
    let registry = SessionCache::new(store.clone());
    let user = sample::user(&store, "alice").await;
    let session = sample::session(&store, user, NOW.plus(DAY)).await;
    let running = tokio::spawn(ChangeFeed::new(store.clone(), registry.clone()).run());
    let until = |met: fn(&SessionCache) -> bool| {
        let registry = registry.clone();
        timeout(Duration::from_secs(30), async move {
            while !met(&registry) {
                tokio::task::yield_now().await;
            }
        })
    };
    until(|registry| registry.silence().is_some()).await.unwrap();
    registry.ask(session, NOW).await.unwrap();
    assert_eq!(registry.len(), 1);
    sample::revoke(&elsewhere, session).await;
    until(SessionCache::is_empty).await.unwrap();
    running.abort();
}

#[tokio::test]
async fn what_ended_a_day_ago_is_swept() {
    let (_directory, store) = sample::open().await;
    let user = sample::user(&store, "alice").await;
    let over = sample::session(&store, user, NOW).await;
    let kept = sample::session(&store, user, NOW.plus(DAY * 2)).await;
    let sweep = ExpiryCleanup::new(store.clone(), || NOW);
    assert_eq!(sweep.sweep(NOW.plus(DAY)).await.unwrap(), 0);
    assert_eq!(sweep.sweep(NOW.plus(DAY + Duration::from_secs(1))).await.unwrap(), 1);
    let mut transaction = store.read().await.unwrap();
    assert!(transaction.find_session(over).await.unwrap().is_none());
    assert!(transaction.find_session(kept).await.unwrap().is_some());
}

#[tokio::test]
async fn a_backlog_is_swept_in_one_round_with_the_tokens_of_its_sessions() {
    let (_directory, store) = sample::open().await;
    let user = sample::user(&store, "alice").await;
    let over = sample::session(&store, user, NOW).await;
    // A busy machine takes its time for so many rows.
    let mut transaction = store.begin_write_within(DAY).await.unwrap();
    for number in 0..1_200 {
        let token = guarita_store::NewRefreshToken {
            digest: &format!("digest-{number}"),
            session: over,
            family: "family",
            expires_at: NOW.plus(DAY * 30),
        };
        transaction.insert_refresh_token(&token, NOW).await.unwrap();
    }
    for _ in 0..3_000 {
        transaction.set_active(user, true, NOW).await.unwrap();
    }
    transaction.commit().await.unwrap();
    sample::age_changes(&store, DAY).await;
    let sweep = ExpiryCleanup::new(store.clone(), || NOW);
    let swept = sweep.sweep(NOW.plus(DAY + Duration::from_secs(1))).await.unwrap();
    assert_eq!(swept, 1_200 + 1 + 3_000);
    assert!(store.read().await.unwrap().find_session(over).await.unwrap().is_none());
}

/// Two transactions of the same process, of different users: the one that took its number first commits last.
#[tokio::test]
async fn changes_that_commit_out_of_order_are_all_learnt() {
    let (directory, store) = sample::open().await;
    if !sample::is_postgres(directory.path()) {
        return;
    }
    let registry = SessionCache::new(store.clone());
    let mut feed = ChangeFeed::new(store.clone(), registry.clone());
    let (ana, bob) = (sample::user(&store, "ana").await, sample::user(&store, "bob").await);
    let of_ana = sample::session(&store, ana, NOW.plus(DAY)).await;
    let of_bob = sample::session(&store, bob, NOW.plus(DAY)).await;
    feed.poll().await.unwrap();
    for session in [of_ana, of_bob] {
        registry.ask(session, NOW).await.unwrap();
    }
    let mut late = store.begin_write_for(ana).await.unwrap();
    late.revoke_session(of_ana, NOW).await.unwrap();
    let mut rolled_back = store.begin_write_for(UserId::new(77)).await.unwrap();
    rolled_back.set_active(UserId::new(77), true, NOW).await.unwrap();
    let mut early = store.begin_write_for(bob).await.unwrap();
    early.revoke_session(of_bob, NOW).await.unwrap();
    early.commit().await.unwrap();
    // However often it is asked, while they are under way the gaps stay.
    for _ in 0..3 {
        feed.poll().await.unwrap();
        assert_eq!(feed.place.as_ref().unwrap().missing(), [1, 2]);
    }
    assert!(registry.cached(of_bob, NOW).is_none());
    assert!(registry.cached(of_ana, NOW).is_some());
    drop(rolled_back);
    late.commit().await.unwrap();
    feed.poll().await.unwrap();
    assert!(registry.cached(of_ana, NOW).is_none(), "the late revocation was lost");
    timeout(Duration::from_secs(30), async {
        while !feed.place.as_ref().unwrap().missing().is_empty() {
            feed.poll().await.unwrap();
        }
    })
    .await
    .expect("a number that was rolled back is waited for no more");
}

/// A transaction that is under way may commit a lower number than others have committed.
#[tokio::test]
async fn what_was_under_way_when_the_feed_began_is_learnt() {
    let (directory, store) = sample::open().await;
    if !sample::is_postgres(directory.path()) {
        return;
    }
    let registry = SessionCache::new(store.clone());
    let mut feed = ChangeFeed::new(store.clone(), registry.clone());
    let (ana, bob) = (sample::user(&store, "ana").await, sample::user(&store, "bob").await);
    let of_ana = sample::session(&store, ana, NOW.plus(DAY)).await;
    let mut late = store.begin_write_for(ana).await.unwrap();
    late.revoke_session(of_ana, NOW).await.unwrap();
    let mut early = store.begin_write_for(bob).await.unwrap();
    early.set_active(bob, true, NOW).await.unwrap();
    early.commit().await.unwrap();
    let refused = feed.poll().await;
    assert!(matches!(refused, Err(StoreError::Timeout)), "{refused:?}");
    assert_eq!(registry.silence(), None, "the store is asked meanwhile");
    // It is not in the way of others between its attempts.
    store.begin_write_for(bob).await.unwrap().commit().await.unwrap();
    late.commit().await.unwrap();
    feed.poll().await.unwrap();
    assert!(registry.silence().is_some());
    assert!(matches!(registry.ask(of_ana, NOW).await, Ok(SessionStatus::Inactive)));
    assert_eq!(feed.place.as_ref().unwrap().newest(), 2);
}

/// The other waits for the feed's one connection behind the feed: wherever the feed lets go of it while it begins,
/// a transaction takes its number there, and a later one commits before it.
#[tokio::test]
async fn what_begins_while_the_feed_begins_is_learnt() {
    let (directory, store) = sample::open().await;
    if !sample::is_postgres(directory.path()) {
        return;
    }
    let registry = SessionCache::new(store.clone());
    let mut feed = ChangeFeed::new(store.clone(), registry.clone());
    let (ana, bob) = (sample::user(&store, "ana").await, sample::user(&store, "bob").await);
    let of_ana = sample::session(&store, ana, NOW.plus(DAY)).await;
    let held = store.follow().await.unwrap();
    let beginning = feed.poll();
    let writing = async {
        let between = store.follow().await.unwrap();
        let mut late = store.begin_write_for(ana).await.unwrap();
        late.revoke_session(of_ana, NOW).await.unwrap();
        let mut early = store.begin_write_for(bob).await.unwrap();
        early.set_active(bob, true, NOW).await.unwrap();
        early.commit().await.unwrap();
        drop(between);
        late
    };
    // Polled in this order.
    let (begun, late, ()) = tokio::join!(beginning, writing, async { drop(held) });
    begun.unwrap();
    registry.ask(of_ana, NOW).await.unwrap();
    feed.poll().await.unwrap();
    assert!(registry.cached(of_ana, NOW).is_some());
    late.commit().await.unwrap();
    feed.poll().await.unwrap();
    assert!(registry.cached(of_ana, NOW).is_none(), "the late revocation was lost");
}

/// Whatever others do on the same server, a feed that has begun leaves memory alone.
#[tokio::test]
async fn memory_is_kept_beside_a_long_transaction_of_others() {
    let (directory, store) = sample::open().await;
    let elsewhere = sample::reopen(directory.path()).await;
    let registry = SessionCache::new(store.clone());
    let mut feed = ChangeFeed::new(store.clone(), registry.clone());
    let user = sample::user(&store, "alice").await;
    let session = sample::session(&store, user, NOW.plus(DAY)).await;
    let mut long = elsewhere.follow().await.unwrap();
    long.boundary().await.unwrap();
    feed.poll().await.unwrap();
    registry.ask(session, NOW).await.unwrap();
    feed.poll().await.unwrap();
    assert!(registry.cached(session, NOW).is_some());
    drop(long);
}

#[tokio::test]
async fn hints_come_from_another_process() {
    let (directory, store) = sample::open().await;
    if !sample::is_postgres(directory.path()) {
        return;
    }
    let elsewhere = sample::reopen(directory.path()).await;
    let mut listener = store.listener();
    // The first says that it listens.
    timeout(Duration::from_secs(30), listener.hint()).await.unwrap();
    let user = sample::user(&elsewhere, "ana").await;
    let session = sample::session(&elsewhere, user, NOW.plus(DAY)).await;
    assert!(
        timeout(Duration::from_millis(100), listener.hint()).await.is_err(),
        "nothing to hint at"
    );
    sample::revoke(&elsewhere, session).await;
    timeout(Duration::from_secs(30), listener.hint()).await.unwrap();
}
