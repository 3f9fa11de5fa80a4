use std::time::Duration;

use super::super::administration::tests::{links, open};
use super::*;
use crate::account::{Accounts, NewAccount, PolicySettings, Verification};
use crate::login::{Hashing, Passwords};
use crate::mail::Outbox;
use guarita_core::{Profile, Subject};
use guarita_mail::MailSettings;
use guarita_store::sample;
use guarita_store::sample::{DAY, NOW};
use guarita_store::{NewUser, Store, User};

const GOOD: &str = "a new password nobody would guess";

struct Case {
    _directory: guarita_store::sample::SampleStore,
    store: Store,
    recovery: Arc<Recovery>,
    links: Arc<MailedLinks>,
    accounts: Accounts,
    ana: UserId,
}

async fn case() -> Case {
    let (directory, store, _) = open().await;
    let hashing =
        Hashing { memory_kib: 64, iterations: 1, parallelism: 1, concurrency: 2, queue: 256 };
    let passwords = Arc::new(Passwords::new(&hashing).unwrap());
    let outbox = Arc::new(Outbox::open(Some(&MailSettings::sample()), directory.path()).unwrap());
    let links = Arc::new(MailedLinks::new(store.clone(), passwords, outbox, links()));
    let policy = Arc::new(PasswordPolicy::new(15, PolicySettings { min_score: 3, breached: None }));
    let registry = SessionCache::new(store.clone());
    let recovery = Recovery::new(Arc::clone(&links), registry.clone(), Arc::clone(&policy));
    let accounts = Accounts::new(registry, policy, Arc::clone(&links));
    let ana = insert(&store, "ana", "ana@example.test").await;
    let recovery = Arc::new(recovery);
    Case { _directory: directory, store, recovery, links, accounts, ana }
}

async fn insert(store: &Store, name: &str, email: &str) -> UserId {
    let username = Subject::parse(name).unwrap();
    let hash = Secret::new("$none");
    let new = NewUser { username: &username, email: Some(email), password_hash: &hash };
    let mut transaction = store.begin_write().await.unwrap();
    let id = transaction.insert_user(&new, NOW).await.unwrap().unwrap();
    transaction.commit().await.unwrap();
    id
}

impl Case {
    /// A token as its mail would have it.
    async fn token(&self, purpose: LinkPurpose) -> Secret {
        let fresh = self.links.fresh().await.unwrap().unwrap();
        let mut transaction = self.store.begin_write().await.unwrap();
        let user = transaction.find_user(self.ana).await.unwrap();
        let links = &self.links;
        links.write(&mut transaction, purpose, user.as_ref(), &fresh, None, NOW).await.unwrap();
        transaction.commit().await.unwrap();
        fresh.token().clone()
    }

    async fn confirm(&self, token: &Secret, now: Timestamp) -> Result<UserId, Unrecovered> {
        self.recovery.confirm(token, &Secret::new(GOOD), None, now).await.unwrap()
    }

    async fn stored(&self) -> User {
        self.store.read().await.unwrap().find_user(self.ana).await.unwrap().unwrap()
    }

    /// What waits, by kind and recipient.
    async fn waiting(&self) -> Vec<(String, String)> {
        let mut transaction = self.store.read().await.unwrap();
        let key = self.links.outbox.key_id().unwrap();
        let mails = transaction.due_mails(key, 100, NOW).await.unwrap();
        mails.into_iter().map(|mail| (mail.kind, mail.recipient.expose().to_owned())).collect()
    }
}

fn waits(kind: &str) -> (String, String) {
    (kind.to_owned(), "ana@example.test".to_owned())
}

