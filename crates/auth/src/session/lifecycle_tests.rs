use super::*;
use guarita_store::NewRefreshToken;
use guarita_store::sample;
use guarita_store::sample::{DAY, NOW};

async fn with_token(store: &Store, session: SessionId, token: &str) {
    let digest = opaque::digest(token);
    let new = NewRefreshToken { digest: &digest, session, family: "f", expires_at: NOW.plus(DAY) };
    let mut transaction = store.begin_write().await.unwrap();
    transaction.insert_refresh_token(&new, NOW).await.unwrap();
    transaction.commit().await.unwrap();
}

#[tokio::test]
async fn a_session_ends_by_its_refresh_token_and_twice_too() {
    let (_directory, store) = sample::open().await;
    let sessions = Sessions::new(store.clone(), SessionCache::new(store.clone()));
    let user = sample::user(&store, "alice").await;
    let session = sample::session(&store, user, NOW.plus(DAY)).await;
    with_token(&store, session, "secret").await;
    let token = Secret::new("secret");
    assert_eq!(sessions.find_user_by_refresh_token(&token, NOW).await, Ok(Some(user)));
    assert_eq!(sessions.find_user_by_refresh_token(&token, NOW.plus(DAY)).await, Ok(None));
    for _ in 0..2 {
        assert_eq!(sessions.revoke_by_refresh_token(&token, NOW).await, Ok(Some(session)));
    }
    assert_eq!(sessions.find_user_by_refresh_token(&token, NOW).await, Ok(None));
    let unknown = Secret::new("x".repeat(100_000));
    assert_eq!(sessions.revoke_by_refresh_token(&unknown, NOW).await, Ok(None));
}

#[tokio::test]
async fn all_sessions_of_one_user_end_and_no_others() {
    let (_directory, store) = sample::open().await;
    let registry = SessionCache::new(store.clone());
    let sessions = Sessions::new(store.clone(), registry);
    let (alice, bob) = (sample::user(&store, "alice").await, sample::user(&store, "bob").await);
    for user in [alice, alice, bob] {
        sample::session(&store, user, NOW.plus(DAY)).await;
    }
    assert_eq!(sessions.revoke_all(alice, None, NOW).await, Ok(2));
    assert_eq!(sessions.revoke_all(alice, None, NOW).await, Ok(0));
    assert_eq!(sessions.list(alice, NOW).await.unwrap().len(), 0);
    assert_eq!(sessions.list(bob, NOW).await.unwrap().len(), 1);
}

#[tokio::test]
async fn session_revocation_012_a_revocation_that_was_not_stored_is_not_reported_as_done() {
    let (_directory, store) = sample::open().await;
    let sessions = Sessions::new(store.clone(), SessionCache::new(store.clone()));
    let user = sample::user(&store, "alice").await;
    let session = sample::session(&store, user, NOW.plus(DAY)).await;
    store.close().await;
    assert_eq!(sessions.revoke(session, NOW).await, Err(StatusUnavailable));
    assert_eq!(sessions.revoke_all(user, None, NOW).await, Err(StatusUnavailable));
}
