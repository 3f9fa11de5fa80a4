use std::time::Duration;

use super::*;
use crate::account::PolicySettings;
use crate::grant::RefreshRotation;
use crate::grant::sample::{House, house};
use crate::login::{Hashing, LoginSettings, UnknownAccounts};
use crate::rate_limit::RateLimiter;
use crate::session::Lifetimes;
use guarita_core::Subject;
use guarita_kv::Ephemeral;
use guarita_store::NewUser;
use guarita_store::sample;
use guarita_store::sample::{DAY, NOW};

const OLD: &str = "correct horse battery staple";
const NEW: &str = "a new password nobody would guess";

struct Case {
    house: House,
    change: PasswordChange,
    user: UserId,
}

async fn case() -> Case {
    let house = house(RefreshRotation::Rotate).await;
    let hashing =
        Hashing { memory_kib: 64, iterations: 1, parallelism: 1, concurrency: 2, queue: 256 };
    let passwords = Arc::new(Passwords::new(&hashing).unwrap());
    let settings = LoginSettings {
        lockout_failures: 5,
        lockout_duration: Duration::from_secs(300),
        min_length: 15,
        require_verified_email: false,
        hashing,
        browser: Lifetimes { idle: DAY, absolute: DAY },
    };
    let (store, registry) = (house.store.clone(), house.registry.clone());
    let login = Arc::new(Login::new(
        store.clone(),
        registry.clone(),
        Arc::clone(&house.issuer),
        Arc::clone(&passwords),
        settings,
        Arc::new(RateLimiter::new(&Ephemeral::memory())),
        UnknownAccounts::open(&store, NOW).await.unwrap(),
        &Ephemeral::memory(),
    ));
    let policy = Arc::new(PasswordPolicy::new(15, PolicySettings { min_score: 3, breached: None }));
    let outbox = Arc::new(Outbox::open(None, house._directory.path()).unwrap());
    let hash = passwords.hash(&Secret::new(OLD)).await.unwrap().unwrap();
    let username = Subject::parse("alice").unwrap();
    let new = NewUser { username: &username, email: None, password_hash: &hash };
    let mut transaction = store.begin_write().await.unwrap();
    let user = transaction.insert_user(&new, NOW).await.unwrap().unwrap();
    transaction.commit().await.unwrap();
    let change = PasswordChange::new(store, registry, login, passwords, policy, outbox);
    Case { house, change, user }
}

impl Case {
    async fn session(&self) -> SessionId {
        sample::session(&self.house.store, self.user, NOW.plus(DAY)).await
    }

    async fn change(&self, session: SessionId, current: &str, new: &str) -> Result<(), Unchanged> {
        let change = PasswordChangeRequest {
            user: self.user,
            session,
            current: &Secret::new(current),
            new: &Secret::new(new),
            language: Language::En,
        };
        self.change.change(change, &self.house.snapshot, NOW).await.unwrap()
    }

    async fn is_live(&self, session: SessionId) -> bool {
        let mut transaction = self.house.store.read().await.unwrap();
        transaction.find_session(session).await.unwrap().unwrap().is_live(NOW)
    }
}

const GONE: Unchanged = Unchanged::Refused(login::LoginRejection::InvalidCredentials);

#[tokio::test]
async fn the_right_password_sets_another_and_ends_every_other_session() {
    let case = case().await;
    let (here, there) = (case.session().await, case.session().await);
    assert_eq!(case.change(here, NEW, OLD).await, Err(GONE));
    assert!(matches!(case.change(here, OLD, "short").await, Err(Unchanged::Weak(_))));
    assert!(case.is_live(there).await);
    assert_eq!(case.change(here, OLD, NEW).await, Ok(()));
    assert_eq!((case.is_live(here).await, case.is_live(there).await), (true, false));
    assert_eq!(case.change(here, OLD, NEW).await, Err(GONE));
}

/// Judged a moment ago, ended since: by the person on another device, say.
#[tokio::test]
async fn a_session_that_ended_meanwhile_sets_no_password() {
    let case = case().await;
    let (ended, over) =
        (case.session().await, sample::session(&case.house.store, case.user, NOW).await);
    sample::revoke(&case.house.store, ended).await;
    let stranger = sample::user(&case.house.store, "mallory").await;
    let foreign = sample::session(&case.house.store, stranger, NOW.plus(DAY)).await;
    for session in [ended, over, foreign] {
        assert_eq!(case.change(session, OLD, NEW).await, Err(GONE));
    }
    let here = case.session().await;
    assert_eq!(case.change(here, OLD, NEW).await, Ok(()));
}
