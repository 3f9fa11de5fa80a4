use super::*;
use crate::adapters::store::sample::{self, DAY, NOW};
use crate::services::session::{Standing, Sweep};

#[tokio::test]
async fn a_revocation_by_another_process_is_learnt() {
    let (directory, store) = sample::open().await;
    let elsewhere = sample::reopen(directory.path()).await;
    let registry = Registry::new(store.clone());
    let mut feed = Feed::new(store.clone(), registry.clone());
    let user = sample::user(&store, "alice").await;
    let session = sample::session(&store, user, NOW.plus(DAY)).await;
    feed.poll().await.unwrap();
    registry.ask(session, NOW).await.unwrap();
    feed.poll().await.unwrap();
    assert!(registry.recall(session, NOW).is_some());
    sample::revoke(&elsewhere, session).await;
    feed.poll().await.unwrap();
    assert!(registry.recall(session, NOW).is_none());
    assert!(matches!(registry.ask(session, NOW).await, Ok(Standing::Inactive)));
}

#[tokio::test]
async fn more_changes_than_one_batch_are_applied_at_once() {
    let (_directory, store) = sample::open().await;
    let registry = Registry::new(store.clone());
    let mut feed = Feed::new(store.clone(), registry.clone());
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
    assert_eq!(feed.position, Some(BATCH + 2));
    assert!(matches!(registry.ask(session, NOW).await, Ok(Standing::Inactive)));
}

#[tokio::test]
async fn a_feed_that_was_silent_for_long_begins_with_an_empty_memory() {
    let (_directory, store) = sample::open().await;
    let registry = Registry::new(store.clone());
    let mut feed = Feed::new(store.clone(), registry.clone());
    let user = sample::user(&store, "alice").await;
    let session = sample::session(&store, user, NOW.plus(DAY)).await;
    feed.poll().await.unwrap();
    registry.ask(session, NOW).await.unwrap();
    assert_eq!(registry.len(), 1);
    sample::revoke(&store, session).await;
    let swept = Sweep::new(store.clone(), || NOW).sweep(NOW.plus(DAY)).await.unwrap();
    assert_eq!(swept, 1, "the change is pruned, the session is kept");
    feed.heard = feed.heard.checked_sub(MAX_GAP).unwrap();
    feed.poll().await.unwrap();
    assert!(registry.is_empty());
}

#[tokio::test]
async fn a_running_feed_takes_sessions_out_of_memory() {
    let (directory, store) = sample::open().await;
    let elsewhere = sample::reopen(directory.path()).await;
    let registry = Registry::new(store.clone());
    let user = sample::user(&store, "alice").await;
    let session = sample::session(&store, user, NOW.plus(DAY)).await;
    let running = tokio::spawn(Feed::new(store.clone(), registry.clone()).run());
    let until = |met: fn(&Registry) -> bool| {
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
    until(Registry::is_empty).await.unwrap();
    running.abort();
}

#[tokio::test]
async fn what_ended_a_day_ago_is_swept() {
    let (_directory, store) = sample::open().await;
    let user = sample::user(&store, "alice").await;
    let over = sample::session(&store, user, NOW).await;
    let kept = sample::session(&store, user, NOW.plus(DAY * 2)).await;
    let sweep = Sweep::new(store.clone(), || NOW);
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
    let mut transaction = store.begin_write().await.unwrap();
    for number in 0..1_200 {
        let token = crate::adapters::store::NewRefreshToken {
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
    let sweep = Sweep::new(store.clone(), || NOW);
    let swept = sweep.sweep(NOW.plus(DAY + Duration::from_secs(1))).await.unwrap();
    assert_eq!(swept, 1_200 + 1 + 3_000);
    assert!(store.read().await.unwrap().find_session(over).await.unwrap().is_none());
}