#[tokio::test]
async fn a_token_sets_a_password_once_and_ends_every_session() {
    let case = case().await;
    let session = sample::session(&case.store, case.ana, NOW.plus(DAY)).await;
    let token = case.token(LinkPurpose::Reset).await;
    assert_eq!(case.waiting().await, [waits("reset")]);
    assert_eq!(case.confirm(&token, NOW).await, Ok(case.ana));
    assert!(case.stored().await.password_hash.expose().starts_with("$argon2id$"));
    let mut transaction = case.store.read().await.unwrap();
    assert!(transaction.find_session(session).await.unwrap().unwrap().revoked_at.is_some());
    drop(transaction);
    assert_eq!(case.waiting().await, [waits("password_changed")]);
    assert_eq!(case.confirm(&token, NOW).await, Err(Unrecovered::InvalidToken));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn fifty_confirmations_of_one_token_set_one_password() {
    let case = case().await;
    let token = case.token(LinkPurpose::Reset).await;
    let attempts: Vec<_> = (0..50)
        .map(|number| {
            let (recovery, token) = (Arc::clone(&case.recovery), token.clone());
            let password = Secret::new(format!("{GOOD} {number}"));
            tokio::spawn(
                async move { recovery.confirm(&token, &password, None, NOW).await.unwrap() },
            )
        })
        .collect();
    let mut set = 0;
    for attempt in attempts {
        match attempt.await.unwrap() {
            Ok(_) => set += 1,
            Err(Unrecovered::InvalidToken) => {}
            Err(other) => panic!("{other:?}"),
        }
    }
    assert_eq!(set, 1);
}

#[tokio::test]
async fn a_token_ends_with_its_time_a_newer_one_another_password_or_another_address() {
    let case = case().await;
    let invalid = Err(Unrecovered::InvalidToken);
    let token = case.token(LinkPurpose::Reset).await;
    assert_eq!(case.confirm(&token, NOW.plus(Duration::from_secs(60))).await, invalid);
    let newer = case.token(LinkPurpose::Reset).await;
    assert_eq!(case.waiting().await, [waits("reset")]);
    assert_eq!(case.confirm(&token, NOW).await, invalid);
    case.accounts.set_password("ana", &Secret::new(GOOD), NOW).await.unwrap().unwrap();
    assert_eq!(case.confirm(&newer, NOW).await, invalid);
    assert_eq!(case.waiting().await, [waits("password_changed")]);
    let disabled = case.token(LinkPurpose::Reset).await;
    case.accounts.disable("ana", NOW).await.unwrap().unwrap();
    assert_eq!(case.confirm(&disabled, NOW).await, invalid);
}

#[tokio::test]
async fn a_weak_password_leaves_the_token_as_it_is() {
    let case = case().await;
    let token = case.token(LinkPurpose::Reset).await;
    let weak = Secret::new("ana@example.test ana");
    let refused = case.recovery.confirm(&token, &weak, None, NOW).await.unwrap();
    let weakness = Weakness::Guessable;
    assert_eq!(refused, Err(Unrecovered::WeakPassword(case.ana, weakness)));
    assert_eq!(case.confirm(&token, NOW).await, Ok(case.ana));
}

#[tokio::test]
async fn a_token_counts_for_its_purpose_only_and_whole() {
    let case = case().await;
    let verification = Verification::new(Arc::clone(&case.links));
    let (reset, proof) =
        (case.token(LinkPurpose::Reset).await, case.token(LinkPurpose::Verification).await);
    assert_eq!(case.confirm(&proof, NOW).await, Err(Unrecovered::InvalidToken));
    assert!(verification.confirm(&reset, NOW).await.unwrap().is_err());
    let text = reset.expose();
    for end in [1, 36, 37, text.len() - 1] {
        let part = Secret::new(text.get(..end).unwrap());
        assert_eq!(case.confirm(&part, NOW).await, Err(Unrecovered::InvalidToken), "{end}");
    }
    assert_eq!(verification.confirm(&proof, NOW).await.unwrap(), Ok(case.ana));
    assert_eq!(case.stored().await.email_verified_at, Some(NOW));
    assert!(verification.confirm(&proof, NOW).await.unwrap().is_err());
    assert_eq!(case.confirm(&reset, NOW).await, Ok(case.ana));
}

#[tokio::test]
async fn whoever_may_not_have_a_link_gets_none_and_costs_the_same_rows() {
    let case = case().await;
    let verification = Verification::new(Arc::clone(&case.links));
    insert(&case.store, "eve", "eve@example.test").await;
    case.accounts.disable("eve", NOW).await.unwrap().unwrap();
    case.accounts.mark_verified("ana", NOW).await.unwrap().unwrap();
    let long = "x".repeat(10_000);
    for address in ["nobody@example.test", "eve@example.test", "", "a", &long] {
        let asked = case.recovery.request(address, None, NOW).await.unwrap();
        assert_eq!(asked, Ok(None), "{address}");
        assert_eq!(verification.request(address, None, NOW).await.unwrap(), Ok(None));
    }
    assert_eq!(verification.request("ana@example.test", None, NOW).await.unwrap(), Ok(None));
    assert_eq!(case.waiting().await, []);
    let asked = case.recovery.request("ANA@example.test", None, NOW).await.unwrap();
    assert_eq!(asked, Ok(Some(case.ana)));
    assert_eq!(case.waiting().await, [waits("reset")]);
}

#[tokio::test]
async fn a_new_account_is_asked_to_prove_its_address_unless_somebody_vouches() {
    let case = case().await;
    for (name, verified) in [("bob", false), ("carol", true)] {
        let new = NewAccount {
            username: name.into(),
            email: Some(format!("{name}@example.test")),
            password: Secret::new(GOOD),
            roles: Vec::new(),
            profile: Profile::default(),
            active: true,
            verified,
        };
        case.accounts.create(new, NOW).await.unwrap().unwrap();
    }
    let bob = ("verification".to_owned(), "bob@example.test".to_owned());
    assert_eq!(case.waiting().await, [bob]);
}

#[tokio::test]
async fn a_factor_that_an_operator_removes_is_told_once() {
    let case = case().await;
    let session = sample::session(&case.store, case.ana, NOW.plus(DAY)).await;
    let mut transaction = case.store.begin_write().await.unwrap();
    assert!(transaction.put_pending_totp(case.ana, session, "x", "k", NOW).await.unwrap());
    assert!(transaction.confirm_totp(case.ana, "x", 1, NOW).await.unwrap());
    transaction.commit().await.unwrap();
    for removed in [true, false] {
        let reset = case.accounts.reset_second_factor("ana", NOW).await.unwrap();
        assert_eq!(reset, Ok(removed));
    }
    assert_eq!(case.waiting().await, [waits("factor_removed")]);
}
