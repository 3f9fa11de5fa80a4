use std::collections::HashMap;

use jsonwebtoken::Algorithm as Jose;
use serde_json::json;

use super::super::sample::{NOW, expectations, now, sign, sign_hmac, signing_key};
use super::super::{Algorithm, SigningKey};
use super::provider::ClaimPath;
use super::*;

const CLIENT: &str = "our-client";
/// The access token of OpenID Connect Core 1.0 appendix A.3, and its `at_hash` there.
const ACCESS_TOKEN: &str = "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y";
const SHA256_HALF: &str = "77QmUPtjPfzWtF2AnpK9RQ";
/// The same with the other hashes.
const SHA384_HALF: &str = "jtAeDp945y1dDqU3nkIVGNZP1HjH_MFs";
const SHA512_HALF: &str = "q7nS86GgvvFaZkzALLWqJYaJIKw2wCDAVfCAsm5CrBM";

fn provider() -> ProviderExpectations {
    ProviderExpectations {
        token: expectations(),
        token_type: None,
        required: vec![(ClaimPath::new("tid"), "t-1".into())],
        link_from: vec![ClaimPath::new("sub")],
        subject_from: ClaimPath::new("sub"),
        roles_from: Vec::new(),
        role_map: HashMap::new(),
        keep_unmapped: true,
    }
}

fn payload() -> Value {
    json!({
        "iss": "https://idp.test", "aud": CLIENT, "sub": "ada", "iat": NOW, "exp": NOW + 600,
        "nbf": NOW, "nonce": "n-1", "at_hash": SHA256_HALF, "tid": "t-1",
    })
}

fn with(changes: &[(&str, Value)]) -> Value {
    let mut payload = payload();
    for (name, value) in changes {
        payload[*name] = value.clone();
    }
    payload
}

/// A provider that publishes keys of several algorithms.
struct Idp {
    es: SigningKey,
    rs: SigningKey,
    ed: SigningKey,
    set: KeySet,
}

impl Idp {
    fn new() -> Self {
        let [es, rs, ed] = [Algorithm::Es256, Algorithm::Rs256, Algorithm::EdDsa].map(signing_key);
        let jwk = |id: &str, key: &SigningKey, algorithm| {
            key.verifying_key().jwk().unwrap().to_json(id, algorithm)
        };
        let keys = [
            jwk("es", &es, SignatureAlgorithm::Es256),
            jwk("rs", &rs, SignatureAlgorithm::Rs256),
            jwk("rs384", &rs, SignatureAlgorithm::Rs384),
            jwk("ed", &ed, SignatureAlgorithm::EdDsa),
        ];
        let set = KeySet::parse(json!({ "keys": keys }).to_string().as_bytes()).unwrap();
        Self { es, rs, ed, set }
    }

    fn check(&self, token: &str) -> Result<ProviderClaims, InvalidIdToken> {
        let nonce = Secret::new("n-1");
        let access_token = Secret::new(ACCESS_TOKEN);
        let provider = provider();
        let expected = IdTokenExpectations {
            provider: &provider,
            client_id: CLIENT,
            nonce: &nonce,
            access_token: &access_token,
        };
        expected.verify(token, &self.set, now())
    }

    /// Signed by the key of ES256.
    fn read(&self, payload: &Value) -> Result<ProviderClaims, InvalidIdToken> {
        let header = r#"{"alg":"ES256","kid":"es","typ":"JWT"}"#;
        self.check(&sign(&self.es, header, &payload.to_string()))
    }
}

