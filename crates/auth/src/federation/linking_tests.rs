use std::collections::BTreeSet;

use tokio::task::JoinSet;

use super::*;
use crate::snapshot::provider::sample::settings;
use guarita_core::profile::FullName;
use guarita_core::{Cpf, Profile, Role, Roles};
use guarita_store::sample;
use guarita_store::sample::{DAY, NOW};
use guarita_telemetry::{Audit, Metrics};

const SUBJECT: &str = "8d2f5b0e-1111-4222-8333-444455556666";
const CPF: &str = "529.982.247-25";

struct Place {
    _directory: sample::SampleStore,
    store: Store,
    linking: Arc<AccountLinker>,
    accounts: Accounts,
}

impl Place {
    async fn new() -> Self {
        let (directory, store) = sample::open().await;
        let audit = Audit::open(&directory.path().join("audit"), 180 * DAY).unwrap();
        let telemetry = Telemetry::new(Arc::new(Metrics::new().unwrap()), audit);
        let linking = Arc::new(AccountLinker::new(store.clone(), telemetry));
        let accounts = Accounts {
            by_auth_user: true,
            by_email: true,
            by_cpf: true,
            create: None,
            session_ttl: DAY,
        };
        Self { _directory: directory, store, linking, accounts }
    }

    fn creating(self) -> Self {
        let create = Some(vec![Role::parse("reader").unwrap()]);
        Self { accounts: Accounts { create, ..self.accounts }, ..self }
    }

    async fn admit(&self, claims: &ProviderClaims) -> Option<LinkedAccount> {
        self.linking.link(&settings(), &self.accounts, claims, NOW).await.unwrap()
    }

    async fn user(&self, name: &str, email: Option<&str>, profile: Profile) -> UserId {
        let username = Subject::parse(name).unwrap();
        let password_hash = &Secret::new(NO_PASSWORD);
        let mut transaction = self.store.begin_write().await.unwrap();
        let new = NewUser { username: &username, email, password_hash };
        let id = transaction.insert_user(&new, NOW).await.unwrap().unwrap();
        assert!(transaction.insert_profile(id, &profile).await.unwrap());
        transaction.commit().await.unwrap();
        id
    }

    async fn change(&self, id: UserId, active: bool) {
        let mut transaction = self.store.begin_write().await.unwrap();
        transaction.set_active(id, active, NOW).await.unwrap();
        transaction.commit().await.unwrap();
    }

    async fn mark_verified(&self, id: UserId) {
        let mut transaction = self.store.begin_write().await.unwrap();
        transaction.mark_verified(id, NOW).await.unwrap();
        transaction.commit().await.unwrap();
    }
}

fn claims(subject: &str, session: &str) -> ProviderClaims {
    ProviderClaims {
        subject: Subject::parse(subject).unwrap(),
        provider_subject: Subject::parse(subject).unwrap(),
        sub: Subject::parse(subject).unwrap(),
        verified_email: None,
        cpf: None,
        audience: "api".into(),
        issued_at: NOW,
        not_before: NOW,
        expires_at: NOW.plus(Duration::from_secs(600)),
        token_id: None,
        session: Some(session.into()),
        roles: Roles::none(),
        scopes: guarita_core::Scopes::none(),
        second_factor: false,
    }
}

#[tokio::test]
async fn an_account_is_found_by_what_the_operator_trusts_and_linked_for_ever() {
    let place = Place::new().await;
    let auth_user = Some(Profile::parse_auth_user(SUBJECT).unwrap());
    let by_id = place.user("ana", None, Profile { auth_user, ..Profile::default() }).await;
    let cpf = Some(Cpf::parse(CPF).unwrap());
    let by_cpf = place.user("bob", None, Profile { cpf, ..Profile::default() }).await;
    let by_email = place.user("cid", Some("cid@a.test"), Profile::default()).await;
    assert_eq!(place.admit(&claims(SUBJECT, "1")).await.unwrap().user, by_id);
    let of_bob = ProviderClaims { cpf: Cpf::parse(CPF).ok(), ..claims("s-2", "2") };
    assert_eq!(place.admit(&of_bob).await.unwrap().user, by_cpf);
    let email = EmailAddress::parse("Cid@a.test").ok();
    let of_cid = ProviderClaims { verified_email: email, ..claims("s-3", "3") };
    // Nobody here proved that address.
    assert_eq!(place.admit(&of_cid).await, None);
    place.mark_verified(by_email).await;
    assert_eq!(place.admit(&of_cid).await.unwrap().user, by_email);
    // From here on the subject alone counts.
    for (subject, user) in [(SUBJECT, by_id), ("s-2", by_cpf), ("s-3", by_email)] {
        assert_eq!(place.admit(&claims(subject, subject)).await.unwrap().user, user);
    }
    let name = place.admit(&claims("s-2", "9")).await.unwrap().username;
    assert_eq!(name.as_str(), "bob");
}

