use std::time::Duration;

use serde_json::json;

use super::super::sample::{NOW, expectations, now, secret, sign, signing_key};
use super::super::{Algorithm, SigningKey};
use super::*;
use crate::revocation_key::{MarkKind, RevocationKey};

const ISSUER: &str = "https://idp.test";

fn expected() -> ProviderExpectations {
    ProviderExpectations {
        token: expectations(),
        token_type: None,
        required: Vec::new(),
        link_from: vec![ClaimPath::new("sub")],
        subject_from: ClaimPath::new("sub"),
        roles_from: ["app_roles", "roles", "groups"].map(ClaimPath::new).into(),
        role_map: HashMap::new(),
        keep_unmapped: true,
    }
}

fn payload() -> Value {
    json!({"iss": ISSUER, "aud": "api", "sub": "ada", "iat": NOW, "exp": NOW + 600})
}

/// A provider with one key that it publishes.
struct Idp {
    key: SigningKey,
    set: KeySet,
}

impl Idp {
    fn new() -> Self {
        let key = signing_key(Algorithm::Es256);
        let verifying = key.verifying_key();
        let jwk = verifying.jwk().unwrap().to_json("idp", verifying.algorithm());
        let set = KeySet::parse(json!({ "keys": [jwk] }).to_string().as_bytes()).unwrap();
        Self { key, set }
    }

    fn token(&self, payload: &Value) -> String {
        let header = r#"{"alg":"ES256","kid":"idp","typ":"JWT"}"#;
        sign(&self.key, header, &payload.to_string())
    }

    fn read(
        &self,
        payload: &Value,
        expected: &ProviderExpectations,
    ) -> Result<ProviderClaims, Invalid> {
        let keys = ProviderKeys { published: &self.set, secret: None };
        keys.verify(&self.token(payload), expected, now())
    }
}

fn with(name: &str, value: Value) -> Value {
    let mut payload = payload();
    payload[name] = value;
    payload
}

#[test]
fn a_token_needs_no_session_and_no_id_of_its_own() {
    let idp = Idp::new();
    let claims = idp.read(&payload(), &expected()).unwrap();
    assert_eq!(claims.subject.as_str(), "ada");
    assert_eq!((claims.token_id, claims.session, claims.second_factor), (None, None, false));
    assert_eq!(claims.not_before, claims.issued_at);
    assert!(claims.roles.is_empty());
    let mut full = with("jti", "t".into());
    full["sid"] = "s".into();
    full["amr"] = json!(["pwd", "mfa"]);
    let claims = idp.read(&full, &expected()).unwrap();
    assert_eq!((claims.token_id.as_deref(), claims.session.as_deref()), (Some("t"), Some("s")));
    assert!(claims.second_factor);
    let supabase = [("session_id", json!("s")), ("aal", json!("aal2")), ("uti", json!("u"))];
    let mut payload = payload();
    for (name, value) in supabase {
        payload[name] = value;
    }
    let claims = idp.read(&payload, &expected()).unwrap();
    assert_eq!((claims.token_id.as_deref(), claims.session.as_deref()), (Some("u"), Some("s")));
    assert!(claims.second_factor);
}

#[test]
fn what_is_not_exactly_expected_is_refused() {
    let idp = Idp::new();
    for (name, value, reason) in [
        ("iss", json!("https://idp.test/"), Invalid::Issuer),
        ("iss", json!([ISSUER]), Invalid::Issuer),
        ("aud", json!("other"), Invalid::Audience),
        ("aud", json!(["other", 1]), Invalid::Audience),
        ("exp", json!(NOW - 600), Invalid::Expired),
        ("exp", Value::Null, Invalid::ExpiresAt),
        ("iat", json!("now"), Invalid::IssuedAt),
        ("nbf", json!(NOW + 600), Invalid::NotYetValid),
        ("sub", json!(7), Invalid::Subject),
        ("sub", json!("a\r\nb"), Invalid::Subject),
        ("sub", json!("system"), Invalid::Subject),
        ("sub", json!("apikey:jobs"), Invalid::Subject),
        ("jti", json!(""), Invalid::TokenId),
        ("jti", json!("j".repeat(129)), Invalid::TokenId),
        ("sid", json!("s".repeat(256)), Invalid::Session),
        ("sid", json!(7), Invalid::Session),
        ("roles", json!({"a": 1}), Invalid::Roles),
        ("roles", json!(["a", 1]), Invalid::Roles),
        ("scope", json!("a \u{1}"), Invalid::Scopes),
        ("scp", json!(["a b"]), Invalid::Scopes),
        ("scp", json!([1]), Invalid::Scopes),
        ("at_hash", json!("x"), Invalid::Purpose),
        ("events", json!({}), Invalid::Purpose),
        ("cnf", json!({}), Invalid::Purpose),
        ("nonce", json!("n"), Invalid::Purpose),
        ("typ", json!("ID"), Invalid::Purpose),
        ("typ", json!("Refresh"), Invalid::Purpose),
        ("typ", json!("Offline"), Invalid::Purpose),
        ("typ", json!("Logout"), Invalid::Purpose),
    ] {
        let told = idp.read(&with(name, value.clone()), &expected()).unwrap_err();
        assert_eq!(told, reason, "{name} {value}");
    }
    let many: Vec<_> = (0..300).map(|at| format!("role-{at}")).collect();
    let told = idp.read(&with("roles", json!(many)), &expected()).unwrap_err();
    assert_eq!(told, Invalid::Roles);
}

