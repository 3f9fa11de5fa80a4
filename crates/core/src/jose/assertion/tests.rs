use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::super::sample::{
    NOW, SESSION, claims, expectations, keyring, now, payload, sign, signing_key,
};
use super::super::{Invalid, VerifyingKey};
use super::*;
use crate::{Identity, Roles, SessionId, Source, Subject, UserId};

fn principal(second_factor: bool) -> Principal {
    let identity = Identity::new(
        Subject::parse("alice").unwrap(),
        Some(UserId::new(7)),
        SessionId::parse(SESSION),
        Roles::parse(["b", "a"]).unwrap(),
        Source::Bearer,
        Some("token-1"),
    );
    let identity = identity.unwrap().with_second_factor(second_factor);
    Principal::new(Arc::new(identity))
}

fn key() -> SigningKey {
    signing_key(Algorithm::Es256)
}

fn dated(key: SigningKey, after: i64) -> AssertionKey {
    AssertionKey { key, signs_from: Timestamp::from_seconds(NOW + after) }
}

fn at(after: i64) -> Timestamp {
    Timestamp::from_seconds(NOW + after)
}

fn keys(signing: Vec<AssertionKey>, beside: &Keyring, retired: Vec<Retired>) -> AssertionKeys {
    AssertionKeys::new("https://idp.test".into(), signing, Vec::new(), beside, retired).unwrap()
}

fn part(token: &Secret, at: usize) -> Value {
    let segment = token.expose().split('.').nth(at).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(segment).unwrap()).unwrap()
}

