use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::super::Algorithm;
use super::super::sample::{
    NOW, claims, expectations, header, keyring, now, payload, sign, signing_key,
};
use super::*;

#[test]
fn what_is_issued_is_verified_with_every_algorithm() {
    for algorithm in Algorithm::ALL {
        let (keyring, _) = keyring(algorithm);
        let token = keyring.issue(&claims()).unwrap();
        let read = keyring.verify(token.expose(), &expectations(), now()).unwrap();
        assert_eq!(read.subject, claims().subject, "{algorithm:?}");
        assert_eq!(read.user, claims().user);
        assert_eq!(read.session, claims().session);
        assert_eq!(read.token_id, claims().token_id);
        assert_eq!(read.roles, claims().roles);
        assert_eq!(read.expires_at, claims().expires_at);
    }
}

#[test]
fn an_issued_token_has_the_claims_of_the_contract_and_no_more() {
    let (keyring, key) = keyring(Algorithm::Es256);
    let token = keyring.issue(&claims()).unwrap();
    let part = |at: usize| -> serde_json::Value {
        let segment = token.expose().split('.').nth(at).unwrap();
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(segment).unwrap()).unwrap()
    };
    assert_eq!(part(0), header(&key));
    assert_eq!(part(1), payload());
    let anonymous = Claims { user: None, ..claims() };
    let token = keyring.issue(&anonymous).unwrap();
    assert_eq!(keyring.verify(token.expose(), &expectations(), now()).unwrap().user, None);
}

#[test]
fn the_set_of_public_keys_has_no_secret() {
    let hmac = signing_key(Algorithm::Hs256).verifying_key();
    let ec = signing_key(Algorithm::Es256);
    let ed = signing_key(Algorithm::EdDsa).verifying_key();
    let rsa = signing_key(Algorithm::Rs256).verifying_key();
    let keyring = Keyring::new(ec, vec![hmac, ed, rsa]).unwrap();
    let set: serde_json::Value = serde_json::from_slice(&keyring.jwks(now())).unwrap();
    let keys = set["keys"].as_array().unwrap();
    let types: Vec<_> = keys.iter().map(|key| key["kty"].as_str().unwrap()).collect();
    assert_eq!(types, ["EC", "OKP", "RSA"]);
    for key in keys {
        assert_eq!(key["use"], "sig");
        assert!(key["kid"].as_str().is_some_and(|id| id.len() == 43));
        for private in ["d", "p", "q", "dp", "dq", "qi", "k"] {
            assert!(key.get(private).is_none());
        }
    }
}

#[test]
fn the_public_set_verifies_what_is_issued() {
    // As another service would: from the JWK Set alone.
    for algorithm in [Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa] {
        let (keyring, _) = keyring(algorithm);
        let token = keyring.issue(&claims()).unwrap();
        let set: jsonwebtoken::jwk::JwkSet = serde_json::from_slice(&keyring.jwks(now())).unwrap();
        let key = jsonwebtoken::DecodingKey::from_jwk(&set.keys[0]).unwrap();
        let (message, signature) = token.expose().rsplit_once('.').unwrap();
        let held =
            jsonwebtoken::crypto::verify(signature, message.as_bytes(), &key, algorithm.jose());
        assert!(held.unwrap(), "{algorithm:?}");
        let thumbprint = set.keys[0].thumbprint(jsonwebtoken::jwk::ThumbprintHash::SHA256).unwrap();
        assert_eq!(thumbprint, keyring.signing(now()).id());
    }
}

#[test]
fn a_retired_key_verifies_while_it_is_there() {
    // jwt-forgery-023
    let (old, old_key) = keyring(Algorithm::Es256);
    let token = old.issue(&claims()).unwrap();
    let both = Keyring::new(signing_key(Algorithm::Es256), vec![old_key.verifying_key()]).unwrap();
    assert!(both.verify(token.expose(), &expectations(), now()).is_ok());
    let new = Keyring::new(signing_key(Algorithm::Es256), Vec::new()).unwrap();
    let refused = new.verify(token.expose(), &expectations(), now());
    assert_eq!(refused.unwrap_err(), Invalid::UnknownKey);
    let mut fingerprints = [old.fingerprint(), both.fingerprint(), new.fingerprint()];
    fingerprints.sort_unstable();
    assert!(fingerprints.windows(2).all(|pair| pair[0] != pair[1]));
}

