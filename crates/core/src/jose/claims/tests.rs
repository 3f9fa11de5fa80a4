use serde_json::json;

use super::super::sample::{NOW, SESSION, expectations, now, payload};
use super::super::{Invalid, object};
use super::*;

fn read_text(json: &str) -> Result<Claims, Invalid> {
    Claims::read(&object::parse(json.as_bytes(), Invalid::Payload)?, &expectations(), now())
}

/// The sample payload with one member set to the JSON text, or removed.
fn read_with(name: &str, value: Option<&str>) -> Result<Claims, Invalid> {
    let mut members = payload();
    members.as_object_mut().unwrap().remove(name);
    let mut text = members.to_string();
    if let Some(value) = value {
        text.truncate(text.len() - 1);
        text = format!("{text},\"{name}\":{value}}}");
    }
    read_text(&text)
}

#[test]
fn a_payload_says_what_its_claims_say() {
    let claims = read_text(&payload().to_string()).unwrap();
    assert_eq!(&*claims.issuer, "https://idp.test");
    assert_eq!(&*claims.audience, "api");
    assert_eq!(claims.subject.as_str(), "alice");
    assert_eq!(claims.user, Some(UserId::new(7)));
    assert_eq!(claims.session.to_string(), SESSION);
    assert_eq!(&*claims.token_id, "token-1");
    assert_eq!(claims.roles.header(), "user");
    assert_eq!(claims.expires_at.seconds(), NOW + 600);
}

#[test]
fn every_claim_that_decides_is_required() {
    // jwt-claims-001 (exp), 005 (aud), 007 (iss), 008 (sub)
    let required = [
        ("iss", Invalid::Issuer),
        ("aud", Invalid::Audience),
        ("exp", Invalid::ExpiresAt),
        ("iat", Invalid::IssuedAt),
        ("sub", Invalid::Subject),
        ("sid", Invalid::Session),
        ("jti", Invalid::TokenId),
    ];
    for (name, reason) in required {
        assert_eq!(read_with(name, None).unwrap_err(), reason, "{name}");
        for value in ["null", "true", "[]", "{}", "[\"x\"]", "{\"a\":1}", "\"\""] {
            assert_eq!(read_with(name, Some(value)).unwrap_err(), reason, "{name}: {value}");
        }
    }
}

#[test]
fn times_that_are_no_times_are_refused() {
    // jwt-claims-002, jwt-claims-003
    let odd = [
        "\"99999999999\"",
        "null",
        "true",
        "[1]",
        "{}",
        "-1",
        "\"\"",
        "18446744073709551616",
        "9223372036854775808",
        "9223372036854775807",
        "253402300800",
        "1e300",
        "-0.5",
        "-1e300",
    ];
    let claims =
        [("exp", Invalid::ExpiresAt), ("nbf", Invalid::NotBefore), ("iat", Invalid::IssuedAt)];
    for (name, reason) in claims {
        for value in odd {
            assert_eq!(read_with(name, Some(value)).unwrap_err(), reason, "{name}: {value}");
        }
        assert_eq!(read_with(name, Some("1e400")).unwrap_err(), Invalid::Payload);
        assert_eq!(read_with(name, Some("NaN")).unwrap_err(), Invalid::Payload);
    }
}

#[test]
fn a_fraction_of_a_second_is_cut_off() {
    let claims = read_with("exp", Some(&format!("{}.9", NOW + 5))).unwrap();
    assert_eq!(claims.expires_at.seconds(), NOW + 5);
}

#[test]
fn without_nbf_a_token_holds_from_its_issue() {
    let claims = read_with("nbf", None).unwrap();
    assert_eq!(claims.not_before.seconds(), NOW);
}

#[test]
fn leeway_has_edges() {
    // jwt-claims-004, leeway 30 s
    let at =
        |name: &str, offset: i64| read_with(name, Some(&(NOW + offset).to_string())).map(|_| ());
    assert_eq!(at("exp", -31), Err(Invalid::Expired));
    assert_eq!(at("exp", -30), Err(Invalid::Expired));
    assert_eq!(at("exp", -29), Ok(()));
    assert_eq!(at("nbf", 31), Err(Invalid::NotYetValid));
    assert_eq!(at("nbf", 29), Ok(()));
    assert_eq!(at("iat", 31), Err(Invalid::IssuedInFuture));
    assert_eq!(at("iat", 29), Ok(()));
}

#[test]
fn leeway_is_never_above_a_minute() {
    // jwt-claims-004
    let generous = Expectations { leeway: Duration::from_secs(3600), ..expectations() };
    let moment = |offset| Timestamp::from_seconds(NOW + offset);
    let start = moment(-600);
    assert_eq!(generous.check_times(start, start, moment(-60), now()), Err(Invalid::Expired));
    assert_eq!(generous.check_times(start, start, moment(-59), now()), Ok(()));
    assert_eq!(
        generous.check_times(start, moment(61), moment(99), now()),
        Err(Invalid::NotYetValid)
    );
}

