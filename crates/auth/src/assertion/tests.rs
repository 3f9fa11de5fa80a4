use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use super::*;
use guarita_core::jose::{Algorithm, AssertionKey, Keyring, SigningKey};
use guarita_core::{Identity, Roles, SessionId, Subject};

const START: Timestamp = Timestamp::from_seconds(1_800_000_000);

fn after(seconds: u64) -> Timestamp {
    START.plus(Duration::from_secs(seconds))
}

fn key(algorithm: Algorithm) -> SigningKey {
    SigningKey::parse(algorithm, &SigningKey::generate(algorithm).unwrap()).unwrap()
}

fn keys(issuer: &str) -> AssertionKeys {
    let keyring = Keyring::new(key(Algorithm::EdDsa), Vec::new()).unwrap();
    let signing = vec![AssertionKey { key: key(Algorithm::Es256), signs_from: START }];
    AssertionKeys::new(issuer.into(), signing, Vec::new(), &keyring, Vec::new()).unwrap()
}

/// Somebody, and what changes of them.
#[derive(Clone)]
struct Person {
    subject: &'static str,
    user: Option<i64>,
    session: Option<&'static str>,
    roles: Vec<String>,
    source: Source,
    second_factor: bool,
}

impl Person {
    fn ada() -> Self {
        Self {
            subject: "ada",
            user: Some(7),
            session: Some("01932c07-7f0c-7d5e-8a00-0123456789ab"),
            roles: vec!["reader".into()],
            source: Source::Bearer,
            second_factor: false,
        }
    }

    fn identity(&self) -> Identity {
        let identity = Identity::new(
            Subject::parse(self.subject).unwrap(),
            self.user.map(UserId::new),
            self.session.and_then(SessionId::parse),
            Roles::parse(self.roles.iter().map(String::as_str)).unwrap(),
            self.source,
            None,
        );
        identity.unwrap().with_second_factor(self.second_factor)
    }

    fn principal(&self) -> Principal {
        Principal::new(Arc::new(self.identity()))
    }
}

fn audience(text: &str) -> Arc<str> {
    text.into()
}

fn claims(value: &HeaderValue) -> Value {
    let payload = value.to_str().unwrap().split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

#[test]
fn one_is_handed_on_for_half_of_its_life() {
    let (assertions, keys, orders) = (Assertions::new(64), keys("i"), audience("orders"));
    let ask = |now| {
        // Another token of the same session makes no difference.
        let principal = Person::ada().principal();
        assertions.find_or_issue(&keys, &principal, &orders, now).unwrap()
    };
    let first = ask(START);
    assert!(first.is_sensitive());
    assert_eq!(ask(after(29)), first);
    let second = ask(after(30));
    assert_ne!(second, first);
    assert_eq!(ask(after(59)), second);
    for now in 0..300 {
        let left = claims(&ask(after(now)))["exp"].as_i64().unwrap() - after(now).seconds();
        assert!((31..=60).contains(&left), "{left} s left after {now} s");
    }
    // A clock that was set back makes another, and not one that holds for longer.
    let earlier = ask(START);
    assert_eq!(claims(&earlier)["exp"], after(60).seconds());
    assert_eq!(assertions.len(), 1);
}

#[test]
fn whatever_it_says_makes_another_at_once() {
    let (assertions, keys, orders) = (Assertions::new(64), keys("i"), audience("orders"));
    let ask = |person: &Person, audience: &Arc<str>| {
        assertions.find_or_issue(&keys, &person.principal(), audience, START).unwrap()
    };
    let ada = Person::ada();
    let mut seen = vec![ask(&ada, &orders), ask(&ada, &audience("invoices"))];
    let others = [
        Person { subject: "ben", ..ada.clone() },
        Person { user: Some(8), ..ada.clone() },
        Person { user: None, ..ada.clone() },
        Person { session: Some("01932c07-7f0c-7d5e-8a00-0123456789ac"), ..ada.clone() },
        Person { session: None, ..ada.clone() },
        Person { roles: vec!["admin".into(), "reader".into()], ..ada.clone() },
        Person { roles: Vec::new(), ..ada.clone() },
        Person { source: Source::Session, ..ada.clone() },
        Person { source: Source::ApiKey, ..ada.clone() },
        Person { second_factor: true, ..ada.clone() },
    ];
    for person in &others {
        let value = ask(person, &orders);
        assert!(!seen.contains(&value), "{}", claims(&value));
        seen.push(value);
    }
    assert_eq!(assertions.len(), seen.len());
    let roles = Roles::parse(["writer"]).unwrap();
    let changed = Principal::with_current_roles(Arc::new(ada.identity()), roles);
    let value = assertions.find_or_issue(&keys, &changed, &orders, START).unwrap();
    assert_eq!(claims(&value)["app_roles"], serde_json::json!(["writer"]));
}

#[test]
fn another_key_or_issuer_makes_another_at_once() {
    let (assertions, orders) = (Assertions::new(64), audience("orders"));
    let principal = Person::ada().principal();
    let (one, two) = (keys("i"), keys("i"));
    let ask = |keys| assertions.find_or_issue(keys, &principal, &orders, START).unwrap();
    let first = ask(&one);
    assert_eq!(ask(&one), first);
    assert_ne!(ask(&two), first);
    assert_eq!(claims(&ask(&keys("j")))["iss"], "j");
    assert_eq!(assertions.len(), 1);
}

#[test]
fn they_are_bounded_by_number_and_by_bytes() {
    let (assertions, keys, orders) = (Assertions::new(64), keys("i"), audience("orders"));
    for user in 1..=200 {
        let person = Person { user: Some(user), ..Person::ada() };
        assertions.find_or_issue(&keys, &person.principal(), &orders, START).unwrap();
    }
    assert!((1..=64).contains(&assertions.len()), "{}", assertions.len());
    let (assertions, capacity) = (Assertions::new(1000), 1000 * 2048);
    let roles: Vec<_> = (0..256).map(|at| format!("{at:0128}")).collect();
    let mut length = 0;
    for user in 1..=200 {
        let person = Person { user: Some(user), roles: roles.clone(), ..Person::ada() };
        let value = assertions.find_or_issue(&keys, &person.principal(), &orders, START).unwrap();
        length = value.len();
    }
    assert!(length > 40_000, "{length}");
    let held = assertions.len();
    assert!((1..=capacity / length).contains(&held), "{held}");
}
