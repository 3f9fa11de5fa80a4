use std::time::Duration;

use super::*;
use crate::account::PolicySettings;
use crate::login::{Hashing, Passwords};
use crate::mail::{LinkUse, Links, Outbox};
use guarita_store::sample;
use guarita_store::sample::{DAY, NOW};

const PASSWORD: &str = "correct horse battery staple";

pub(crate) async fn open() -> (sample::SampleStore, Store, Accounts) {
    let (directory, store) = sample::open().await;
    let hashing =
        Hashing { memory_kib: 64, iterations: 1, parallelism: 1, concurrency: 1, queue: 1 };
    let passwords = Arc::new(Passwords::new(&hashing).unwrap());
    let outbox = Arc::new(Outbox::open(None, directory.path()).unwrap());
    let links = MailedLinks::new(store.clone(), passwords, outbox, links());
    let policy = PasswordPolicy::new(15, PolicySettings { min_score: 3, breached: None });
    let registry = SessionCache::new(store.clone());
    let accounts = Accounts::new(registry, Arc::new(policy), Arc::new(links));
    (directory, store, accounts)
}

pub(crate) fn links() -> Links {
    let of = |page: &str| LinkUse { url: page.into(), ttl: Duration::from_secs(60) };
    Links { reset: of("https://a.test/reset"), verification: of("https://a.test/verify") }
}

fn new(username: &str, email: Option<&str>) -> NewAccount {
    NewAccount {
        username: username.into(),
        email: email.map(Into::into),
        password: Secret::new(PASSWORD),
        roles: vec![Role::parse("reader").unwrap()],
        profile: Profile::default(),
        active: true,
        verified: false,
    }
}

#[tokio::test]
async fn names_and_addresses_are_unique_without_regard_to_case() {
    let (_directory, _store, accounts) = open().await;
    let id = accounts.create(new("João", Some("j@example.test")), NOW).await.unwrap().unwrap();
    accounts.create(new("bob", None), NOW).await.unwrap().unwrap();
    accounts.create(new("eve", None), NOW).await.unwrap().unwrap();
    for taken in [new("JOÃO", None), new("joana", Some("J@EXAMPLE.test"))] {
        let refused = accounts.create(taken, NOW).await.unwrap().unwrap_err();
        assert_eq!(refused, AccountRejection::AlreadyExists);
    }
    let account = accounts.show("joão").await.unwrap().unwrap();
    assert_eq!(account.user.id, id);
    assert_eq!(account.roles.header(), "reader");
    assert!(account.user.password_hash.expose().starts_with("$argon2id$"));
    let page = accounts.list(id, 1).await.unwrap();
    assert_eq!(page.len(), 1);
    assert_eq!(page[0].user.username.as_str(), "bob");
}

#[tokio::test]
async fn what_is_out_of_bounds_is_refused() {
    let (_directory, _store, accounts) = open().await;
    for name in ["", " alice", "a\nb", "System", &"x".repeat(129), &"ü".repeat(128)] {
        let refused = accounts.create(new(name, None), NOW).await.unwrap().unwrap_err();
        assert_eq!(refused, AccountRejection::InvalidUsername, "{name:?}");
    }
    for email in ["", "a", "a@", "@b", "a@b@c", "a b@c", &format!("a@{}", "x".repeat(253))] {
        let refused = accounts.create(new("alice", Some(email)), NOW).await.unwrap().unwrap_err();
        assert_eq!(refused, AccountRejection::InvalidEmail, "{email:?}");
    }
    let short = Secret::new("ü".repeat(14));
    let long = Secret::new("x".repeat(1_025));
    let guessable = Secret::new("x".repeat(1_024));
    for (password, weakness) in [
        (short, Weakness::TooShort { min_length: 15 }),
        (long, Weakness::TooLong),
        (guessable, Weakness::Guessable),
    ] {
        let refusal = AccountRejection::WeakPassword(weakness);
        let account = NewAccount { password: password.clone(), ..new("alice", None) };
        assert_eq!(accounts.create(account, NOW).await.unwrap(), Err(refusal.clone()));
        assert_eq!(accounts.set_password("alice", &password, NOW).await.unwrap(), Err(refusal));
    }
    let roles = (0..257).map(|number| Role::parse(&number.to_string()).unwrap()).collect();
    let account = NewAccount { roles, ..new("alice", None) };
    assert_eq!(accounts.create(account, NOW).await.unwrap(), Err(AccountRejection::TooManyRoles));
}

#[tokio::test]
async fn what_takes_access_away_revokes_sessions_and_tells_other_nodes() {
    let (_directory, store, accounts) = open().await;
    let id = accounts.create(new("alice", None), NOW).await.unwrap().unwrap();
    sample::session(&store, id, NOW.plus(DAY)).await;
    assert_eq!(accounts.disable("ALICE", NOW).await.unwrap(), Ok(1));
    assert!(!accounts.show("alice").await.unwrap().unwrap().user.active);
    accounts.enable("alice", NOW).await.unwrap().unwrap();
    assert!(accounts.show("alice").await.unwrap().unwrap().user.active);
    sample::session(&store, id, NOW.plus(DAY)).await;
    let password = Secret::new("another long enough password");
    assert_eq!(accounts.set_password("alice", &password, NOW).await.unwrap(), Ok(1));
    let before = store.read().await.unwrap().last_change().await.unwrap();
    let admin = Role::parse("admin").unwrap();
    assert_eq!(accounts.grant("alice", &admin, NOW).await.unwrap(), Ok(true));
    assert_eq!(accounts.grant("alice", &admin, NOW).await.unwrap(), Ok(false));
    assert_eq!(accounts.show("alice").await.unwrap().unwrap().user.roles_changed_at, NOW);
    assert_eq!(accounts.revoke("alice", &admin, NOW).await.unwrap(), Ok(true));
    assert_eq!(accounts.revoke("alice", &admin, NOW).await.unwrap(), Ok(false));
    let changes = store.read().await.unwrap().changes_after(before, 10).await.unwrap();
    assert_eq!(changes.len(), 2);
    for outcome in [
        accounts.disable("nobody", NOW).await.unwrap().map(|_| ()),
        accounts.enable("nobody", NOW).await.unwrap(),
        accounts.grant("nobody", &admin, NOW).await.unwrap().map(|_| ()),
        accounts.set_password("nobody", &password, NOW).await.unwrap().map(|_| ()),
    ] {
        assert_eq!(outcome, Err(AccountRejection::UnknownUser));
    }
}

#[test]
fn no_person_bears_the_subject_of_a_service() {
    for name in ["system", "System", "apikey:jobs", "APIKEY:jobs", "apikey:"] {
        assert_eq!(check_username(name), Err(AccountRejection::InvalidUsername), "{name}");
    }
    assert!(check_username("apikey").is_ok());
}