#[test]
fn an_audience_is_matched_whole() {
    // jwt-claims-005
    for value in [
        "\"other\"",
        "[]",
        "[\"\"]",
        "\"ap\"",
        "\"API\"",
        "\"api \"",
        "{\"api\":1}",
        "[\"other\",\"x\"]",
        "null",
        "[\"api\",1]",
        "[[\"api\"]]",
    ] {
        assert_eq!(read_with("aud", Some(value)).unwrap_err(), Invalid::Audience, "{value}");
    }
    for value in ["\"api\"", "[\"api\"]", "[\"other\",\"api\"]"] {
        assert_eq!(&*read_with("aud", Some(value)).unwrap().audience, "api", "{value}");
    }
}

#[test]
fn without_an_expected_audience_nothing_is_believed() {
    // jwt-claims-006
    let members = object::parse(payload().to_string().as_bytes(), Invalid::Payload).unwrap();
    let none = Expectations { audiences: Vec::new(), ..expectations() };
    assert_eq!(Claims::read(&members, &none, now()).unwrap_err(), Invalid::Audience);
}

#[test]
fn an_issuer_is_matched_whole() {
    // jwt-claims-007
    for value in [
        "[\"https://idp.test\",\"https://evil.test\"]",
        "[\"https://idp.test\"]",
        "\"https://idp.test/\"",
        "\"https://IDP.test\"",
        "\"https://idp.test@evil.test\"",
        "\"\"",
    ] {
        assert_eq!(read_with("iss", Some(value)).unwrap_err(), Invalid::Issuer, "{value}");
    }
}

#[test]
fn a_subject_is_text_fit_for_a_header() {
    // jwt-claims-008
    let huge = format!("\"{}\"", "r".repeat(256));
    for value in [
        "\"\"",
        "123",
        "null",
        "[\"root\"]",
        &huge,
        "\"root\\u0000\"",
        "\" root\"",
        "\"root\\t\"",
        "\"root \"",
        "\"root\\u00a0\"",
        "\"a\\r\\nb: c\"",
    ] {
        assert_eq!(read_with("sub", Some(value)).unwrap_err(), Invalid::Subject, "{value}");
    }
    for lookalike in ["r\u{43e}\u{43e}t", "root\u{202e}"] {
        let claims = read_with("sub", Some(&format!("\"{lookalike}\""))).unwrap();
        assert_ne!(claims.subject.as_str(), "root");
    }
}

#[test]
fn roles_are_neither_split_nor_folded() {
    // jwt-claims-011
    let many: Vec<_> = (0..10_000).map(|at| format!("r{at}")).collect();
    let same = vec!["admin"; 257];
    for value in [
        json!("admin,user"),
        json!(["admin "]),
        json!([["admin"]]),
        json!({"admin": true}),
        json!(null),
        json!(1),
        json!(["user", 1]),
        json!([""]),
        json!(many),
        json!(same),
    ] {
        let read = read_with("app_roles", Some(&value.to_string()));
        assert_eq!(read.unwrap_err(), Invalid::Roles, "{value}");
    }
    let admin = crate::Role::parse("admin").unwrap();
    for value in [json!(["Admin"]), json!("superadmin"), json!(["\u{ff21}dmin"]), json!([])] {
        let read = read_with("app_roles", Some(&value.to_string()));
        assert!(read.is_ok_and(|claims| !claims.roles.contains(&admin)), "{value}");
    }
    assert!(read_with("app_roles", Some("\"admin\"")).unwrap().roles.contains(&admin));
}

#[test]
fn the_first_claim_of_roles_decides() {
    let read = |roles: Value| {
        let mut members = payload();
        let object = members.as_object_mut().unwrap();
        object.remove("app_roles");
        object.extend(roles.as_object().unwrap().clone());
        read_text(&members.to_string()).unwrap().roles.iter().collect::<Vec<_>>().join(",")
    };
    assert_eq!(read(json!({"app_roles": [], "roles": ["a"], "groups": ["b"]})), "");
    assert_eq!(read(json!({"roles": ["a"], "groups": ["b"]})), "a");
    assert_eq!(read(json!({"groups": ["c", "b"]})), "b,c");
    assert_eq!(read(json!({})), "");
}

#[test]
fn tokens_for_another_purpose_are_refused() {
    // jwt-claims-009, jwt-forgery-019
    for name in ["events", "at_hash", "c_hash", "s_hash"] {
        assert_eq!(read_with(name, Some("{}")).unwrap_err(), Invalid::Purpose, "{name}");
    }
}

#[test]
fn ids_are_bounded() {
    let longest = format!("\"{}\"", "j".repeat(MAX_TOKEN_ID_LENGTH));
    assert!(read_with("jti", Some(&longest)).is_ok());
    let longer = format!("\"{}\"", "j".repeat(MAX_TOKEN_ID_LENGTH + 1));
    for value in [longer.as_str(), "\"a\\nb\"", "1"] {
        assert_eq!(read_with("jti", Some(value)).unwrap_err(), Invalid::TokenId, "{value}");
    }
    for value in ["\"7\"", "null", "0", "-7", "7.5", "9223372036854775808", "[7]"] {
        assert_eq!(read_with("uid", Some(value)).unwrap_err(), Invalid::User, "{value}");
    }
    assert_eq!(read_with("uid", None).unwrap().user, None);
    let upper = format!("\"{}\"", SESSION.to_uppercase());
    for value in [upper.as_str(), "\"x\"", "1"] {
        assert_eq!(read_with("sid", Some(value)).unwrap_err(), Invalid::Session, "{value}");
    }
}