#[tokio::test]
async fn what_the_operator_does_not_trust_links_nobody() {
    let mut place = Place::new().await;
    place.accounts =
        Accounts { by_auth_user: false, by_email: false, by_cpf: false, ..place.accounts };
    let profile = Profile {
        auth_user: Some(Profile::parse_auth_user(SUBJECT).unwrap()),
        cpf: Some(Cpf::parse(CPF).unwrap()),
        full_name: Some(FullName::parse("Ana Souza").unwrap()),
        ..Profile::default()
    };
    let ana = place.user("ana", Some("ana@a.test"), profile).await;
    place.mark_verified(ana).await;
    let all = ProviderClaims {
        verified_email: EmailAddress::parse("ana@a.test").ok(),
        cpf: Cpf::parse(CPF).ok(),
        ..claims(SUBJECT, "1")
    };
    assert_eq!(place.admit(&all).await, None);
    // Nor does a name: whoever is made is somebody else.
    let place = place.creating();
    let named = ProviderClaims { subject: Subject::parse("ANA").unwrap(), ..all.clone() };
    assert_eq!(place.admit(&named).await, None);
    let created = place.admit(&all).await.unwrap();
    assert_ne!(created.user, ana);
    assert_eq!(created.username.as_str(), SUBJECT);
    let mut transaction = place.store.read().await.unwrap();
    assert_eq!(transaction.roles_of(created.user).await.unwrap().header(), "reader");
    // The address is Ana's.
    assert!(transaction.find_user(created.user).await.unwrap().unwrap().email.is_none());
}

#[tokio::test]
async fn a_second_subject_gets_no_account_by_an_address_that_was_its_owner_s() {
    let place = Place::new().await;
    let ana = place.user("ana", Some("ana@a.test"), Profile::default()).await;
    place.mark_verified(ana).await;
    let by_email = |subject: &str| ProviderClaims {
        verified_email: EmailAddress::parse("ana@a.test").ok(),
        ..claims(subject, subject)
    };
    assert_eq!(place.admit(&by_email("s-1")).await.unwrap().user, ana);
    assert_eq!(place.admit(&by_email("s-2")).await, None);
}

#[tokio::test]
async fn two_people_who_share_a_session_of_the_provider_share_none_of_ours() {
    let place = Place::new().await.creating();
    let (ana, bob) =
        (place.admit(&claims("ana", "1")).await, place.admit(&claims("bob", "1")).await);
    let (ana, bob) = (ana.unwrap(), bob.unwrap());
    assert_ne!((ana.user, ana.session), (bob.user, bob.session));
    assert_eq!(bob.username.as_str(), "bob");
}

#[tokio::test]
async fn an_account_is_not_named_by_an_address_that_is_not_its_own() {
    let place = Place::new().await.creating();
    let victim = place.user("victim", Some("victim@a.test"), Profile::default()).await;
    place.mark_verified(victim).await;
    assert_eq!(place.admit(&claims("victim@a.test", "1")).await, None);
    assert_eq!(place.admit(&claims("nobody@a.test", "2")).await, None);
    let verified_email = EmailAddress::parse("eve@a.test").ok();
    let own = ProviderClaims { verified_email, ..claims("Eve@a.test", "3") };
    assert_eq!(place.admit(&own).await.unwrap().username.as_str(), "Eve@a.test");
}

#[tokio::test]
async fn fifty_first_logins_at_once_make_one_account_and_one_link() {
    let place = Arc::new(Place::new().await.creating());
    let mut logins = JoinSet::new();
    for number in 0..50 {
        let place = Arc::clone(&place);
        logins.spawn(async move { place.admit(&claims(SUBJECT, &number.to_string())).await });
    }
    let all = logins.join_all().await;
    let users: BTreeSet<_> = all.iter().map(|it| it.as_ref().unwrap().user).collect();
    let sessions: BTreeSet<_> = all.iter().map(|it| it.as_ref().unwrap().session).collect();
    assert_eq!((users.len(), sessions.len()), (1, 50));
    let mut transaction = place.store.read().await.unwrap();
    assert_eq!(transaction.list_users(UserId::new(0), 10).await.unwrap().len(), 1);
    let profile = transaction.profile_of(*users.first().unwrap()).await.unwrap();
    assert_eq!(profile.auth_user.unwrap().to_string(), SUBJECT);
}

