use std::net::IpAddr;
use std::num::NonZeroU32;

use super::super::SessionKind;
use super::super::Tokens;
use super::*;
use crate::grant::RefreshRotation;
use crate::grant::sample;
use crate::grant::sample::{House, house};
use crate::login::Hashing;
use crate::login::logged_in::IssuedCredential;
use crate::session::{Lifetimes, SessionStatus};
use crate::snapshot::RequiredFactor;
use crate::snapshot::rate_limits::{Bounds, RateLimits};
use guarita_core::{Role, SessionId, Subject, UserId};
use guarita_kv::Rate;
use guarita_store::sample as stored;
use guarita_store::sample::{DAY, NOW};
use guarita_store::{NewSession, NewUser};
use {super::super::establish::MAX_SESSIONS, super::super::establish::MAX_USER_AGENT};

const PASSWORD: &str = "correct horse battery staple";

struct Case {
    house: House,
    login: Arc<Login>,
    user: UserId,
}

fn settings(iterations: u32) -> LoginSettings {
    let hashing =
        Hashing { memory_kib: 64, iterations, parallelism: 1, concurrency: 2, queue: 256 };
    LoginSettings {
        lockout_failures: 5,
        lockout_duration: Duration::from_secs(300),
        min_length: 15,
        require_verified_email: false,
        hashing,
        browser: Lifetimes { idle: Duration::from_secs(100), absolute: Duration::from_secs(1_000) },
    }
}

async fn login(house: &House, iterations: u32) -> Login {
    let settings = settings(iterations);
    let passwords = Arc::new(Passwords::new(&settings.hashing).unwrap());
    let issuer = Arc::clone(&house.issuer);
    let memory = Ephemeral::memory();
    let limits = Arc::new(RateLimiter::new(&memory));
    let (store, registry) = (house.store.clone(), house.registry.clone());
    let unknown = UnknownAccounts::open(&store, NOW).await.unwrap();
    Login::new(store, registry, issuer, passwords, settings, limits, unknown, &memory)
}

async fn case() -> Case {
    let house = house(RefreshRotation::Rotate).await;
    let login = login(&house, 1).await;
    let hash = login.passwords.hash(&Secret::new(PASSWORD)).await.unwrap().unwrap();
    let username = Subject::parse("Alice").unwrap();
    let new =
        NewUser { username: &username, email: Some("alice@example.test"), password_hash: &hash };
    let mut transaction = house.store.begin_write().await.unwrap();
    let user = transaction.insert_user(&new, NOW).await.unwrap().unwrap();
    for role in ["b", "a"] {
        transaction.insert_role(user, &Role::parse(role).unwrap()).await.unwrap();
    }
    transaction.commit().await.unwrap();
    Case { house, login: Arc::new(login), user }
}

fn attempt(name: &str, password: &str) -> LoginRequest {
    LoginRequest {
        identifier: Identifier::Username(name.into()),
        password: Secret::new(password),
        opens: SessionKind::Tokens,
        device: None,
        address: None,
        user_agent: Some("ü".repeat(1_000)),
    }
}

fn received(logged_in: LoggedIn) -> Tokens {
    match logged_in.key {
        IssuedCredential::Tokens(tokens) => tokens,
        IssuedCredential::Cookie(_) => panic!("a cookie in place of tokens"),
    }
}

impl Case {
    async fn attempt(
        &self,
        name: &str,
        password: &str,
        now: Timestamp,
    ) -> Result<Tokens, LoginRejection> {
        let attempt = attempt(name, password);
        self.login.attempt(attempt, &self.house.snapshot, now).await.unwrap().map(received)
    }

    async fn stored(&self) -> User {
        let mut transaction = self.house.store.read().await.unwrap();
        transaction.find_user(self.user).await.unwrap().unwrap()
    }
}

#[tokio::test]
async fn the_right_password_opens_a_session_in_any_case_of_the_name() {
    let case = case().await;
    let tokens = case.attempt("aLICE", PASSWORD, NOW).await.unwrap();
    let claims = case.house.claims(&tokens.access_token, NOW);
    assert_eq!(claims.subject.as_str(), "Alice");
    assert_eq!(claims.user, Some(case.user));
    assert_eq!(claims.roles.header(), "a,b");
    assert_eq!(claims.session, tokens.session);
    assert_eq!(claims.expires_at, NOW.plus(Duration::from_secs(3_600)));
    assert!(tokens.refresh_token.is_some());
    let standing = case.house.registry.ask(tokens.session, NOW).await.unwrap();
    assert!(matches!(standing, SessionStatus::Active { .. }));
    let mut transaction = case.house.store.read().await.unwrap();
    let session = transaction.find_session(tokens.session).await.unwrap().unwrap();
    assert_eq!(session.user_agent.unwrap().len(), MAX_USER_AGENT);
    let by_email = LoginRequest {
        identifier: Identifier::Email("ALICE@example.test".into()),
        opens: SessionKind::AccessToken,
        ..attempt("", PASSWORD)
    };
    let tokens =
        received(case.login.attempt(by_email, &case.house.snapshot, NOW).await.unwrap().unwrap());
    assert!(tokens.refresh_token.is_none());
}

