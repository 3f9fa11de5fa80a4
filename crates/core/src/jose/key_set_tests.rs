use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RsaKeyPair, RsaPublicKeyComponents,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::EncodingKey;
use serde_json::json;

use super::super::sample::signing_key;
use super::super::signed::Signed;
use super::super::{Algorithm, SignatureAlgorithm};
use super::*;

fn set(keys: &Value) -> Result<KeySet, KeySetFault> {
    KeySet::parse(json!({ "keys": keys }).to_string().as_bytes())
}

fn jwk_of(algorithm: Algorithm, key_id: &str) -> Value {
    let key = signing_key(algorithm).verifying_key();
    key.jwk().unwrap().to_json(key_id, key.algorithm())
}

fn signed(key: &EncodingKey, algorithm: SignatureAlgorithm, key_id: Option<&str>) -> String {
    let mut header = jsonwebtoken::Header::new(algorithm.jose());
    header.kid = key_id.map(Into::into);
    jsonwebtoken::encode(&header, &json!({"a": 1}), key).unwrap()
}

fn verified(set: &KeySet, token: &str) -> Result<(), Invalid> {
    let signed = Signed::parse(token, 1 << 14)?;
    signed.payload(set.find(&signed.header)?).map(|_| ())
}

#[test]
fn every_algorithm_of_rsa_is_verified_by_the_key_that_names_it() {
    let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let RsaPublicKeyComponents { n, e } =
        RsaPublicKeyComponents::<Vec<u8>>::from(pair.public_key());
    let pkcs8 = pair.as_der().unwrap();
    let pem = super::super::pem::write_private_key(pkcs8.as_ref());
    let private = EncodingKey::from_rsa_pem(pem.as_bytes()).unwrap();
    // A sign byte in front, as some libraries write it.
    let n = [&[0], n.as_slice()].concat();
    let jwk = json!({
        "kty": "RSA", "n": URL_SAFE_NO_PAD.encode(n), "e": URL_SAFE_NO_PAD.encode(e), "kid": "r"
    });
    use SignatureAlgorithm::{Ps256, Ps384, Ps512, Rs256, Rs384, Rs512};
    let all = [Rs256, Rs384, Rs512, Ps256, Ps384, Ps512];
    for named in all {
        let mut jwk = jwk.clone();
        jwk["alg"] = named.as_str().into();
        let set = set(&json!([jwk])).unwrap();
        for used in all {
            let told = verified(&set, &signed(&private, used, Some("r")));
            let expected = if used == named { Ok(()) } else { Err(Invalid::Algorithm) };
            assert_eq!(told, expected, "{named:?} {used:?}");
        }
    }
    // One that names none is for the usual one.
    let set = set(&json!([jwk])).unwrap();
    assert_eq!(verified(&set, &signed(&private, Rs256, Some("r"))), Ok(()));
    assert_eq!(verified(&set, &signed(&private, Ps256, Some("r"))), Err(Invalid::Algorithm));
}

#[test]
fn elliptic_curves_are_verified() {
    let algorithm = &ECDSA_P384_SHA384_FIXED_SIGNING;
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &SystemRandom::new()).unwrap();
    let pair = EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref()).unwrap();
    let (x, y) = pair.public_key().as_ref()[1..].split_at(48);
    let (x, y) = (URL_SAFE_NO_PAD.encode(x), URL_SAFE_NO_PAD.encode(y));
    let p384 = json!({"kty": "EC", "crv": "P-384", "x": x, "y": y, "kid": "e"});
    let off_the_curve = json!({"kty": "EC", "crv": "P-384", "x": x, "y": x});
    let set_of_it = set(&json!([p384])).unwrap();
    let private = EncodingKey::from_ec_der(pkcs8.as_ref());
    let token = signed(&private, SignatureAlgorithm::Es384, Some("e"));
    assert_eq!(verified(&set_of_it, &token), Ok(()));
    assert_eq!(set(&json!([off_the_curve])).unwrap_err(), KeySetFault::Empty);
    for algorithm in [Algorithm::Es256, Algorithm::EdDsa] {
        let key = signing_key(algorithm);
        let verifying = key.verifying_key();
        let jwk = verifying.jwk().unwrap().to_json("k", verifying.algorithm());
        let token = signed(&key.encoding, verifying.algorithm(), Some("k"));
        assert_eq!(verified(&set(&json!([jwk])).unwrap(), &token), Ok(()));
    }
}

