//! Login, refresh, logout.

use serde_json::{Value, json};

use crate::harness::{Gateway, Setup, Tokens, Upstream};

async fn gateway() -> (Gateway, Upstream) {
    let upstream = Upstream::start().await;
    (Setup::standard(upstream.address).start().await, upstream)
}

#[tokio::test]
async fn a_login_opens_the_way_and_a_logout_closes_it_for_the_very_same_token() {
    let (gateway, _upstream) = gateway().await;
    assert_eq!(gateway.anonymous().status("/api/x").await, 401);
    let alice = gateway.bearer("alice").await;
    assert_eq!(alice.status("/api/x").await, 200);
    assert_eq!(alice.status("/admin/x").await, 403);
    assert_eq!(alice.status("/nothing").await, 404);
    let other = json!({ "refreshToken": 7 });
    assert_eq!(alice.post("/auth/logout", &other).await.status(), 400);
    let out = alice.request(reqwest::Method::POST, "/auth/logout").send().await.unwrap();
    assert_eq!(out.status(), 204);
    assert_eq!(alice.status("/api/x").await, 401);
    let again = alice.request(reqwest::Method::POST, "/auth/logout").send().await.unwrap();
    assert_eq!(again.status(), 204, "twice too");
}

#[tokio::test]
async fn a_login_answers_what_the_contract_says() {
    let (gateway, _upstream) = gateway().await;
    let body: Value = gateway
        .anonymous()
        .log_in("alice", "correct horse battery staple")
        .await
        .json()
        .await
        .unwrap();
    assert_eq!(body["tokenType"], "Bearer");
    assert_eq!(body["expiresIn"], 3600);
    for name in ["accessToken", "refreshToken", "sid"] {
        assert!(body[name].is_string(), "{name}");
    }
    for path in ["/auth/token", "/api/auth/token"] {
        let credentials =
            json!({ "username": "alice", "password": "correct horse battery staple" });
        let answer = gateway.anonymous().post(path, &credentials).await;
        assert_eq!(answer.headers()["cache-control"], "no-store");
        let body: Value = answer.json().await.unwrap();
        assert_eq!(body["token_type"], "Bearer");
        assert!(body["access_token"].is_string() && body.get("refresh_token").is_none());
    }
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_user_hear_the_same() {
    let (gateway, _upstream) = gateway().await;
    let anonymous = gateway.anonymous();
    for username in ["alice", "nobody"] {
        let answer = anonymous.log_in(username, "wrong").await;
        assert_eq!(answer.status(), 401);
        let body: Value = answer.json().await.unwrap();
        assert_eq!(body["code"], "invalid_credentials");
    }
}

#[tokio::test]
async fn five_failures_lock_the_account_also_for_the_right_password() {
    let (gateway, _upstream) = gateway().await;
    let anonymous = gateway.anonymous();
    for _ in 0..5 {
        assert_eq!(anonymous.log_in("alice", "wrong").await.status(), 401);
    }
    let locked = anonymous.log_in("alice", "correct horse battery staple").await;
    assert_eq!(locked.status(), 429);
    let wait: u64 = locked.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=300).contains(&wait), "{wait}");
    let body: Value = locked.json().await.unwrap();
    assert_eq!(body["code"], "locked");
}

#[tokio::test]
async fn a_refresh_rotates_and_a_repeated_one_gets_the_same_successor() {
    let (gateway, _upstream) = gateway().await;
    let mut alice = gateway.bearer("alice").await;
    let first = alice.tokens.clone().unwrap();
    let refresh = |token: String| {
        let anonymous = gateway.anonymous();
        async move { anonymous.post("/auth/refresh", &json!({ "refreshToken": token })).await }
    };
    let answer = refresh(first.refresh.clone()).await;
    assert_eq!(answer.status(), 200);
    let second = Tokens::read(&answer.json().await.unwrap());
    assert_ne!(first.refresh, second.refresh);
    assert_eq!(first.session, second.session);
    alice.tokens = Some(second.clone());
    assert_eq!(alice.status("/api/x").await, 200);

    let repeated = refresh(first.refresh).await;
    assert_eq!(repeated.status(), 200);
    let repeated = Tokens::read(&repeated.json().await.unwrap());
    assert_eq!(repeated.refresh, second.refresh);
    assert_eq!(alice.status("/api/x").await, 200);
}

#[tokio::test]
async fn logout_all_ends_every_session_of_the_user_and_of_nobody_else() {
    let (gateway, _upstream) = gateway().await;
    let (one, two) = (gateway.bearer("alice").await, gateway.bearer("alice").await);
    let root = gateway.bearer("root").await;
    let out = one.request(reqwest::Method::POST, "/auth/logout-all").send().await.unwrap();
    assert_eq!(out.status(), 204);
    assert_eq!(one.status("/api/x").await, 401);
    assert_eq!(two.status("/api/x").await, 401);
    assert_eq!(root.status("/api/x").await, 200);
}

#[tokio::test]
async fn bad_login_bodies_are_refused_in_our_words() {
    let (gateway, _upstream) = gateway().await;
    let anonymous = gateway.anonymous();
    let post = |kind: &'static str, body: Vec<u8>| {
        let request = anonymous.request(reqwest::Method::POST, "/auth/login");
        async move { request.header("content-type", kind).body(body).send().await.unwrap() }
    };
    for (status, code, kind, body) in [
        (400, "invalid_body", "application/json", b"{".to_vec()),
        (400, "invalid_body", "application/json", b"[]".to_vec()),
        (400, "invalid_body", "application/json", br#"{"username":"a"}"#.to_vec()),
        (415, "unsupported_media_type", "text/plain", b"{}".to_vec()),
        (413, "body_too_large", "application/json", vec![b' '; 20_000]),
        (413, "body_too_large", "application/json", vec![b' '; 200_000]),
    ] {
        let answer = post(kind, body).await;
        assert_eq!(answer.status(), status);
        assert_eq!(answer.headers()["content-type"], "application/problem+json");
        let id = answer.headers()["x-request-id"].to_str().unwrap().to_owned();
        let body: Value = answer.json().await.unwrap();
        assert_eq!(body["code"], code);
        assert_eq!(body["requestId"], id);
    }
    let other = anonymous.get("/auth/login").await;
    assert_eq!(other.status(), 405);
    assert!(other.headers()["allow"].to_str().unwrap().contains("POST"));
}

#[tokio::test]
async fn what_the_command_line_changes_holds_in_the_running_gateway_within_a_second() {
    let (gateway, upstream) = gateway().await;
    let alice = gateway.bearer("alice").await;
    let command = |arguments: &[&str]| {
        let output = gateway.command(arguments);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        std::time::Instant::now()
    };
    let changed = command(&["user", "grant", "--username", "alice", "--role", "admin"]);
    crate::harness::eventually("the new role", || async {
        (alice.status("/admin/x").await == 200).then_some(())
    })
    .await;
    assert!(changed.elapsed().as_millis() < 1000);
    upstream.take();
    assert_eq!(alice.status("/admin/x").await, 200);
    assert_eq!(upstream.one().header("app_roles"), Some("admin,user"));

    let changed = command(&["user", "disable", "--username", "alice"]);
    crate::harness::eventually("the end of alice's session", || async {
        (alice.status("/api/x").await == 401).then_some(())
    })
    .await;
    assert!(changed.elapsed().as_millis() < 1000);
}