#[test]
fn a_token_may_say_that_it_is_an_access_token() {
    let idp = Idp::new();
    for said in [json!("Bearer"), json!("JWT"), json!(["ID"]), Value::Null] {
        assert!(idp.read(&with("typ", said.clone()), &expected()).is_ok(), "{said}");
    }
    let mut both = with("typ", "Bearer".into());
    both["nonce"] = "n".into();
    assert!(idp.read(&both, &expected()).is_ok(), "an access token of an older Keycloak");
}

#[test]
fn who_a_person_is_for_ever_the_first_claim_says_that_is_there() {
    let idp = Idp::new();
    let link_from = ["uid", "ids.own", "sub"].map(ClaimPath::new).into();
    let all = ProviderExpectations { link_from, ..expected() };
    let link_from = vec![ClaimPath::new("uid")];
    let one = ProviderExpectations { link_from, ..expected() };
    for (name, value, subject) in [
        ("uid", json!("00u1"), "00u1"),
        ("ids", json!({"own": "00u2"}), "00u2"),
        ("uid", json!(""), "ada"),
        ("uid", json!(7), "ada"),
        ("uid", Value::Null, "ada"),
        ("other", json!("00u1"), "ada"),
    ] {
        let payload = with(name, value.clone());
        let claims = idp.read(&payload, &all).unwrap();
        assert_eq!(claims.provider_subject.as_str(), subject, "{name} {value}");
        assert_eq!((claims.sub.as_str(), claims.subject.as_str()), ("ada", "ada"));
        let told = idp.read(&payload, &one).map(|claims| claims.provider_subject.as_str().len());
        assert_eq!(told, if subject == "00u1" { Ok(4) } else { Err(Invalid::Subject) });
    }
    // What is there and can be no subject is not passed over for another.
    for value in ["system", "apikey:jobs", "a\r\nb", " ada"] {
        let told = idp.read(&with("uid", value.into()), &all).unwrap_err();
        assert_eq!(told, Invalid::Subject, "{value:?}");
    }
    // It is revoked by each of its names, and all of it by the one that lasts.
    let claims = idp.read(&with("uid", "00u1".into()), &all).unwrap();
    let marks = claims.marks(ISSUER);
    for value in ["00u1", "ada"] {
        let mark = RevocationKey::of(ISSUER, MarkKind::Subject, value);
        assert!(marks.iter().any(|own| *own == mark), "{value}");
    }
    let lasting = RevocationKey::of(ISSUER, MarkKind::Subject, "00u1");
    assert_eq!(marks.ending_all(now()).unwrap().mark, lasting);
}

#[test]
fn roles_are_taken_from_the_first_claim_that_is_there_and_mapped() {
    let idp = Idp::new();
    let role = |name: &str| Role::parse(name).unwrap();
    let mut expected = expected();
    expected.role_map = HashMap::from([("id-1".into(), role("Metrics.Admin"))]);
    let roles = |payload: &Value, expected: &ProviderExpectations| {
        let claims = idp.read(payload, expected).unwrap();
        claims.roles.header().to_str().unwrap().to_owned()
    };
    let mut both = with("groups", json!(["c"]));
    both["roles"] = json!(["b", "id-1", "b", "Domain Users", "Guarita.Admin", "", "a,b"]);
    assert_eq!(roles(&both, &expected), "Metrics.Admin,b");
    assert_eq!(roles(&with("groups", json!("c")), &expected), "c");
    both["app_roles"] = json!([]);
    assert_eq!(roles(&both, &expected), "");
    expected.keep_unmapped = false;
    assert_eq!(roles(&with("roles", json!(["b", "id-1"])), &expected), "Metrics.Admin");
    // Whoever is to administer the gateway is named by the operator.
    expected.role_map = HashMap::from([("Guarita.Admin".into(), role("Guarita.Admin"))]);
    assert_eq!(roles(&with("roles", json!(["Guarita.Admin"])), &expected), "Guarita.Admin");
}

