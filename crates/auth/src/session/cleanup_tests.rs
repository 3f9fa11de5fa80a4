use super::*;
use guarita_store::NewRefreshToken;
use guarita_store::sample;
use guarita_store::sample::{DAY, NOW};

/// A day after the end of what ended now.
fn later() -> Timestamp {
    NOW.plus(DAY + Duration::from_secs(1))
}

#[tokio::test]
async fn one_process_sweeps_at_a_time_and_another_goes_on_once_it_is_gone() {
    let (directory, store) = sample::open().await;
    let elsewhere = sample::reopen(directory.path()).await;
    let mut one = ExpiryCleanup::new(store.clone(), || NOW);
    let other = ExpiryCleanup::new(elsewhere, || NOW);
    let user = sample::user(&store, "alice").await;
    sample::session(&store, user, NOW).await;
    assert_eq!(one.sweep(later()).await.unwrap(), 1);
    let over = sample::session(&store, user, NOW).await;
    assert_eq!(other.sweep(later()).await.unwrap(), 0, "it is the turn of another");
    assert!(store.read().await.unwrap().find_session(over).await.unwrap().is_some());
    assert_eq!(one.sweep(later()).await.unwrap(), 1, "whoever has the turn keeps it");
    sample::session(&store, user, NOW).await;
    // As if its last transaction had been long ago.
    one.turn = Duration::ZERO;
    one.batch(Part::Changes, NOW).await.unwrap().unwrap();
    assert_eq!(other.sweep(later()).await.unwrap(), 1);
    one.turn = TURN;
    assert_eq!(one.batch(Part::Changes, NOW).await.unwrap(), None);
}

#[tokio::test]
async fn a_transaction_of_a_sweep_removes_a_thousand_rows_at_most() {
    let (_directory, store) = sample::open().await;
    let user = sample::user(&store, "alice").await;
    let mut transaction = store.begin_write().await.unwrap();
    for number in 0..1_100 {
        let session = guarita_core::SessionId::new(random::ordered_uuid());
        let new = guarita_store::NewSession {
            id: session,
            user,
            expires_at: NOW,
            address: None,
            user_agent: None,
            second_factor_at: None,
            cookie_digest: None,
        };
        transaction.insert_session(&new, NOW).await.unwrap();
        let token = NewRefreshToken {
            digest: &format!("digest-{number}"),
            session,
            family: "family",
            expires_at: NOW.plus(DAY * 30),
        };
        transaction.insert_refresh_token(&token, NOW).await.unwrap();
    }
    transaction.revoke_sessions_of(user, NOW).await.unwrap();
    for _ in 0..1_100 {
        transaction.set_active(user, true, NOW).await.unwrap();
    }
    transaction.commit().await.unwrap();
    sample::age_changes(&store, DAY).await;
    let sweep = ExpiryCleanup::new(store, || NOW);
    let mut removed = 0;
    for part in Part::ALL {
        loop {
            let rows = sweep.batch(part, later()).await.unwrap().unwrap();
            assert!(rows <= 1_000, "{part:?}: {rows}");
            removed += rows;
            if rows == 0 {
                break;
            }
        }
    }
    assert_eq!(removed, 1_100 + 1_100 + 1_101);
}

/// A sweeper whose clock is a day ahead removes nothing that others may not have read.
#[tokio::test]
async fn changes_age_by_the_clock_of_the_database() {
    let (_directory, store) = sample::open().await;
    let user = sample::user(&store, "alice").await;
    let (old, new) =
        (sample::session(&store, user, NOW).await, sample::session(&store, user, NOW).await);
    sample::revoke(&store, old).await;
    sample::age_changes(&store, KEEP_CHANGES + Duration::from_secs(1)).await;
    sample::revoke(&store, new).await;
    let sweep = ExpiryCleanup::new(store.clone(), || NOW);
    assert_eq!(sweep.batch(Part::Changes, NOW.plus(DAY * 365)).await.unwrap(), Some(1));
    assert_eq!(sweep.batch(Part::Changes, NOW.plus(DAY * 365)).await.unwrap(), Some(0));
    let kept = store.follow().await.unwrap().changes_after(0, 10).await.unwrap();
    assert_eq!(kept.len(), 1);
}