/// A change of one claim, and the rule that it breaks.
fn broken_claims() -> Vec<(&'static str, Value, InvalidIdToken)> {
    use Invalid::{
        Audience, Expired, ExpiresAt, IssuedAt, IssuedInFuture, Issuer, NotBefore, NotYetValid,
        Required, Session, Subject, TokenId,
    };
    use InvalidIdToken::{AccessTokenHash, AuthorizedParty, Nonce, Token};
    vec![
        ("iss", json!("https://idp.test/"), Token(Issuer)),
        ("iss", json!("https://evil.test"), Token(Issuer)),
        ("iss", json!(["https://idp.test"]), Token(Issuer)),
        ("iss", Value::Null, Token(Issuer)),
        // `api` is an audience of access tokens.
        ("aud", json!("api"), Token(Audience)),
        ("aud", json!(["api", "other"]), Token(Audience)),
        ("aud", json!([]), Token(Audience)),
        ("aud", json!([CLIENT, 1]), Token(Audience)),
        ("aud", Value::Null, Token(Audience)),
        ("aud", json!([CLIENT, "api"]), AuthorizedParty),
        ("azp", json!("other"), AuthorizedParty),
        ("azp", json!([CLIENT]), AuthorizedParty),
        ("azp", json!(""), AuthorizedParty),
        ("azp", Value::Null, AuthorizedParty),
        ("nonce", json!("n-2"), Nonce),
        ("nonce", json!(""), Nonce),
        ("nonce", json!(["n-1"]), Nonce),
        ("nonce", Value::Null, Nonce),
        // The hash of another token, the whole hash, another hash, and padding.
        ("at_hash", json!("AAAAAAAAAAAAAAAAAAAAAA"), AccessTokenHash),
        ("at_hash", json!(SHA512_HALF), AccessTokenHash),
        ("at_hash", json!(format!("{SHA256_HALF}==")), AccessTokenHash),
        ("at_hash", json!(""), AccessTokenHash),
        ("at_hash", Value::Null, AccessTokenHash),
        ("exp", json!(NOW - 30), Token(Expired)),
        ("exp", json!("soon"), Token(ExpiresAt)),
        ("exp", Value::Null, Token(ExpiresAt)),
        ("iat", json!(NOW + 31), Token(IssuedInFuture)),
        ("iat", json!("now"), Token(IssuedAt)),
        ("iat", Value::Null, Token(IssuedAt)),
        ("nbf", json!(NOW + 31), Token(NotYetValid)),
        ("nbf", json!("now"), Token(NotBefore)),
        ("tid", json!("t-2"), Token(Required)),
        ("sub", json!(""), Token(Subject)),
        ("sub", json!("system"), Token(Subject)),
        ("sub", json!(7), Token(Subject)),
        ("sub", Value::Null, Token(Subject)),
        ("jti", json!(""), Token(TokenId)),
        ("sid", json!(7), Token(Session)),
    ]
}

#[test]
fn a_token_that_meets_every_rule_is_accepted() {
    let idp = Idp::new();
    let claims = idp.read(&payload()).unwrap();
    assert_eq!((claims.sub.as_str(), &*claims.audience), ("ada", CLIENT));
    for changes in [
        vec![("aud", json!([CLIENT]))],
        vec![("aud", json!([CLIENT, CLIENT]))],
        vec![("azp", json!(CLIENT))],
        vec![("aud", json!(["api", CLIENT])), ("azp", json!(CLIENT))],
        // Within the leeway of the provider, 30 s.
        vec![("exp", json!(NOW - 29))],
        vec![("iat", json!(NOW + 30)), ("nbf", json!(NOW + 30))],
        // What only an access token must not have.
        vec![("typ", json!("ID")), ("c_hash", json!("x"))],
    ] {
        assert!(idp.read(&with(&changes)).is_ok(), "{changes:?}");
    }
    let mut without = payload();
    without.as_object_mut().unwrap().remove("at_hash");
    assert!(idp.read(&without).is_ok());
}

#[test]
fn each_broken_rule_is_named_and_no_two_of_them_cancel_out() {
    let idp = Idp::new();
    let all = broken_claims();
    for (name, value, reason) in &all {
        let told = idp.read(&with(&[(name, value.clone())])).unwrap_err();
        assert_eq!(told, *reason, "{name} {value}");
        for (other, with_value, other_reason) in &all {
            if name == other {
                continue;
            }
            let changes = [(*name, value.clone()), (*other, with_value.clone())];
            let told = idp.read(&with(&changes)).unwrap_err();
            assert!(told == *reason || told == *other_reason, "{changes:?}: {told}");
        }
    }
    for (name, reason) in [
        ("iss", Invalid::Issuer.into()),
        ("aud", Invalid::Audience.into()),
        ("nonce", InvalidIdToken::Nonce),
        ("exp", Invalid::ExpiresAt.into()),
        ("iat", Invalid::IssuedAt.into()),
        ("tid", Invalid::Required.into()),
        ("sub", Invalid::Subject.into()),
    ] {
        let mut payload = payload();
        payload.as_object_mut().unwrap().remove(name);
        assert_eq!(idp.read(&payload).unwrap_err(), reason, "{name}");
    }
}