#[test]
fn a_key_is_found_by_its_name_or_where_it_is_the_only_one() {
    let (one, other) = (signing_key(Algorithm::EdDsa), signing_key(Algorithm::EdDsa));
    let jwk = |key: &super::super::SigningKey, key_id: &str| {
        let key = key.verifying_key();
        key.jwk().unwrap().to_json(key_id, key.algorithm())
    };
    let token = |key_id| signed(&one.encoding, SignatureAlgorithm::EdDsa, key_id);
    let alone = set(&json!([jwk(&one, "1")])).unwrap();
    assert_eq!(verified(&alone, &token(None)), Ok(()));
    assert_eq!(verified(&alone, &token(Some("2"))), Err(Invalid::UnknownKey));
    let both = set(&json!([jwk(&one, "1"), jwk(&other, "2")])).unwrap();
    assert_eq!(verified(&both, &token(Some("1"))), Ok(()));
    assert_eq!(verified(&both, &token(Some("2"))), Err(Invalid::Signature));
    assert_eq!(verified(&both, &token(None)), Err(Invalid::MissingKeyId));
    // Two keys under one name are none (jwks-dos-002); one key twice is one.
    let twice = set(&json!([jwk(&one, "1"), jwk(&other, "1"), jwk(&other, "2")])).unwrap();
    assert_eq!((twice.len(), verified(&twice, &token(Some("1")))), (1, Err(Invalid::UnknownKey)));
    let again = set(&json!([jwk(&one, "1"), jwk(&one, "1")])).unwrap();
    assert_eq!((again.len(), verified(&again, &token(Some("1")))), (1, Ok(())));
    assert_eq!(verified(&KeySet::default(), &token(Some("1"))), Err(Invalid::UnknownKey));
}

/// jwks-dos-007
#[test]
fn what_cannot_verify_or_costs_too_much_is_left_out() {
    let good = jwk_of(Algorithm::Rs256, "good");
    let with = |name: &str, value: Value| {
        let mut jwk = good.clone();
        jwk["kid"] = "bad".into();
        jwk[name] = value;
        jwk
    };
    let octets = |length: usize| Value::from(URL_SAFE_NO_PAD.encode(vec![0xff; length]));
    for bad in [
        with("use", "enc".into()),
        with("key_ops", json!(["encrypt"])),
        with("alg", "RSA-OAEP".into()),
        with("alg", "HS256".into()),
        with("alg", "ES256".into()),
        with("alg", "none".into()),
        with("alg", Value::Null),
        with("kid", 7.into()),
        with("kid", "k".repeat(257).into()),
        with("d", octets(256)),
        with("k", octets(32)),
        with("kty", "oct".into()),
        with("kty", "unknown".into()),
        with("n", octets(128)),
        with("n", octets(2048)),
        with("n", "not base64!".into()),
        with("e", octets(8)),
        with("e", "Aw".into()),
        json!({"kty": "oct", "k": "c2VjcmV0", "alg": "HS256"}),
        json!({"kty": "EC", "crv": "P-521", "x": "AA", "y": "AA"}),
        json!({"kty": "OKP", "crv": "Ed25519", "x": "AA"}),
        json!("text"),
    ] {
        assert_eq!(set(&json!([bad.clone()])).unwrap_err(), KeySetFault::Empty, "{bad}");
        assert_eq!(set(&json!([bad, good])).unwrap().len(), 1);
    }
}

#[test]
fn a_set_is_bounded_and_well_formed() {
    let keys = |count: usize| {
        let keys: Vec<_> = (0..count).map(|at| json!({"kid": at.to_string()})).collect();
        set(&json!(keys)).unwrap_err()
    };
    assert_eq!((keys(64), keys(65)), (KeySetFault::Empty, KeySetFault::TooMany));
    let broken = b"{\"keys\":[\xff";
    let texts = ["", "[]", "{}", r#"{"keys":{}}"#, r#"{"keys":null}"#].map(str::as_bytes);
    for text in texts.into_iter().chain([broken.as_slice()]) {
        assert_eq!(KeySet::parse(text).unwrap_err(), KeySetFault::NotASet, "{text:?}");
    }
}

#[test]
fn the_fingerprint_follows_the_keys_and_not_their_order() {
    let (one, two) = (jwk_of(Algorithm::Es256, "1"), jwk_of(Algorithm::Es256, "2"));
    let mut renamed = one.clone();
    renamed["kid"] = "3".into();
    let of = |keys: Value| set(&keys).unwrap().fingerprint();
    assert_eq!(of(json!([one, two])), of(json!([two, one])));
    for other in [json!([one]), json!([renamed]), json!([jwk_of(Algorithm::Es256, "1")])] {
        assert_ne!(of(json!([one, two])), of(other));
    }
    assert_ne!(of(json!([one])), of(json!([renamed])));
}
