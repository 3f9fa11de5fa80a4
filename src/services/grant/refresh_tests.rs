use std::time::Duration;

use super::*;
use crate::adapters::store::sample::{self as stored, NOW};
use crate::model::Role;
use crate::services::grant::sample::{House, house};
use crate::services::session::{Sessions, Standing};

const TTL: Duration = Duration::from_secs(86_400);

struct Case {
    house: House,
    refresh: Arc<Refresh>,
    user: UserId,
    session: SessionId,
    token: Secret,
}

async fn case(rotation: bool) -> Case {
    let house = house(rotation).await;
    let user = stored::user(&house.store, "alice").await;
    let session = stored::session(&house.store, user, NOW.plus(TTL)).await;
    let token = random::token().unwrap();
    let digest = opaque::digest(token.expose());
    let new =
        NewRefreshToken { digest: &digest, session, family: "family", expires_at: NOW.plus(TTL) };
    let mut transaction = house.store.begin_write().await.unwrap();
    transaction.insert_refresh_token(&new, NOW).await.unwrap();
    transaction.commit().await.unwrap();
    let refresh =
        Refresh::new(house.store.clone(), house.registry.clone(), Arc::clone(&house.issuer));
    Case { house, refresh: Arc::new(refresh), user, session, token }
}

impl Case {
    async fn refresh(&self, token: &Secret, now: Timestamp) -> Result<Tokens, InvalidRefreshToken> {
        self.refresh.refresh(token, now).await.unwrap()
    }

    async fn is_active(&self) -> bool {
        let standing = self.house.registry.ask(self.session, NOW).await.unwrap();
        matches!(standing, Standing::Active(_))
    }
}

#[tokio::test]
async fn a_refresh_gives_the_next_pair_with_the_roles_of_now() {
    let case = case(true).await;
    let mut transaction = case.house.store.begin_write().await.unwrap();
    transaction.grant_role(case.user, &Role::parse("admin").unwrap(), NOW).await.unwrap();
    transaction.commit().await.unwrap();
    let first = case.refresh(&case.token, NOW).await.unwrap();
    let claims = case.house.claims(&first.access_token, NOW);
    assert_eq!(claims.session, case.session);
    assert_eq!(claims.roles.header(), "admin");
    let next = first.refresh_token.unwrap();
    assert_ne!(next.expose(), case.token.expose());
    let late = NOW.plus(TTL - Duration::from_secs(1));
    let second = case.refresh(&next, late).await.unwrap();
    let third = second.refresh_token.unwrap();
    assert!(case.refresh(&third, late.plus(TTL - Duration::from_secs(1))).await.is_ok(), "slides");
}

#[tokio::test]
async fn a_used_token_ends_its_family_and_session() {
    let case = case(true).await;
    let next = case.refresh(&case.token, NOW).await.unwrap().refresh_token.unwrap();
    assert!(case.is_active().await);
    let reused = InvalidRefreshToken::Reused { session: case.session, user: case.user };
    assert_eq!(case.refresh(&case.token, NOW).await.unwrap_err(), reused);
    assert!(!case.is_active().await);
    assert_eq!(case.refresh(&next, NOW).await.unwrap_err(), InvalidRefreshToken::Revoked);
    assert_eq!(case.refresh(&case.token, NOW).await.unwrap_err(), InvalidRefreshToken::Revoked);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn fifty_refreshes_of_one_token_give_one_pair_and_end_its_family() {
    let case = case(true).await;
    let attempts: Vec<_> = (0..50)
        .map(|_| {
            let (refresh, token) = (Arc::clone(&case.refresh), case.token.clone());
            tokio::spawn(async move { refresh.refresh(&token, NOW).await.unwrap() })
        })
        .collect();
    let mut pairs = Vec::new();
    let mut reuses = 0;
    for attempt in attempts {
        match attempt.await.unwrap() {
            Ok(tokens) => pairs.push(tokens),
            Err(InvalidRefreshToken::Reused { .. }) => reuses += 1,
            Err(refusal) => assert_eq!(refusal, InvalidRefreshToken::Revoked),
        }
    }
    assert_eq!((pairs.len(), reuses), (1, 1));
    let next = pairs.pop().unwrap().refresh_token.unwrap();
    assert_eq!(case.refresh(&next, NOW).await.unwrap_err(), InvalidRefreshToken::Revoked);
    assert!(!case.is_active().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn session_revocation_010_a_refresh_at_the_instant_of_a_logout_leaves_nothing() {
    for _ in 0..50 {
        let case = case(true).await;
        let sessions = Sessions::new(case.house.store.clone(), case.house.registry.clone());
        let (refresh, token) = (Arc::clone(&case.refresh), case.token.clone());
        let refreshing = tokio::spawn(async move { refresh.refresh(&token, NOW).await.unwrap() });
        sessions.revoke_by_refresh_token(&case.token, NOW).await.unwrap();
        if let Ok(tokens) = refreshing.await.unwrap() {
            let next = tokens.refresh_token.unwrap();
            assert!(case.refresh(&next, NOW).await.is_err());
        }
        assert!(!case.is_active().await);
    }
}

#[tokio::test]
async fn without_rotation_the_token_stays() {
    let case = case(false).await;
    for _ in 0..3 {
        let tokens = case.refresh(&case.token, NOW).await.unwrap();
        assert_eq!(tokens.refresh_token.unwrap().expose(), case.token.expose());
    }
    assert!(case.refresh(&case.token, NOW.plus(TTL)).await.is_err());
}

#[tokio::test]
async fn what_does_not_count_is_refused() {
    let case = case(true).await;
    for token in ["", "unknown", &"x".repeat(1_048_576)] {
        let refused = case.refresh(&Secret::new(token), NOW).await.unwrap_err();
        assert_eq!(refused, InvalidRefreshToken::Unknown);
    }
    assert!(case.refresh(&case.token, NOW.plus(TTL)).await.is_err());
    let mut transaction = case.house.store.begin_write().await.unwrap();
    transaction.set_active(case.user, false, NOW).await.unwrap();
    transaction.commit().await.unwrap();
    let refused = case.refresh(&case.token, NOW).await.unwrap_err();
    assert_eq!(refused, InvalidRefreshToken::Revoked);
}
