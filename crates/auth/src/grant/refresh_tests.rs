use std::time::Duration;

use super::*;
use crate::grant::sample;
use crate::grant::sample::{House, house};
use crate::session::{SessionStatus, Sessions};
use crate::snapshot::RequiredFactor;
use guarita_core::Role;
use guarita_store::sample as stored;
use guarita_store::sample::NOW;

const TTL: Duration = Duration::from_secs(86_400);

struct Case {
    house: House,
    refresh: Arc<Refresh>,
    user: UserId,
    session: SessionId,
    token: Secret,
}

async fn case(rotation: RefreshRotation) -> Case {
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
        let refreshed = self.refresh.refresh(token, &self.house.snapshot, now).await.unwrap();
        refreshed.map(|refreshed| refreshed.tokens)
    }

    async fn is_active(&self) -> bool {
        let standing = self.house.registry.ask(self.session, NOW).await.unwrap();
        matches!(standing, SessionStatus::Active { .. })
    }
}

/// The old token is used up by then, and a retry may come after its grace.
#[tokio::test]
async fn the_next_pair_is_signed_also_where_no_turn_comes() {
    let mut case = case(RefreshRotation::Rotate).await;
    let (store, registry) = (case.house.store.clone(), case.house.registry.clone());
    case.refresh = Arc::new(Refresh::new(store, registry, case.house.crowded_issuer()));
    let tokens = case.refresh(&case.token, NOW).await.unwrap();
    assert_eq!(case.house.claims(&tokens.access_token, NOW).session, case.session);
}