fn ids(jwks: &Bytes) -> Vec<String> {
    let set: Value = serde_json::from_slice(jwks).unwrap();
    let keys = set["keys"].as_array().unwrap();
    keys.iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn an_assertion_says_who_is_calling_to_one_upstream_for_a_minute() {
    let (keyring, _) = keyring(Algorithm::Rs256);
    let keys = keys(vec![dated(key(), 0)], &keyring, Vec::new());
    let token = keys.issue(&principal(true), "orders", now()).unwrap();
    let kid = keys.signing(now()).id().to_owned();
    assert_eq!(part(&token, 0), json!({"typ": "assertion+jwt", "alg": "ES256", "kid": kid}));
    let mut said = part(&token, 1);
    let id = said.as_object_mut().unwrap().remove("jti").unwrap();
    assert_eq!(id.as_str().map(str::len), Some(36));
    assert_eq!(
        said,
        json!({
            "iss": "https://idp.test", "aud": "orders", "sub": "alice", "uid": 7, "sid": SESSION,
            "app_roles": ["a", "b"], "source": "bearer", "amr": ["mfa"],
            "iat": NOW, "nbf": NOW, "exp": NOW + 60,
        })
    );
}

#[test]
fn what_is_not_known_is_not_said_and_roles_are_those_that_count_now() {
    let (keyring, _) = keyring(Algorithm::Rs256);
    let keys = keys(vec![dated(key(), 0)], &keyring, Vec::new());
    let subject = Subject::parse("system").unwrap();
    let identity = Identity::new(subject, None, None, Roles::none(), Source::ApiKey, None).unwrap();
    let roles = Roles::parse(["now"]).unwrap();
    let principal = Principal::with_current_roles(Arc::new(identity), roles);
    let said = part(&keys.issue(&principal, "orders", now()).unwrap(), 1);
    assert_eq!((&said["app_roles"], &said["source"]), (&json!(["now"]), &json!("api_key")));
    for absent in ["uid", "sid", "amr"] {
        assert!(said.get(absent).is_none(), "{absent}: {said}");
    }
}

/// Each of the three guards is enough: the key, the type, the audience.
#[test]
fn an_assertion_never_passes_for_an_access_token() {
    let (keyring, access) = keyring(Algorithm::Es256);
    let own = key();
    let verify = |token: &str| keyring.verify(token, &expectations(), now()).err();
    // As alike as can be: every claim of an access token, and its audience.
    let payload = payload().to_string();
    let header = |typ: &str, kid: &str| json!({"alg": "ES256", "typ": typ, "kid": kid}).to_string();
    let honest = sign(&access, &header("JWT", access.id()), &payload);
    assert_eq!(verify(&honest), None);
    let typed = sign(&access, &header(KIND, access.id()), &payload);
    assert_eq!(verify(&typed), Some(Invalid::Type));
    let keyed = sign(&own, &header("JWT", own.id()), &payload);
    assert_eq!(verify(&keyed), Some(Invalid::UnknownKey));
    let named = sign(&own, &header("JWT", access.id()), &payload);
    assert_eq!(verify(&named), Some(Invalid::Signature));
    let mut meant = super::super::sample::payload();
    meant["aud"] = "orders".into();
    let meant = sign(&access, &header("JWT", access.id()), &meant.to_string());
    assert_eq!(verify(&meant), Some(Invalid::Audience));

    let keys = keys(vec![dated(own, 0)], &keyring, Vec::new());
    let genuine = keys.issue(&principal(false), "api", now()).unwrap();
    assert_eq!(verify(genuine.expose()), Some(Invalid::Type));
    // Nor does the other direction hold: what verifies is in the published set under its own id.
    assert!(!ids(&keyring.jwks(now())).contains(&keys.signing(now()).id().to_owned()));
    assert!(keyring.issue(&claims()).is_ok());
}

#[test]
fn a_new_key_is_published_first_and_signs_later() {
    let (keyring, _) = keyring(Algorithm::Rs256);
    let (one, two, three) = (key(), key(), key());
    let names = [&one, &two, &three].map(|key| key.id().to_owned());
    let of = |keys: Vec<AssertionKey>| super::tests::keys(keys, &keyring, Vec::new());
    let keys = of(vec![dated(one, -900), dated(two, -300), dated(three, 600)]);
    for (after, signs) in [(0, 1), (599, 1), (600, 2), (86_400, 2), (-301, 0)] {
        assert_eq!(keys.signing(at(after)).id(), names[signs], "{after}");
        let all = ids(&keys.jwks(at(after)));
        assert_eq!(all.len(), 4, "the keyring's too");
        assert!(names.iter().all(|name| all.contains(name)), "{after}");
    }
    // The only one signs at once: there is nothing to wait with.
    let only = of(vec![dated(key(), 600)]);
    assert!(only.issue(&principal(false), "orders", now()).is_ok());
}

#[test]
fn a_key_that_is_gone_stays_published_for_two_minutes() {
    let (keyring, _) = keyring(Algorithm::Rs256);
    let old = keys(vec![dated(key(), 0)], &keyring, Vec::new());
    let gone = old.signing(now()).id().to_owned();
    let new = keys(vec![dated(key(), 0)], &keyring, old.retire(now()));
    assert_ne!(new.signing(now()).id(), gone);
    assert!(ids(&new.jwks(at(119))).contains(&gone));
    assert!(!ids(&new.jwks(at(120))).contains(&gone));
    // A further reload takes it along until then, and no longer.
    let again = keys(vec![dated(key(), 0)], &keyring, new.retire(at(60)));
    assert!(ids(&again.jwks(at(61))).contains(&gone));
    let last = keys(vec![dated(key(), 0)], &keyring, again.retire(at(121)));
    assert!(!ids(&last.jwks(at(122))).contains(&gone));
}

#[test]
fn a_key_that_stays_is_published_once() {
    let (keyring, _) = keyring(Algorithm::Rs256);
    let text = SigningKey::generate(Algorithm::Es256).unwrap();
    let same = || SigningKey::parse(Algorithm::Es256, &text).unwrap();
    let old = keys(vec![dated(same(), 0)], &keyring, Vec::new());
    let new = keys(vec![dated(same(), 0), dated(key(), 600)], &keyring, old.retire(now()));
    assert_eq!(ids(&new.jwks(now())).len(), 3);
}

#[test]
fn retired_keys_are_bounded() {
    let (keyring, _) = keyring(Algorithm::Rs256);
    let mut retired = Vec::new();
    let mut newest = String::new();
    for _ in 0..MAX_KEYS + 8 {
        let keys = keys(vec![dated(key(), 0)], &keyring, retired);
        newest = keys.signing(now()).id().to_owned();
        retired = keys.retire(now());
    }
    let keys = keys(vec![dated(key(), 0)], &keyring, retired);
    let published = ids(&keys.jwks(now()));
    assert_eq!(published.len(), MAX_KEYS + 2);
    assert!(published.contains(&newest));
}

#[test]
fn a_key_has_one_purpose_and_one_algorithm() {
    let (keyring, access) = keyring(Algorithm::Es256);
    let new = |signing: Vec<SigningKey>, others: Vec<VerifyingKey>| {
        let signing = signing.into_iter().map(|key| dated(key, 0)).collect();
        AssertionKeys::new("i".into(), signing, others, &keyring, Vec::new())
    };
    assert!(matches!(new(vec![access], Vec::new()), Err(KeyFault::Duplicate(_))));
    let pair = key();
    let public = pair.verifying_key();
    assert!(matches!(new(vec![pair], vec![public.clone()]), Err(KeyFault::Duplicate(_))));
    assert!(matches!(new(Vec::new(), vec![public.clone()]), Err(KeyFault::Unusable)));
    assert!(new(vec![key()], vec![public]).is_ok());
    for algorithm in [Algorithm::Rs256, Algorithm::EdDsa, Algorithm::Hs256] {
        let other = signing_key(algorithm);
        assert!(matches!(new(vec![key(), other], Vec::new()), Err(KeyFault::Unusable)));
    }
    let many = (0..=MAX_KEYS).map(|_| key()).collect();
    assert!(matches!(new(many, Vec::new()), Err(KeyFault::TooMany)));
}