#[test]
fn claims_are_found_deep_down_and_under_names_with_dots() {
    let idp = Idp::new();
    let mut expected = expected();
    expected.roles_from = ["realm_access.roles", "https://a.test/roles"].map(ClaimPath::new).into();
    expected.subject_from = ClaimPath::new("preferred_username");
    let mut payload = with("preferred_username", "ada@a.test".into());
    payload["https://a.test/roles"] = json!(["y"]);
    let read = |payload: &Value| idp.read(payload, &expected).unwrap();
    assert_eq!(read(&payload).roles.header(), "y");
    assert_eq!(read(&payload).subject.as_str(), "ada@a.test");
    payload["realm_access"] = json!({"roles": ["x"]});
    assert_eq!(read(&payload).roles.header(), "x");
    payload["realm_access"] = json!("x");
    assert_eq!(read(&payload).roles.header(), "y");
}

#[test]
fn scopes_are_one_text_or_a_list() {
    let idp = Idp::new();
    for (name, value) in [
        ("scope", json!("read  write")),
        ("scp", json!("write read")),
        ("scp", json!(["read", "write", "read"])),
    ] {
        let claims = idp.read(&with(name, value), &expected()).unwrap();
        assert_eq!(claims.scopes, Scopes::parse(["read", "write"]).unwrap(), "{name}");
    }
    assert!(idp.read(&payload(), &expected()).unwrap().scopes.is_empty());
}

#[test]
fn demanded_claims_must_be_there() {
    let idp = Idp::new();
    let mut expected = expected();
    expected.required = vec![(ClaimPath::new("tid"), "t-1".into())];
    assert_eq!(idp.read(&payload(), &expected).unwrap_err(), Invalid::Required);
    for (value, fits) in [
        (json!("t-1"), true),
        (json!(["t-0", "t-1"]), true),
        (json!("t-2"), false),
        (json!(["t-2"]), false),
        (json!({"t-1": 1}), false),
        (Value::Null, false),
    ] {
        assert_eq!(idp.read(&with("tid", value.clone()), &expected).is_ok(), fits, "{value}");
    }
    expected.required =
        vec![(ClaimPath::new("n"), "1".into()), (ClaimPath::new("b"), "true".into())];
    let mut payload = with("n", 1.into());
    payload["b"] = true.into();
    assert!(idp.read(&payload, &expected).is_ok());
}

#[test]
fn the_type_of_tokens_can_be_demanded() {
    let idp = Idp::new();
    let keys = ProviderKeys { published: &idp.set, secret: None };
    for (typ, kind) in [
        (r#","typ":"at+jwt""#, TokenType::AccessToken),
        (r#","typ":"JWT""#, TokenType::Jwt),
        ("", TokenType::Jwt),
    ] {
        let header = format!(r#"{{"alg":"ES256","kid":"idp"{typ}}}"#);
        let token = sign(&idp.key, &header, &payload().to_string());
        for demanded in [TokenType::AccessToken, TokenType::Jwt] {
            let expected = ProviderExpectations { token_type: Some(demanded), ..expected() };
            let told = keys.verify(&token, &expected, now());
            assert_eq!(told.is_ok(), demanded == kind, "{typ} {demanded:?}");
        }
        assert!(keys.verify(&token, &expected(), now()).is_ok());
    }
}

#[test]
fn a_shared_secret_verifies_hs256_and_nothing_else() {
    let text = secret("0123456789abcdef0123456789abcdef");
    let shared = SigningKey::parse(Algorithm::Hs256, &text).unwrap();
    let idp = Idp::new();
    let verifying = shared.verifying_key();
    let with = ProviderKeys { published: &idp.set, secret: Some(&verifying) };
    let without = ProviderKeys { secret: None, ..with };
    let of_secret =
        sign(&shared, r#"{"alg":"HS256","kid":"any","typ":"JWT"}"#, &payload().to_string());
    assert!(with.verify(&of_secret, &expected(), now()).is_ok());
    assert!(with.verify(&idp.token(&payload()), &expected(), now()).is_ok());
    assert_eq!(without.verify(&of_secret, &expected(), now()).unwrap_err(), Invalid::Algorithm);
    let other =
        SigningKey::parse(Algorithm::Hs256, &secret("another secret, of 32 characters")).unwrap();
    let forged = sign(&other, r#"{"alg":"HS256"}"#, &payload().to_string());
    assert_eq!(with.verify(&forged, &expected(), now()).unwrap_err(), Invalid::Signature);
}

#[test]
fn the_issuer_is_read_to_choose_who_verifies() {
    let idp = Idp::new();
    assert_eq!(unproven_issuer(&idp.token(&payload()), 1 << 14).as_deref(), Some(ISSUER));
    assert_eq!(unproven_issuer(&idp.token(&with("iss", 1.into())), 1 << 14), None);
    assert_eq!(unproven_issuer(&idp.token(&payload()), 100), None);
    assert_eq!(unproven_issuer("a.b.c", 100), None);
}

#[test]
fn leeway_is_that_of_the_provider() {
    let idp = Idp::new();
    let mut expected = expected();
    let late = with("exp", json!(NOW - 5));
    assert!(idp.read(&late, &expected).is_ok());
    expected.token.leeway = Duration::ZERO;
    assert_eq!(idp.read(&late, &expected).unwrap_err(), Invalid::Expired);
}