#[tokio::test]
async fn a_refresh_gives_the_next_pair_with_the_roles_of_now() {
    let case = case(RefreshRotation::Rotate).await;
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

/// A reload while a refresh is under way: each goes by what it came with.
#[tokio::test]
async fn a_refresh_goes_by_the_snapshot_that_it_came_with() {
    let case = case(RefreshRotation::Rotate).await;
    let admin = Role::parse("admin").unwrap();
    let mut transaction = case.house.store.begin_write().await.unwrap();
    transaction.grant_role(case.user, &admin, NOW).await.unwrap();
    transaction.commit().await.unwrap();
    let required_factor = RequiredFactor::new(&[admin]);
    let after = AuthSnapshot { required_factor, ..AuthSnapshot::sample() };
    for (snapshot, half_proven) in [(&after, true), (&*case.house.snapshot, false)] {
        let refreshed = case.refresh.refresh(&case.token, snapshot, NOW).await.unwrap().unwrap();
        let claims = sample::claims(&refreshed.tokens.access_token, snapshot, NOW);
        assert_eq!((claims.session, claims.roles.is_empty()), (case.session, half_proven));
        assert_eq!(refreshed.tokens.half_proven, half_proven);
    }
}

const GRACE: Duration = Duration::from_secs(10);

/// refresh-001
#[tokio::test]
async fn a_used_token_that_comes_after_the_grace_ends_its_family_and_session() {
    let case = case(RefreshRotation::Rotate).await;
    let next = case.refresh(&case.token, NOW).await.unwrap().refresh_token.unwrap();
    assert!(case.is_active().await);
    let late = NOW.plus(GRACE);
    let reused = InvalidRefreshToken::Reused { session: case.session, user: case.user };
    assert_eq!(case.refresh(&case.token, late).await.unwrap_err(), reused);
    assert!(!case.is_active().await);
    assert_eq!(case.refresh(&next, late).await.unwrap_err(), InvalidRefreshToken::Revoked);
    assert_eq!(case.refresh(&case.token, late).await.unwrap_err(), InvalidRefreshToken::Revoked);
}

/// refresh-003
#[tokio::test]
async fn within_the_grace_a_used_token_gets_the_same_pair_and_no_second_chain() {
    let case = case(RefreshRotation::Rotate).await;
    let first = case.refresh(&case.token, NOW).await.unwrap();
    let next = first.refresh_token.unwrap();
    let later = NOW.plus(GRACE - Duration::from_secs(1));
    let again =
        case.refresh.refresh(&case.token, &case.house.snapshot, later).await.unwrap().unwrap();
    assert!(again.repeated);
    assert_eq!(again.tokens.refresh_token.unwrap().expose(), next.expose());
    assert_eq!(again.tokens.access_token.expose(), first.access_token.expose());
    // Its successor was used already: still the one chain.
    let third = case.refresh(&next, later).await.unwrap().refresh_token.unwrap();
    let again = case.refresh(&case.token, later).await.unwrap().refresh_token.unwrap();
    assert_eq!(again.expose(), next.expose());
    assert_eq!(
        case.refresh(&again, later).await.unwrap().refresh_token.unwrap().expose(),
        third.expose()
    );
    assert!(case.refresh(&case.token, NOW.plus(GRACE)).await.is_err());
    assert!(case.refresh(&third, NOW.plus(GRACE)).await.is_err(), "the family is gone");
}

/// refresh-004
#[tokio::test]
async fn a_clock_that_was_set_back_opens_no_grace() {
    let case = case(RefreshRotation::Rotate).await;
    case.refresh(&case.token, NOW).await.unwrap();
    let before = NOW.minus(Duration::from_secs(120));
    let reused = InvalidRefreshToken::Reused { session: case.session, user: case.user };
    assert_eq!(case.refresh(&case.token, before).await.unwrap_err(), reused);
}

#[tokio::test]
async fn once_its_seed_is_forgotten_a_used_token_gets_nothing() {
    let case = case(RefreshRotation::Rotate).await;
    case.refresh(&case.token, NOW).await.unwrap();
    let mut transaction = case.house.store.begin_write().await.unwrap();
    let after = NOW.plus(Duration::from_secs(1));
    assert_eq!(transaction.forget_successor_seeds(NOW, 500).await.unwrap(), 0);
    assert_eq!(transaction.forget_successor_seeds(after, 500).await.unwrap(), 1);
    transaction.commit().await.unwrap();
    let refused = case.refresh(&case.token, NOW).await.unwrap_err();
    assert_eq!(refused, InvalidRefreshToken::Revoked);
    assert!(case.is_active().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_hundred_refreshes_of_one_token_are_one_rotation_and_a_hundred_equal_pairs() {
    let case = case(RefreshRotation::Rotate).await;
    let attempts: Vec<_> = (0..100)
        .map(|_| {
            let (refresh, token) = (Arc::clone(&case.refresh), case.token.clone());
            let snapshot = Arc::clone(&case.house.snapshot);
            tokio::spawn(
                async move { refresh.refresh(&token, &snapshot, NOW).await.unwrap().unwrap() },
            )
        })
        .collect();
    let mut pairs = std::collections::HashSet::new();
    let mut rotations = 0;
    for attempt in attempts {
        let Refreshed { tokens, repeated } = attempt.await.unwrap();
        let next = tokens.refresh_token.unwrap().expose().to_owned();
        pairs.insert((next, tokens.access_token.expose().to_owned()));
        rotations += usize::from(!repeated);
    }
    assert_eq!((pairs.len(), rotations), (1, 1));
    assert!(case.is_active().await);
}

#[tokio::test]
async fn no_session_outlives_its_longest_life() {
    let case = case(RefreshRotation::Rotate).await;
    // The house ends sessions after four days; a refresh token lasts one.
    let mut token = case.token.clone();
    for hours in (20..96).step_by(20) {
        let now = NOW.plus(Duration::from_secs(hours * 3_600));
        token = case.refresh(&token, now).await.unwrap().refresh_token.unwrap();
    }
    let end = NOW.plus(TTL * 4);
    let last = end.minus(Duration::from_secs(60));
    let tokens = case.refresh(&token, last).await.unwrap();
    assert_eq!(tokens.expires_in, Duration::from_secs(60));
    let claims = case.house.claims(&tokens.access_token, last);
    assert_eq!(claims.expires_at, end);
    assert!(case.refresh(&tokens.refresh_token.unwrap(), end).await.is_err());
}

#[tokio::test]
async fn where_there_are_no_refresh_tokens_none_is_exchanged() {
    let case = case(RefreshRotation::Off).await;
    let refused = case.refresh(&case.token, NOW).await.unwrap_err();
    assert_eq!(refused, InvalidRefreshToken::Unknown);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn session_revocation_010_a_refresh_at_the_instant_of_a_logout_leaves_nothing() {
    for _ in 0..50 {
        let case = case(RefreshRotation::Rotate).await;
        let sessions = Sessions::new(case.house.store.clone(), case.house.registry.clone());
        let (refresh, token) = (Arc::clone(&case.refresh), case.token.clone());
        let snapshot = Arc::clone(&case.house.snapshot);
        let refreshing =
            tokio::spawn(async move { refresh.refresh(&token, &snapshot, NOW).await.unwrap() });
        sessions.revoke_by_refresh_token(&case.token, NOW).await.unwrap();
        if let Ok(refreshed) = refreshing.await.unwrap() {
            let next = refreshed.tokens.refresh_token.unwrap();
            assert!(case.refresh(&next, NOW).await.is_err());
        }
        assert!(!case.is_active().await);
    }
}

#[tokio::test]
async fn without_rotation_the_token_stays() {
    let case = case(RefreshRotation::Static).await;
    for _ in 0..3 {
        let tokens = case.refresh(&case.token, NOW).await.unwrap();
        assert_eq!(tokens.refresh_token.unwrap().expose(), case.token.expose());
    }
    assert!(case.refresh(&case.token, NOW.plus(TTL)).await.is_err());
}

#[tokio::test]
async fn what_does_not_count_is_refused() {
    let case = case(RefreshRotation::Rotate).await;
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