#[test]
fn a_key_verifies_its_own_algorithm_only() {
    let idp = Idp::new();
    let told = |key: &SigningKey, header: &str, payload: &Value| {
        idp.check(&sign(key, header, &payload.to_string())).map(|_| ())
    };
    let token = |reason| Err(InvalidIdToken::Token(reason));
    let plain = payload();
    for (key, header, expected) in [
        (&idp.rs, r#"{"alg":"RS256","kid":"rs"}"#, Ok(())),
        // Without a `kid`: the only key of the algorithm.
        (&idp.es, r#"{"alg":"ES256"}"#, Ok(())),
        (&idp.es, r#"{"alg":"ES256","kid":"rs"}"#, token(Invalid::Algorithm)),
        (&idp.rs, r#"{"alg":"RS384","kid":"rs"}"#, token(Invalid::Algorithm)),
        (&idp.rs, r#"{"alg":"PS256","kid":"rs"}"#, token(Invalid::Algorithm)),
        (&idp.rs, r#"{"alg":"RS512"}"#, token(Invalid::Algorithm)),
        (&idp.es, r#"{"alg":"RS256","kid":"rs"}"#, token(Invalid::Signature)),
        (
            &signing_key(Algorithm::Es256),
            r#"{"alg":"ES256","kid":"es"}"#,
            token(Invalid::Signature),
        ),
        (&idp.es, r#"{"alg":"ES256","kid":"new"}"#, token(Invalid::UnknownKey)),
        (&idp.es, r#"{"alg":"none","kid":"es"}"#, token(Invalid::Algorithm)),
        (&idp.es, r#"{"alg":"None","kid":"es"}"#, token(Invalid::Algorithm)),
        (&idp.es, r#"{"alg":"HS256","kid":"es"}"#, token(Invalid::Algorithm)),
        (&idp.es, r#"{"alg":"HS256","kid":"new"}"#, token(Invalid::Algorithm)),
        (&idp.es, r#"{"alg":"HS512","kid":"es"}"#, token(Invalid::Algorithm)),
        (&idp.es, r#"{"kid":"es"}"#, token(Invalid::Algorithm)),
        (&idp.es, r#"{"alg":"ES256","kid":"es","typ":"at+jwt"}"#, token(Invalid::Type)),
        (&idp.es, r#"{"alg":"ES256","kid":"es","typ":"logout+jwt"}"#, token(Invalid::Type)),
        (
            &idp.es,
            r#"{"alg":"ES256","kid":"es","jku":"https://a.test"}"#,
            token(Invalid::Parameter),
        ),
        (&idp.es, r#"{"alg":"ES256","kid":"es","alg":"ES256"}"#, token(Invalid::Duplicate)),
    ] {
        assert_eq!(told(key, header, &plain), expected, "{header}");
    }
}

#[test]
fn what_is_public_is_no_secret() {
    let idp = Idp::new();
    let verifying = idp.rs.verifying_key();
    let jwk = verifying.jwk().unwrap().to_json("rs", SignatureAlgorithm::Rs256);
    let modulus = URL_SAFE_NO_PAD.decode(jwk["n"].as_str().unwrap()).unwrap();
    for secret in [jwk.to_string().into_bytes(), modulus, Vec::new(), b"none".to_vec()] {
        for header in [r#"{"alg":"HS256","kid":"rs"}"#, r#"{"alg":"HS256"}"#] {
            let told = idp.check(&sign_hmac(&secret, header, &payload().to_string()));
            assert_eq!(told.unwrap_err(), Invalid::Algorithm.into(), "{header}");
        }
        // And no signature of RSA.
        let forged = sign_hmac(&secret, r#"{"alg":"RS256","kid":"rs"}"#, &payload().to_string());
        assert_eq!(idp.check(&forged).unwrap_err(), Invalid::Signature.into());
    }
}

#[test]
fn only_a_whole_signed_token_of_a_bounded_size_is_read() {
    let idp = Idp::new();
    let header = r#"{"alg":"ES256","kid":"es"}"#;
    let good = sign(&idp.es, header, &payload().to_string());
    assert!(idp.check(&good).is_ok());
    let (message, _) = good.rsplit_once('.').unwrap();
    let unsigned = {
        let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#);
        format!("{header}.{}.", message.split_once('.').unwrap().1)
    };
    let long = with(&[("x", json!("x".repeat(16 * 1024)))]).to_string();
    let twice = payload().to_string().replacen('{', r#"{"sub":"eve","#, 1);
    let escaped = payload().to_string().replacen('{', r#"{"\u0073ub":"eve","#, 1);
    for (token, reason) in [
        (String::new(), Invalid::Segments),
        (format!("{message}."), Invalid::Segments),
        (unsigned, Invalid::Segments),
        (format!("{good}."), Invalid::Segments),
        (format!("{good}.a.b"), Invalid::Segments),
        (format!("{good}="), Invalid::Segments),
        (format!(" {good}"), Invalid::Segments),
        (format!("{message}.AAAA"), Invalid::Signature),
        (sign(&idp.es, header, &long), Invalid::TooLong),
        (sign(&idp.es, header, &twice), Invalid::Duplicate),
        (sign(&idp.es, header, &escaped), Invalid::Duplicate),
        (sign(&idp.es, header, "[]"), Invalid::Payload),
        (sign(&idp.es, header, ""), Invalid::Segments),
    ] {
        assert_eq!(idp.check(&token).unwrap_err(), reason.into(), "{token:.80}");
    }
}

#[test]
fn the_hash_of_the_access_token_is_that_of_the_signature() {
    let idp = Idp::new();
    let halves = [SHA256_HALF, SHA384_HALF, SHA512_HALF];
    for (key, algorithm, header, fits) in [
        (&idp.es, Jose::ES256, r#"{"alg":"ES256","kid":"es"}"#, SHA256_HALF),
        (&idp.rs, Jose::RS256, r#"{"alg":"RS256","kid":"rs"}"#, SHA256_HALF),
        (&idp.rs, Jose::RS384, r#"{"alg":"RS384","kid":"rs384"}"#, SHA384_HALF),
        (&idp.ed, Jose::EdDSA, r#"{"alg":"EdDSA","kid":"ed"}"#, SHA512_HALF),
    ] {
        for half in halves {
            let payload = with(&[("at_hash", json!(half))]).to_string();
            let message =
                format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
            let signature =
                jsonwebtoken::crypto::sign(message.as_bytes(), &key.encoding, algorithm).unwrap();
            let told = idp.check(&format!("{message}.{signature}")).map(|_| ());
            let expected = if half == fits { Ok(()) } else { Err(InvalidIdToken::AccessTokenHash) };
            assert_eq!(told, expected, "{header} {half}");
        }
    }
    for algorithm in SignatureAlgorithm::ALL {
        let bits = hash_of(algorithm).map(|hash| (hash.output_len() * 8).to_string());
        let name = algorithm.as_str();
        match (algorithm, bits) {
            (SignatureAlgorithm::Hs256, bits) => assert_eq!(bits, None),
            (SignatureAlgorithm::EdDsa, bits) => assert_eq!(bits.as_deref(), Some("512")),
            (_, bits) => assert!(name.ends_with(&bits.unwrap()), "{name}"),
        }
    }
}

#[test]
fn every_reason_has_a_name_of_its_own() {
    use InvalidIdToken::{AccessTokenHash, AuthorizedParty, Nonce};
    let own = [AuthorizedParty, Nonce, AccessTokenHash].map(InvalidIdToken::as_str);
    let mut names: Vec<_> = Invalid::ALL.iter().map(|reason| reason.as_str()).chain(own).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), Invalid::ALL.len() + own.len());
    assert_eq!(InvalidIdToken::from(Invalid::Expired).to_string(), "expired");
}