#[tokio::test]
async fn a_session_that_was_revoked_stays_so_and_a_disabled_account_is_refused() {
    let place = Place::new().await.creating();
    let first = place.admit(&claims(SUBJECT, "1")).await.unwrap();
    assert_eq!(place.admit(&claims(SUBJECT, "1")).await.unwrap(), first);
    sample::revoke(&place.store, first.session).await;
    assert_eq!(place.admit(&claims(SUBJECT, "1")).await, None);
    // Nor does it come back once its time is over.
    for days in [1, 3, 399] {
        let mut transaction = place.store.begin_write().await.unwrap();
        let before = NOW.plus(DAY * days);
        transaction.remove_ended_sessions(before, 100).await.unwrap();
        transaction.remove_revoked_sessions(before, 100).await.unwrap();
        transaction.commit().await.unwrap();
        assert_eq!(place.admit(&claims(SUBJECT, "1")).await, None);
    }
    assert_eq!(place.admit(&claims(SUBJECT, "1")).await, None);
    // Another session of the same person is another.
    assert!(place.admit(&claims(SUBJECT, "2")).await.is_some());
    place.change(first.user, false).await;
    assert_eq!(place.admit(&claims(SUBJECT, "2")).await, None);
    assert_eq!(place.admit(&claims(SUBJECT, "3")).await, None);
    place.change(first.user, true).await;
    assert!(place.admit(&claims(SUBJECT, "3")).await.is_some());
}

#[tokio::test]
async fn a_token_from_before_all_sessions_ended_begins_none_and_links_nobody() {
    let place = Place::new().await;
    let ana = place.user("ana", Some("ana@a.test"), Profile::default()).await;
    place.mark_verified(ana).await;
    let of = |session: &str, issued_at| ProviderClaims {
        verified_email: EmailAddress::parse("ana@a.test").ok(),
        issued_at,
        ..claims("s-1", session)
    };
    let second = Duration::from_secs(1);
    let end = async |kept: Option<SessionId>, now| {
        let mut transaction = place.store.begin_write_for(ana).await.unwrap();
        match kept {
            Some(kept) => transaction.revoke_other_sessions(ana, kept, now).await.unwrap(),
            None => {
                transaction.revoke_sessions_of(ana, now).await.unwrap();
            }
        }
        transaction.commit().await.unwrap();
    };
    end(None, NOW).await;
    // An earlier moment does not take a later one back.
    end(None, NOW.minus(second)).await;
    for issued_at in [NOW.minus(second), NOW] {
        assert_eq!(place.admit(&of("1", issued_at)).await, None);
    }
    let link =
        place.store.read().await.unwrap().find_provider_link("https://idp.test", "s-1").await;
    assert_eq!(link.unwrap(), None);
    let begun = place.admit(&of("1", NOW.plus(second))).await.unwrap();
    assert_eq!(begun.user, ana);
    // One session is kept: its tokens of any age go on, and begin no other.
    end(Some(begun.session), NOW.plus(DAY)).await;
    assert_eq!(place.admit(&of("1", NOW)).await, Some(begun));
    assert_eq!(place.admit(&of("2", NOW.plus(DAY))).await, None);
    assert!(place.admit(&of("2", NOW.plus(DAY + second))).await.is_some());
}

#[test]
fn a_session_is_the_providers_or_else_the_tokens() {
    let of = |issuer: &str, claims: &ProviderClaims| claims.session_id(issuer);
    let (one, other) = ("https://one.test", "https://other.test");
    let with_session = claims("s", "1");
    assert_eq!(of(one, &with_session), of(one, &claims("s", "1")));
    // Two people in one browser.
    assert_ne!(of(one, &with_session), of(one, &claims("t", "1")));
    assert_ne!(of(one, &with_session), of(other, &with_session));
    assert_ne!(of(one, &with_session), of(one, &claims("s", "2")));
    let bare = ProviderClaims { session: None, ..claims("s", "1") };
    let named = ProviderClaims { token_id: Some("1".into()), ..bare.clone() };
    let later = ProviderClaims { issued_at: NOW.plus(DAY), ..bare.clone() };
    let ids = [&with_session, &bare, &named, &later].map(|claims| of(one, claims));
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), 4);
}
