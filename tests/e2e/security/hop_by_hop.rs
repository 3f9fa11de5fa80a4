//! A caller cannot have the gateway drop what the upstream relies on.

use super::Stage;
use crate::harness::frames::Outcome;
use crate::harness::{Answer, Request};

/// The request went through with everything the gateway writes, or was refused.
async fn intact(stage: &Stage, connection: &str) {
    let alice = stage.alice().await;
    stage.upstream.forget();
    let mut wire = alice.wire().await;
    let request = Request::get("/api/x").header("Connection", connection);
    let answer = wire.exchange(&alice.signed(request), crate::harness::HOST).await;
    assert!([200, 400].contains(&answer.status), "{connection}: {}", answer.status);
    if answer.status == 400 {
        return stage.assert_nothing_forwarded(connection);
    }
    let seen = stage.upstream.only();
    for (name, value) in [
        ("sub", "alice"),
        ("app_roles", "user"),
        ("x-auth-source", "bearer"),
        ("x-forwarded-for", "127.0.0.1"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "app.example.test"),
        ("host", "app.example.test"),
    ] {
        assert_eq!(seen.folded(name), [value], "{connection}: {}", seen.text());
    }
    assert!(seen.all("x-auth-sid").len() == 1 && seen.all("x-request-id").len() == 1);
}

#[tokio::test]
async fn hop_by_hop_001_identity_named_in_connection_survives() {
    let stage = Stage::new().await;
    intact(&stage, "close, sub, app_roles").await;
    intact(&stage, "sub, app_roles, x-auth-sid, x-auth-source, x-request-id").await;
}

#[tokio::test]
async fn hop_by_hop_002_in_any_case() {
    let stage = Stage::new().await;
    intact(&stage, "x-real-ip, X-FORWARDED-FOR, app_roles").await;
    intact(&stage, "SUB, App_Roles, app-roles, X_Auth_Sid").await;
}

#[tokio::test]
async fn hop_by_hop_003_forwarding_fields_named_in_connection_survive() {
    let stage = Stage::new().await;
    intact(&stage, "X-Forwarded-Host, X-Forwarded-Port, Forwarded, Via").await;
}

#[tokio::test]
async fn hop_by_hop_004_framing_host_and_credentials_are_not_named_away() {
    let stage = Stage::new().await;
    for name in ["host", "transfer-encoding", "cookie", "authorization", "cache-control"] {
        intact(&stage, name).await;
    }
    let alice = stage.alice().await;
    for framing in ["content-length", "transfer-encoding"] {
        stage.upstream.forget();
        let request = Request::post("/api/x").header("Connection", framing).body("hello");
        let mut wire = alice.wire().await;
        let answer = wire.exchange(&alice.signed(request), crate::harness::HOST).await;
        assert!([200, 400].contains(&answer.status), "{framing}: {}", answer.status);
        if answer.status == 200 {
            let seen = stage.upstream.only();
            assert!(seen.complete && seen.body == b"hello", "{framing}: {}", seen.text());
        }
    }
}

#[tokio::test]
async fn hop_by_hop_005_connection_fields_in_http2_are_refused() {
    let stage = Stage::new().await;
    let alice = stage.alice().await;
    for (name, value) in [
        ("connection", "sub"),
        ("proxy-connection", "keep-alive"),
        ("keep-alive", "timeout=5"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "h2c"),
    ] {
        let outcome = stage.ask_http2(&alice, "/api/x", &[(name, value)]).await;
        match outcome {
            Outcome::Status(status) => assert_eq!(status, 400, "{name}"),
            refused => assert!(refused.is_refusal(), "{name}: {refused:?}"),
        }
        stage.assert_nothing_forwarded(name);
    }
}

#[tokio::test]
async fn hop_by_hop_006_only_trailers_may_be_accepted_in_http2() {
    let stage = Stage::new().await;
    let outcome = stage.ask_http2(&stage.anonymous(), "/public/x", &[("te", "chunked")]).await;
    if outcome == Outcome::Status(200) {
        assert!(stage.upstream.only().all("te").is_empty());
    } else {
        assert!(outcome.is_refusal(), "{outcome:?}");
        stage.assert_nothing_forwarded("te: chunked");
    }
}

#[tokio::test]
async fn hop_by_hop_007_fields_meant_for_the_gateway_end_here() {
    let stage = Stage::new().await;
    let request = Request::get("/public/x")
        .header("Proxy-Authorization", "Basic AAA=")
        .header("Proxy-Connection", "keep-alive")
        .header("Keep-Alive", "timeout=999")
        .header("TE", "trailers, deflate")
        .header("Proxy", "http://evil.test");
    assert_eq!(stage.anonymous().send(request).await.status, 200);
    let seen = stage.upstream.only();
    for name in ["proxy-authorization", "proxy-connection", "keep-alive", "proxy"] {
        assert!(seen.folded(name).is_empty(), "{name}: {}", seen.text());
    }
    assert!(seen.all("te").iter().all(|value| value == "trailers"), "{}", seen.text());
}

#[tokio::test]
async fn hop_by_hop_008_an_upstream_cannot_name_the_gateway_s_fields_away() {
    let stage = Stage::new().await;
    stage.upstream.script(|_| {
        Answer::with_headers(&[
            ("connection", "set-cookie, x-frame-options, x-request-id, content-length"),
            ("keep-alive", "timeout=999"),
            ("proxy-authenticate", "Basic"),
            ("set-cookie", "a=b"),
        ])
    });
    let answer = stage.alice().await.get("/api/x").await;
    assert_eq!((answer.status, answer.text().as_str()), (200, "ok"));
    assert_eq!(answer.all("x-request-id").len(), 1);
    assert!(answer.header("keep-alive").is_none(), "{:?}", answer.headers);
}
