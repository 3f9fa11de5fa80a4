//! What reaches an upstream: identity from the permit, nothing from the caller.

use crate::harness::{Setup, Upstream};

#[tokio::test]
async fn identity_is_written_from_the_token_whatever_the_caller_says() {
    let upstream = Upstream::start().await;
    let gateway = Setup::standard(upstream.address).start().await;
    let root = gateway.bearer("root").await;
    let session = root.tokens.as_ref().unwrap().session.clone();
    let spoofed = root
        .request(reqwest::Method::GET, "/api/x?y=1")
        .header("SUB", "mallory")
        .header("app-roles", "king")
        .header("App_Roles", "king")
        .header("X_Auth_Uid", "1")
        .header("x-auth-sid", "none")
        .header("x-auth-source", "api_key")
        .header("remote-user", "mallory")
        .header("x-forwarded-for", "10.0.0.1")
        .header("x-request-id", "mine-1")
        .header("x-harmless", "stays");
    assert_eq!(spoofed.send().await.unwrap().status(), 200);
    let seen = upstream.one();
    assert_eq!(seen.line(), "GET /api/x?y=1");
    assert_eq!(seen.header("sub"), Some("root"));
    assert_eq!(seen.header("app_roles"), Some("admin"));
    assert_eq!(seen.header("x-auth-uid"), Some("2"));
    assert_eq!(seen.header("x-auth-sid"), Some(&*session));
    assert_eq!(seen.header("x-auth-source"), Some("bearer"));
    assert_eq!(seen.header("x-request-id"), Some("mine-1"));
    assert_eq!(seen.header("x-harmless"), Some("stays"));
    assert_eq!(seen.header("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(seen.header("host"), Some("app.example.test:8443"));
    for name in ["authorization", "remote-user", "forwarded"] {
        assert_eq!(seen.header(name), None, "{name}");
    }
}

#[tokio::test]
async fn a_public_route_carries_no_identity_of_the_callers_making() {
    let upstream = Upstream::start().await;
    let gateway = Setup::standard(upstream.address).start().await;
    let anonymous = gateway.anonymous();
    let request = anonymous
        .request(reqwest::Method::GET, "/public/x")
        .header("sub", "mallory")
        .header("app_roles", "king")
        .header("authorization", "Bearer rubbish");
    assert_eq!(request.send().await.unwrap().status(), 200);
    let seen = upstream.one();
    for name in ["sub", "app_roles", "x-auth-uid", "x-auth-sid", "x-auth-source", "authorization"] {
        assert_eq!(seen.header(name), None, "{name}");
    }
    let alice = gateway.bearer("alice").await;
    assert_eq!(alice.status("/public/x").await, 200);
    assert_eq!(upstream.one().header("sub"), Some("alice"));
}
