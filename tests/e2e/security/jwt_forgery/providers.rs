//! Where others issue tokens too: each is believed by its own keys, and a login is finished by whoever began it.

use serde_json::json;

use super::genuine;
use crate::harness::Request;
use crate::harness::provider::{Key, Provider};
use crate::harness::tokens::{Rsa, Signer};
use crate::security::Stage;

#[tokio::test]
async fn jwt_forgery_018_a_colliding_key_id_does_not_help() {
    let stage = Stage::new().await;
    let token = genuine(&stage).await;
    let other = Rsa::another();
    // The very same key id, another key, either issuer.
    for issuer in ["ms-auth", "https://other.test"] {
        let forged = token.clone().claim("iss", json!(issuer));
        stage.refuses_token(issuer, &forged.signed_by(&Signer::Rs256(&other))).await;
    }
    stage
        .refuses_token("another issuer", &token.claim("iss", json!("https://other.test")).signed())
        .await;
}

/// Two issuers, and the gateway itself, each with a key of one name.
#[tokio::test]
async fn jwt_forgery_018_a_key_id_is_looked_up_with_its_issuer() {
    let stage = Stage::new().await;
    let ours = genuine(&stage).await;
    let kid = ours.header["kid"].as_str().unwrap();
    let keys = [Key::new("k"), Key::new("k"), Key::new(kid), Key::new(kid)];
    let one = Provider::start(&[&keys[0], &keys[2]]).await;
    let other = Provider::start(&[&keys[1], &keys[3]]).await;
    let tables = (one.table(""), other.table("").replace("\"idp\"", "\"other\""));
    let setup = stage.gateway.setup().table(&tables.0).table(&tables.1);
    let stage = Stage { gateway: setup.start().await, upstream: stage.upstream };
    let ours = genuine(&stage).await;
    for (provider, own, foreign) in [
        (&one, [&keys[0], &keys[2]], [&keys[1], &keys[3]]),
        (&other, [&keys[1], &keys[3]], [&keys[0], &keys[2]]),
    ] {
        for key in own {
            let token = key.sign(&provider.claims("ada"));
            assert_eq!(stage.anonymous().with_token(&token).get("/api/x").await.status, 200);
        }
        stage.upstream.forget();
        for key in foreign {
            stage.refuses_token("the other's key", &key.sign(&provider.claims("ada"))).await;
            stage.refuses_token("for us", &key.sign(&ours.claims)).await;
        }
        let mut by_us = ours.clone();
        by_us.claims = provider.claims("ada");
        stage.refuses_token("our key for a provider", &by_us.signed()).await;
    }
}

#[tokio::test]
async fn jwt_forgery_026_a_link_opens_nothing_by_itself() {
    let stage = Stage::new().await;
    let id = "01932c07-7f0c-7d5e-8a00-0123456789ab";
    // A page that asks, and uses nothing up.
    for path in ["/reset", "/verify-email"] {
        let answer = stage.anonymous().get(&format!("{path}?token={id}.AAAA")).await;
        assert_eq!(answer.status, 200);
        assert!(!answer.all("set-cookie").iter().any(|field| field.contains("session")));
    }
    for target in [
        format!("/api/x?ticket={id}"),
        "/api/x?signature=AAAA&expires=99999999999".to_owned(),
        "/auth/oidc/nobody/callback?code=a&state=b".to_owned(),
    ] {
        let status = stage.anonymous().get(&target).await.status;
        assert!((400..500).contains(&status), "{target}: {status}");
    }
    stage.assert_nothing_forwarded("a link");
}

/// The state of a login at a provider is bound to the browser that began it.
#[tokio::test]
async fn jwt_forgery_026_a_callback_counts_with_the_state_of_its_own_login_alone() {
    let key = Key::new("k");
    let provider = Provider::start(&[&key]).await;
    let login = "users = \"create\"\nclient_id = \"our-client\"\nclient_secret = \"the-secret-of-our-client\"";
    let stage = Stage::with(|setup| setup.table(&provider.table(login))).await;
    let begin = async || {
        let begun = stage.anonymous().get("/auth/oidc/idp/start").await;
        assert_eq!(begun.status, 303, "{}", begun.text());
        let (_, state) = begun.header("location").unwrap().split_once("state=").unwrap();
        let cookie = begun.header("set-cookie").unwrap().split(';').next().unwrap();
        (state.split('&').next().unwrap().to_owned(), cookie.to_owned())
    };
    let ((state, cookie), (other_state, other_cookie)) = (begin().await, begin().await);
    let altered = match state.strip_suffix('A') {
        Some(rest) => format!("{rest}B"),
        None => format!("{}A", &state[..state.len() - 1]),
    };
    let (shorter, renamed) = (&state[..state.len() - 1], cookie.to_uppercase());
    for (state, cookie) in [
        ("b", ""),
        ("b", cookie.as_str()),
        ("", cookie.as_str()),
        (state.as_str(), ""),
        (altered.as_str(), cookie.as_str()),
        (shorter, cookie.as_str()),
        (other_state.as_str(), cookie.as_str()),
        (state.as_str(), other_cookie.as_str()),
        (state.as_str(), renamed.as_str()),
    ] {
        let target = format!("/auth/oidc/idp/callback?code=a&state={state}");
        let request = Request::get(&target).header("cookie", cookie);
        let answer = stage.anonymous().send(request).await;
        assert_eq!(answer.status, 400, "{target} {cookie}: {}", answer.text());
        assert!(!answer.all("set-cookie").iter().any(|field| field.contains("session")));
    }
    let asked = || provider.server.requests().iter().any(|request| request.target() == "/token");
    assert!(!asked(), "the code of a callback without its state was exchanged");
    // With both it is, whatever comes of it.
    let target = format!("/auth/oidc/idp/callback?code=a&state={state}");
    let request = Request::get(&target).header("cookie", &cookie);
    assert_eq!(stage.anonymous().send(request).await.status, 401);
    assert!(asked());
    stage.assert_nothing_forwarded("a callback");
}