#[test]
fn the_fingerprint_is_that_of_the_set() {
    let text = SigningKey::generate(Algorithm::Es256).unwrap();
    let other = signing_key(Algorithm::EdDsa);
    let first = || SigningKey::parse(Algorithm::Es256, &text).unwrap();
    let one = Keyring::new(first(), vec![other.verifying_key()]).unwrap();
    let two = Keyring::new(other, vec![first().verifying_key()]).unwrap();
    assert_eq!(one.fingerprint(), two.fingerprint());
}

#[test]
fn without_a_key_id_the_key_must_be_the_only_one() {
    let (alone, key) = keyring(Algorithm::Es256);
    let token = sign(&key, r#"{"alg":"ES256"}"#, &payload().to_string());
    assert!(alone.verify(&token, &expectations(), now()).is_ok());
    let pair = Keyring::new(
        signing_key(Algorithm::Es256),
        vec![key.verifying_key(), signing_key(Algorithm::EdDsa).verifying_key()],
    )
    .unwrap();
    let refused = pair.verify(&token, &expectations(), now());
    assert_eq!(refused.unwrap_err(), Invalid::MissingKeyId);
}

#[test]
fn the_public_half_may_be_given_beside_its_private_one_and_is_published_once() {
    let key = signing_key(Algorithm::Es256);
    let (public, id) = (key.verifying_key(), key.verifying_key().id().to_owned());
    let keyring = Keyring::new(key, vec![public]).unwrap();
    let published = String::from_utf8(keyring.jwks(now()).to_vec()).unwrap();
    assert_eq!(published.matches(&id).count(), 1);
}

#[test]
fn one_key_with_two_ends_is_refused_and_so_are_too_many() {
    let key = signing_key(Algorithm::Es256);
    let double = (key.verifying_key(), None);
    let ending = ScheduledKey { key, signs_from: now(), verifies_until: Some(now()) };
    let refused = Keyring::scheduled(vec![ending], vec![double]);
    assert!(matches!(refused, Err(KeyFault::Duplicate(_))));
    let many = (0..MAX_KEYS).map(|_| signing_key(Algorithm::EdDsa).verifying_key()).collect();
    assert!(matches!(Keyring::new(signing_key(Algorithm::EdDsa), many), Err(KeyFault::TooMany)));
}

#[test]
fn size_is_bounded_before_anything_else() {
    let (keyring, key) = keyring(Algorithm::Es256);
    let mut long = payload();
    long["padding"] = "x".repeat(9_000).into();
    let token = sign(&key, &header(&key).to_string(), &long.to_string());
    let exact = Expectations { max_length: token.len(), ..expectations() };
    assert!(keyring.verify(&token, &exact, now()).is_ok());
    let short = Expectations { max_length: token.len() - 1, ..expectations() };
    assert_eq!(keyring.verify(&token, &short, now()).unwrap_err(), Invalid::TooLong);
    let mebibyte = "a.".repeat(512 * 1024);
    let refused = keyring.verify(&mebibyte, &expectations(), now());
    assert_eq!(refused.unwrap_err(), Invalid::TooLong);
}

#[test]
fn the_signature_is_judged_before_any_claim() {
    // jwt-forgery-021
    let (keyring, key) = keyring(Algorithm::Es256);
    for (name, moment) in [("exp", NOW - 999), ("nbf", NOW + 999)] {
        let mut claims = payload();
        claims[name] = moment.into();
        let token =
            sign(&signing_key(Algorithm::Es256), &header(&key).to_string(), &claims.to_string());
        let refused = keyring.verify(&token, &expectations(), now());
        assert_eq!(refused.unwrap_err(), Invalid::Signature, "{name}");
    }
}
