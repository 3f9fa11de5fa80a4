//! Cases of the class websocket: who may open one, what else may not become a tunnel, when it ends.

use serde_json::json;

use super::*;
use crate::harness::browser::SESSION;
use crate::harness::upstream::switch;
use crate::harness::{Answer, Browser, Socket};

/// A handshake as RFC 6455 section 4.1 has it.
fn handshake(target: &str) -> Request {
    Request::get(target)
        .header("connection", "Upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
}

async fn echoing(change: impl FnOnce(Setup) -> Setup) -> Stage {
    let stage = Stage::with(change).await;
    stage.upstream.script(|_| Answer::WebSocket);
    stage
}

/// Sends a request of that caller and reads the head of its answer; the connection stays open.
async fn ask(caller: &Persona, request: Request) -> (Wire, u16) {
    let mut wire = caller.wire().await;
    wire.send(caller.signed(request).bytes(HOST)).await;
    let status = wire.head().await.expect("no answer").status;
    (wire, status)
}

/// Cases websocket-001 and websocket-002: another site's page cannot open one under the cookie.
#[tokio::test]
async fn websocket_001_a_cookie_counts_from_our_own_pages_only() {
    let stage = echoing(|setup| setup).await;
    let browser = Browser::signed_in(&stage.gateway, "alice").await;
    for origin in
        ["https://evil.test", "https://app.example.test.evil.test", "http://app.example.test"]
    {
        let answer = browser.send(handshake("/api/ws").header("origin", origin)).await;
        answer.assert_problem(403, "csrf_failed");
    }
    stage.assert_nothing_forwarded("a foreign WebSocket");
    let cookie = format!("{SESSION}={}", browser.cookie(SESSION).unwrap());
    let own =
        handshake("/api/ws").header("cookie", &cookie).header("origin", "https://app.example.test");
    assert_eq!(ask(&stage.anonymous(), own).await.1, 101);
}

/// Case websocket-002: no origin is nobody's; who shows a bearer token needs none.
#[tokio::test]
async fn websocket_002_a_cookie_without_an_origin_does_not_count() {
    let stage = echoing(|setup| setup).await;
    let browser = Browser::signed_in(&stage.gateway, "alice").await;
    for request in [
        handshake("/api/ws"),
        handshake("/api/ws").header("origin", "null"),
        handshake("/api/ws").header("sec-fetch-site", "same-origin"),
        handshake("/api/ws").header("origin", "null").header("sec-fetch-site", "same-origin"),
    ] {
        browser.send(request).await.assert_problem(403, "csrf_failed");
    }
    stage.assert_nothing_forwarded("a WebSocket without an origin");
    assert_eq!(ask(&stage.alice().await, handshake("/api/ws")).await.1, 101);
}

/// Case websocket-003: a 101 that was not asked for opens nothing, and neither does one that does not
/// answer the handshake.
#[tokio::test]
async fn websocket_003_an_unsolicited_101_is_a_bad_answer() {
    let stage = Stage::patient().await;
    let alice = stage.alice().await;
    let hidden = "GET /admin/x HTTP/1.1\r\nHost: app.example.test\r\n\r\n";
    let plain = || Request::get("/public/x");
    for (what, request) in [
        ("no upgrade", plain()),
        ("another upgrade", plain().header("connection", "upgrade").header("upgrade", "foo")),
        ("a POST", Request::post("/public/x").body("x")),
    ] {
        stage.upstream.script(|request| Answer::Bytes(switch(request).into_bytes()));
        let (mut wire, status) = ask(&alice, request).await;
        assert_eq!(status, 502, "{what}");
        wire.send(hidden).await;
        let rest = wire.closed().await;
        assert!(!String::from_utf8_lossy(&rest).contains("HTTP/1.1 101"), "{what}");
    }
    for (what, head) in [
        ("no proof", "upgrade: websocket\r\nconnection: upgrade\r\n"),
        (
            "no protocol",
            "connection: upgrade\r\nsec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n",
        ),
        (
            "another protocol",
            "upgrade: h2c\r\nsec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n",
        ),
        (
            "another's proof",
            "upgrade: websocket\r\nsec-websocket-accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n",
        ),
    ] {
        let bytes = format!("HTTP/1.1 101 Switching Protocols\r\n{head}\r\n").into_bytes();
        stage.upstream.script(move |_| Answer::Bytes(bytes.clone()));
        assert_eq!(ask(&alice, handshake("/api/ws")).await.1, 502, "{what}");
    }
    let seen = stage.upstream.requests();
    assert!(seen.iter().all(|request| !request.target().contains("admin")), "{seen:#?}");
}

/// Case websocket-004: extended CONNECT (RFC 8441) is off.
#[tokio::test]
async fn websocket_004_http2_is_no_second_way_in() {
    let stage = echoing(|setup| setup).await;
    let root = stage.root().await;
    let credential = format!("Bearer {}", root.token.as_ref().unwrap());
    for more in
        [&[][..], &[("authorization", credential.as_str()), ("sec-websocket-version", "13")]]
    {
        let mut frames = Frames::connect(stage.gateway.https(), &stage.gateway.tls()).await;
        let fields = [
            (":method", "CONNECT"),
            (":protocol", "websocket"),
            (":scheme", "https"),
            (":path", "/admin/ws"),
            (":authority", HOST),
        ];
        frames.request(1, &[&fields, more].concat(), false).await;
        let outcome = frames.outcome(1).await;
        assert!(outcome.is_refusal() || outcome == Outcome::Status(501), "{outcome:?}");
    }
    stage.assert_nothing_forwarded("an extended CONNECT");
}

/// Case websocket-005: the handshake's header fields are stripped like any request's.
#[tokio::test]
async fn websocket_005_a_handshake_cannot_bring_an_identity() {
    let stage = echoing(|setup| setup).await;
    let request = handshake("/api/ws")
        .header("sub", "root")
        .header("app_roles", "admin")
        .header("app-roles", "admin")
        .header("x-auth-source", "api_key");
    let (_wire, status) = ask(&stage.alice().await, request).await;
    assert_eq!(status, 101);
    let request = stage.upstream.only();
    assert_eq!(request.folded("sub"), ["alice"]);
    assert_eq!(request.folded("app_roles"), ["user"]);
    assert_eq!(request.folded("x-auth-source"), ["bearer"]);
    assert_eq!(request.all("upgrade"), ["websocket"]);
    assert!(request.all("authorization").is_empty());
}

/// Case websocket-006: it ends with its session and with its token, and says so. The case names 1008;
/// 4401 tells a page that it must sign in again.
#[tokio::test]
async fn websocket_006_it_does_not_outlive_session_or_token() {
    let stage = echoing(|setup| setup.set("tokens.access_ttl", "\"3s\"")).await;
    for log_out in [true, false] {
        let alice = stage.alice().await;
        let token = alice.token.as_ref().unwrap();
        let mut socket = Socket::under(&stage.gateway, "/api/ws", token).await.unwrap();
        if log_out {
            assert_eq!(alice.log_out().await.status, 204);
        }
        assert_eq!(socket.closed().await, Some(4401));
    }
}

/// Case websocket-007: a token in the target is no credential.
#[tokio::test]
async fn websocket_007_a_token_in_the_query_never_counts() {
    let stage = echoing(|setup| setup).await;
    let alice = stage.alice().await;
    let token = alice.token.as_ref().unwrap();
    for name in ["access_token", "token", "ticket", "authorization", "bearer", "jwt"] {
        let target = format!("/api/ws?{name}={token}");
        for request in [handshake(&target), Request::get(&target)] {
            let answer = stage.anonymous().send(request).await;
            answer.assert_problem(401, "unauthorized");
        }
    }
    stage.assert_nothing_forwarded("a token in the query");
}

/// Case websocket-008: nobody keeps more than a share of them open, and none stays open unused.
#[tokio::test]
async fn websocket_008_they_are_bounded_in_number_and_in_silence() {
    let stage = echoing(|setup| {
        setup.set("limits.websockets_per_user", "3").set("limits.websocket_idle_timeout", "\"2s\"")
    })
    .await;
    let (alice, again) = (stage.alice().await, stage.alice().await);
    let tokens = [alice.token.as_ref().unwrap(), again.token.as_ref().unwrap()];
    let open = |token| Socket::under(&stage.gateway, "/api/ws", token);
    let mut open_ones = Vec::new();
    for place in 0..3 {
        open_ones.push(open(tokens[place % 2]).await.unwrap());
    }
    let answer = again.send(handshake("/api/ws")).await;
    answer.assert_problem(429, "rate_limited");
    let is = |line: &serde_json::Value| {
        line["event"] == "ws.connection.rejected" && line["reason"] == "rate_limited"
    };
    let rejected = stage.gateway.audited("the refusal", is).await;
    assert_eq!(rejected["sid"], json!(again.sid));
    assert_eq!(stage.root().await.get("/auth/sessions").await.status, 200);
    let root = stage.root().await;
    Socket::under(&stage.gateway, "/api/ws", root.token.as_ref().unwrap()).await.unwrap();
    for socket in &mut open_ones {
        assert_eq!(socket.closed().await, Some(1001));
    }
    open(tokens[0]).await.unwrap();
}

/// Case websocket-009: nothing but exactly `websocket` is an upgrade.
#[tokio::test]
async fn websocket_009_no_other_upgrade_is_forwarded() {
    let stage = Stage::new().await;
    let alice = stage.alice().await;
    let variants = [
        &["websocket, h2c"][..],
        &["h2c, websocket"],
        &["TLS/1.0"],
        &["foo"],
        &["h2c"],
        &["websocket/13"],
        &["websocket", "websocket"],
        &["websocket", "h2c"],
        &[""],
    ];
    for values in variants {
        let mut request = Request::get("/api/x").header("connection", "Upgrade, HTTP2-Settings");
        for value in values {
            request = request.header("upgrade", value);
        }
        let answer = alice.send(request.header("http2-settings", "AAMAAABkAAQAAP__")).await;
        assert!(matches!(answer.status, 200 | 400), "{values:?}: {}", answer.status);
        assert_eq!(answer.header("upgrade"), None, "{values:?}");
    }
    let post =
        Request::post("/api/x").header("connection", "upgrade").header("upgrade", "websocket");
    assert_eq!(alice.send(post.body("")).await.status, 200);
    for request in stage.upstream.requests() {
        assert!(request.all("upgrade").is_empty(), "{}", request.text());
        assert!(!request.text().to_ascii_lowercase().contains("connection: upgrade"));
        assert!(request.all("http2-settings").is_empty(), "{}", request.text());
    }
}