#[tokio::test]
async fn known_and_unknown_names_are_refused_and_locked_alike() {
    let case = case().await;
    for name in ["alice", "nobody"] {
        for _ in 0..5 {
            let refusal = case.attempt(name, "wrong", NOW).await.unwrap_err();
            assert_eq!(refusal, LoginRejection::InvalidCredentials, "{name}");
        }
        let retry_after = Duration::from_secs(300);
        for password in ["wrong", PASSWORD] {
            let refusal = case.attempt(name, password, NOW).await.unwrap_err();
            assert_eq!(refusal, LoginRejection::Locked { retry_after }, "{name}");
        }
    }
    let later = NOW.plus(Duration::from_secs(300));
    assert!(case.attempt("alice", PASSWORD, later).await.is_ok());
    assert_eq!(
        case.attempt("NOBODY", PASSWORD, later).await.unwrap_err(),
        LoginRejection::InvalidCredentials
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn fifty_wrong_passwords_at_once_lock_after_exactly_five() {
    let case = case().await;
    for name in ["alice", "nobody"] {
        let attempts: Vec<_> = (0..50)
            .map(|_| {
                let (login, snapshot) = (Arc::clone(&case.login), Arc::clone(&case.house.snapshot));
                tokio::spawn(async move {
                    login.attempt(attempt(name, "wrong"), &snapshot, NOW).await.unwrap()
                })
            })
            .collect();
        let mut counted = 0;
        for attempt in attempts {
            match attempt.await.unwrap().unwrap_err() {
                LoginRejection::InvalidCredentials => counted += 1,
                LoginRejection::Locked { .. } => {}
                LoginRejection::RateLimited(_) => panic!("the rate is high enough"),
                LoginRejection::SecondFactorRequired { .. }
                | LoginRejection::EmailUnverified
                | LoginRejection::OutOfReach
                | LoginRejection::Busy => {
                    panic!("the queue is long enough")
                }
            }
        }
        assert_eq!(counted, 5, "{name}");
    }
    assert_eq!(case.stored().await.locked_until, Some(NOW.plus(Duration::from_secs(300))));
}

#[tokio::test]
async fn a_success_forgets_failures() {
    let case = case().await;
    for _ in 0..3 {
        for _ in 0..4 {
            assert!(case.attempt("alice", "wrong", NOW).await.is_err());
        }
        assert_eq!(case.stored().await.failures, 4);
        case.attempt("alice", PASSWORD, NOW).await.unwrap();
        assert_eq!(case.stored().await.failures, 0);
    }
}

#[tokio::test]
async fn a_disabled_user_is_not_told_apart_from_a_wrong_password() {
    let case = case().await;
    let mut transaction = case.house.store.begin_write().await.unwrap();
    transaction.set_active(case.user, false, NOW).await.unwrap();
    transaction.commit().await.unwrap();
    for _ in 0..5 {
        let refusal = case.attempt("alice", PASSWORD, NOW).await.unwrap_err();
        assert_eq!(refusal, LoginRejection::InvalidCredentials);
    }
    let refusal = case.attempt("alice", PASSWORD, NOW).await.unwrap_err();
    assert!(matches!(refusal, LoginRejection::Locked { .. }));
}

#[tokio::test]
async fn resource_exhaustion_007_and_009_what_is_too_long_is_refused_unread() {
    let case = case().await;
    let long = "x".repeat(10 << 20);
    for (name, password) in [("alice", &*long), (&*long, PASSWORD), ("", PASSWORD)] {
        let refusal = case.attempt(name, password, NOW).await.unwrap_err();
        assert_eq!(refusal, LoginRejection::InvalidCredentials);
    }
    assert_eq!(case.stored().await.failures, 0);
}

#[tokio::test]
async fn a_hash_at_yesterdays_cost_is_upgraded_at_login() {
    let case = case().await;
    let dearer = login(&case.house, 2).await;
    dearer.attempt(attempt("alice", PASSWORD), &case.house.snapshot, NOW).await.unwrap().unwrap();
    assert!(case.stored().await.password_hash.expose().contains("t=2"));
    case.attempt("alice", PASSWORD, NOW).await.unwrap();
}

#[tokio::test]
async fn a_password_that_was_replaced_meanwhile_opens_nothing() {
    let case = case().await;
    let user = case.stored().await;
    let mut transaction = case.house.store.begin_write().await.unwrap();
    let other = Secret::new("$argon2id$other");
    transaction.set_password_hash(case.user, &other).await.unwrap();
    transaction.commit().await.unwrap();
    let hash = user.password_hash.clone();
    let attempt = attempt("alice", PASSWORD);
    let snapshot = &case.house.snapshot;
    let outcome = case.login.succeed(user, None, &hash, &attempt, snapshot, NOW).await.unwrap();
    assert_eq!(outcome.unwrap_err(), LoginRejection::InvalidCredentials);
}

#[tokio::test]
async fn resource_exhaustion_012_sessions_of_one_user_are_bounded() {
    let case = case().await;
    let oldest = stored::session(&case.house.store, case.user, NOW.plus(DAY)).await;
    let mut transaction = case.house.store.begin_write().await.unwrap();
    for _ in 1..MAX_SESSIONS {
        let id = SessionId::new(random::ordered_uuid());
        let expires_at = NOW.plus(DAY);
        let new = NewSession {
            id,
            user: case.user,
            expires_at,
            address: None,
            user_agent: None,
            second_factor_at: None,
            cookie_digest: None,
        };
        transaction.insert_session(&new, NOW).await.unwrap();
    }
    transaction.commit().await.unwrap();
    case.attempt("alice", PASSWORD, NOW).await.unwrap();
    let mut transaction = case.house.store.read().await.unwrap();
    let live = transaction.list_sessions(case.user, NOW).await.unwrap();
    assert_eq!(live.len(), 1_000);
    assert!(transaction.find_session(oldest).await.unwrap().unwrap().revoked_at.is_some());
}

#[tokio::test]
async fn a_name_that_nobody_has_is_locked_at_every_gateway_on_the_database() {
    let case = case().await;
    let there = login(&case.house, 1).await;
    for number in 0..5 {
        let gateway = if number % 2 == 0 { &*case.login } else { &there };
        let refused = gateway
            .attempt(attempt("nobody", "wrong"), &case.house.snapshot, NOW)
            .await
            .unwrap()
            .unwrap_err();
        assert_eq!(refused, LoginRejection::InvalidCredentials);
    }
    for gateway in [&*case.login, &there] {
        let refused = gateway
            .attempt(attempt("nobody", "wrong"), &case.house.snapshot, NOW)
            .await
            .unwrap()
            .unwrap_err();
        assert_eq!(refused, LoginRejection::Locked { retry_after: Duration::from_secs(300) });
    }
}

#[tokio::test]
async fn a_browser_gets_a_cookie_and_nothing_is_signed_for_it() {
    let case = case().await;
    let by_cookie = LoginRequest { opens: SessionKind::Cookie, ..attempt("alice", PASSWORD) };
    let logged_in =
        case.login.attempt(by_cookie, &case.house.snapshot, NOW).await.unwrap().unwrap();
    assert!(matches!(logged_in.key, IssuedCredential::Cookie(_)));
    assert!(logged_in.device.is_some());
}

/// A reload while a login is under way: each goes by what it came with, whichever is in force by then.
#[tokio::test]
async fn a_login_goes_by_the_snapshot_that_it_came_with() {
    let case = case().await;
    let rate = Rate { count: NonZeroU32::new(1).unwrap(), period: Duration::from_secs(3_600) };
    let rates = |per_source| RateLimits {
        login: Bounds { per_source, per_account: None },
        ..RateLimits::default()
    };
    let before = AuthSnapshot { rate_limits: rates(Some(rate)), ..AuthSnapshot::sample() };
    let after = AuthSnapshot {
        required_factor: RequiredFactor::new(&[Role::parse("a").unwrap()]),
        rate_limits: rates(None),
        ..AuthSnapshot::sample()
    };
    let login = async |snapshot: &AuthSnapshot| {
        let address = Some(IpAddr::from([192, 0, 2, 1]));
        let attempt = LoginRequest { address, ..attempt("alice", PASSWORD) };
        case.login.attempt(attempt, snapshot, NOW).await.unwrap().map(received)
    };
    let tokens = login(&before).await.unwrap();
    let claims = sample::claims(&tokens.access_token, &before, NOW);
    assert_eq!((tokens.half_proven, claims.roles.is_empty()), (false, false));
    let tokens = login(&after).await.unwrap();
    let claims = sample::claims(&tokens.access_token, &after, NOW);
    assert_eq!((tokens.half_proven, claims.roles.is_empty()), (true, true));
    assert!(matches!(login(&before).await, Err(LoginRejection::RateLimited(_))));
}
