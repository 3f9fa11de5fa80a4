//! Introspection: who may ask, and what is told.

use serde_json::json;

use super::Stage;
use crate::api_keys;
use crate::harness::database::seize;
use crate::harness::tokens::{Genuine, Rsa, Signer};
use crate::harness::{Request, until};
use crate::introspection::{INTROSPECT, SECRET, ask, by, encoded, form, inactive, with_clients};

async fn stage() -> Stage {
    Stage::with(with_clients).await
}

#[tokio::test]
async fn introspection_001_nobody_asks_without_being_a_client() {
    let stage = stage().await;
    let root = stage.gateway.bearer("root").await;
    let token = root.token.clone().unwrap();
    let answer = stage.gateway.anonymous().send(form(INTROSPECT, &[("token", &token)])).await;
    answer.assert_client_refused(401, "invalid_client", "invalid_client");
    assert!(!answer.text().contains("active"), "{}", answer.text());
}

#[tokio::test]
async fn introspection_002_a_user_is_no_client() {
    let stage = stage().await;
    let token = stage.gateway.bearer("root").await.token.unwrap();
    for name in ["alice", "root"] {
        let caller = stage.gateway.bearer(name).await;
        let answer = caller.send(form(INTROSPECT, &[("token", &token)])).await;
        answer.assert_client_refused(401, "invalid_client", "invalid_client");
    }
}

#[tokio::test]
async fn introspection_003_a_token_never_stands_in_the_target() {
    let stage = stage().await;
    let token = stage.gateway.bearer("root").await.token.unwrap();
    let target = format!("{INTROSPECT}?token={token}");
    let answer = stage.gateway.anonymous().send(by(Request::get(&target), "portal", SECRET)).await;
    answer.assert_problem(405, "method_not_allowed");
    let posted = by(form(&target, &[]), "portal", SECRET);
    stage.gateway.anonymous().send(posted).await.assert_client_refused(
        400,
        "invalid_body",
        "invalid_request",
    );
}

#[tokio::test]
async fn introspection_004_of_what_does_not_count_nothing_is_told() {
    let stage = stage().await;
    let gateway = &stage.gateway;
    let root = gateway.bearer("root").await;
    let genuine = || Genuine::of(&root);
    let past = json!(1_000_000_000);
    let foreign = Rsa::another();
    for (what, token) in [
        ("expired", genuine().claim("exp", past.clone()).signed()),
        ("not yet", genuine().claim("nbf", json!(9_999_999_999_i64)).signed()),
        ("another issuer", genuine().claim("iss", json!("else")).signed()),
        ("no session", genuine().claim("sid", json!(null)).signed()),
        ("an unknown session", {
            let unknown = json!("0190a000-0000-7000-8000-000000000000");
            genuine().claim("sid", unknown).signed()
        }),
        ("another key", genuine().signed_by(&Signer::Rs256(&foreign))),
        ("malformed", "a.b.c".to_owned()),
        ("unknown", "x".to_owned()),
    ] {
        inactive(gateway, what, &token).await;
    }
    let revoked = gateway.bearer("alice").await;
    revoked.log_out().await;
    inactive(gateway, "revoked", &revoked.token.unwrap()).await;
}

/// Today all tokens are for one audience: one for another is nobody's.
#[tokio::test]
async fn introspection_005_a_token_for_another_audience_is_inactive() {
    let stage = stage().await;
    let root = stage.gateway.bearer("root").await;
    let token = Genuine::of(&root).claim("aud", json!("another")).signed();
    inactive(&stage.gateway, "another audience", &token).await;
}

#[tokio::test]
async fn introspection_006_large_and_many_are_refused() {
    let stage = stage().await;
    let large = "x".repeat(1024 * 1024);
    let answer = ask(&stage.gateway, &large).await;
    assert!(matches!(answer.status, 400 | 413), "{}", answer.status);
    for number in 0..100 {
        inactive(&stage.gateway, "random", &format!("{number}.x.y")).await;
    }
}

/// While nobody can ask the database, what is no token of ours is told so all the same.
#[tokio::test]
async fn introspection_006_the_database_is_not_asked_of_what_is_no_token() {
    let stage = stage().await;
    let root = stage.gateway.bearer("root").await;
    let genuine = Genuine::of(&root);
    let _seized = seize(&stage.gateway).await;
    let good = root.token.as_deref().unwrap();
    until("the gateway to notice", || async {
        (ask(&stage.gateway, good).await.status == 503).then_some(())
    })
    .await;
    for (what, token) in [
        ("a word", "x".to_owned()),
        ("dots", "..".to_owned()),
        ("three words", "a.b.c".to_owned()),
        ("shortened", good[..good.len() - 1].to_owned()),
        ("four parts", format!("{good}.x")),
        ("expired", genuine.clone().claim("exp", json!(1_000_000_000)).signed()),
        ("no session's id", genuine.clone().claim("sid", json!("x")).signed()),
        ("another key", genuine.signed_by(&Signer::Rs256(&Rsa::another()))),
        ("an id of a session", root.sid.clone().unwrap()),
        ("a refresh token", root.refresh_token.clone().unwrap()),
    ] {
        inactive(&stage.gateway, what, &token).await;
    }
    for number in 0..100 {
        inactive(&stage.gateway, "random", &format!("{number}.x.y")).await;
    }
    assert_eq!(ask(&stage.gateway, good).await.status, 503);
}

#[tokio::test]
async fn introspection_007_a_parameter_comes_once_and_in_a_form() {
    let stage = stage().await;
    let root = stage.gateway.bearer("root").await;
    let token = root.token.clone().unwrap();
    for text in [
        format!("token={token}&token={token}"),
        format!("token={token}&%74oken=x"),
        format!("token[]={token}"),
        "token=".to_owned(),
        String::new(),
    ] {
        let request = by(encoded(INTROSPECT, &text), "portal", SECRET);
        let answer = stage.gateway.anonymous().send(request).await;
        assert_eq!((answer.status, answer.code().as_str()), (400, "invalid_body"), "{text:?}");
    }
    let json =
        by(Request::post(INTROSPECT).json(&json!({ "token": root.token })), "portal", SECRET);
    stage.gateway.anonymous().send(json).await.assert_client_refused(
        400,
        "invalid_body",
        "invalid_request",
    );
}

#[tokio::test]
async fn introspection_008_other_secrets_are_nobody_s() {
    let stage = stage().await;
    let root = stage.gateway.bearer("root").await;
    for (what, token) in [
        ("a refresh token", root.refresh_token.unwrap()),
        ("an id of a session", root.sid.unwrap()),
        ("a secret of a client", SECRET.to_owned()),
        ("an API key", api_keys::create(&stage.gateway, "jobs", &[]).await),
    ] {
        inactive(&stage.gateway, what, &token).await;
    }
}
