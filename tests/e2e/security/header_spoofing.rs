//! Identity comes from the gateway alone.

mod credentials;

use http::HeaderMap;

use super::{Stage, raw_request};
use crate::harness::frames::Outcome;
use crate::harness::tokens::Genuine;
use crate::harness::wsgi::Wsgi;
use crate::harness::{Answer, HOST, Http2, Request, Setup, Upstream, cli};

#[tokio::test]
async fn header_spoofing_001_the_caller_s_value_is_replaced() {
    let stage = Stage::new().await;
    let alice = stage.alice().await;
    let request = Request::get("/api/x").header("sub", "root").header("app_roles", "admin");
    assert_eq!(alice.send(request).await.status, 200);
    let more = [("sub", "root"), ("app_roles", "admin")];
    assert_eq!(stage.ask_http2(&alice, "/api/x", &more).await, Outcome::Status(200));
    for seen in stage.upstream.requests() {
        assert_eq!(seen.folded("sub"), ["alice"]);
        assert_eq!(seen.folded("app_roles"), ["user"]);
    }
}

#[tokio::test]
async fn header_spoofing_002_underscores_do_not_hide_a_managed_name() {
    let wsgi = Wsgi::start().await;
    let gateway = Setup::standard(&wsgi.url()).start().await;
    let answer = gateway
        .anonymous()
        .send(
            Request::get("/public/x")
                .header("X_Forwarded_Proto", "gopher")
                .header("X_Forwarded_For", "6.6.6.6")
                .header("X_Forwarded_Host", "internal"),
        )
        .await;
    assert!([200, 400].contains(&answer.status));
    if answer.status == 200 {
        let seen = answer.json();
        assert_eq!(seen["HTTP_X_FORWARDED_PROTO"], "https");
        assert_eq!(seen["HTTP_X_FORWARDED_FOR"], "127.0.0.1");
        assert_eq!(seen["HTTP_X_FORWARDED_HOST"], HOST);
    }
}

#[tokio::test]
async fn header_spoofing_003_configured_names_are_stripped_in_any_case() {
    let stage = Stage::with(|setup| {
        setup
            .set("identity_headers.subject", "\"SUB\"")
            .set("identity_headers.user", "\"x-USER-id\"")
    })
    .await;
    let request = Request::get("/public/x").header("sub", "root").header("X-User-Id", "root");
    assert_eq!(stage.anonymous().send(request).await.status, 200);
    let seen = stage.upstream.only();
    assert!(
        seen.folded("sub").is_empty() && seen.folded("x-user-id").is_empty(),
        "{}",
        seen.text()
    );
}

#[tokio::test]
async fn header_spoofing_004_every_repeated_line_is_removed() {
    let stage = Stage::new().await;
    let alice = stage.alice().await;
    let request = Request::get("/api/x")
        .header("app_roles", "user")
        .header("app_roles", "admin")
        .header("App_Roles", "admin");
    assert_eq!(alice.send(request).await.status, 200);
    assert_eq!(stage.upstream.only().folded("app_roles"), ["user"]);
}

/// No policy looks at a caller's own fields; what several lines say is passed on as several lines.
#[tokio::test]
async fn header_spoofing_005_repeated_fields_are_never_joined() {
    let stage = Stage::new().await;
    let alice = stage.alice().await;
    let request = Request::get("/api/x").header("x-tenant", "ok").header("x-tenant", "blocked");
    let answer = alice.send(request).await;
    if answer.status == 200 {
        assert_eq!(stage.upstream.only().all("x-tenant"), ["ok", "blocked"]);
    } else {
        assert!([400, 403].contains(&answer.status));
        stage.assert_nothing_forwarded("two x-tenant lines");
    }
}

#[tokio::test]
async fn header_spoofing_006_no_identity_value_carries_a_line_break() {
    let stage = Stage::new().await;
    for (index, breaking) in ["\r\n", "\n", "\r", "\u{85}"].iter().enumerate() {
        let value = format!("bob{breaking}app_roles: admin");
        let create = |name: &str, role: &str| {
            ["user", "create", "--password-stdin", "--username", name, "--role", role]
                .map(str::to_owned)
        };
        for arguments in [create(&value, "user"), create(&format!("bob{index}"), &value)] {
            let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
            let outcome = stage.gateway.verb(&arguments, "a long enough password").await;
            assert_ne!(outcome.code, 0, "{arguments:?} was accepted");
        }
    }
    // Nor from a token that says so.
    let token = Genuine::of(&stage.alice().await);
    for breaking in ["\\r\\n", "\\n", "\\r", "\\u0085", "\\u0000"] {
        let subject = format!("\"bob{breaking}app_roles: admin\"");
        stage.refuses_token(breaking, &token.with_raw_claim("sub", &subject)).await;
        let roles = format!("[\"user{breaking}app_roles: admin\"]");
        stage.refuses_token(breaking, &token.with_raw_claim("app_roles", &roles)).await;
    }
}

#[tokio::test]
async fn header_spoofing_007_nobody_s_roles_are_nobody_s() {
    let stage = Stage::with(|setup| setup.user("norole", &[])).await;
    let norole = stage.gateway.bearer("norole").await;
    let answer = norole.send(Request::get("/api/x").header("app_roles", "admin")).await;
    assert_eq!(answer.status, 200);
    let roles = stage.upstream.only().folded("app_roles");
    assert!(roles.is_empty() || roles == [""], "{roles:?}");
}

#[tokio::test]
async fn header_spoofing_008_trailers_carry_no_identity() {
    let stage = Stage::new().await;
    let alice = stage.alice().await;
    let request = Request::post("/api/x")
        .header("transfer-encoding", "chunked")
        .header("trailer", "app_roles");
    let mut wire = alice.wire().await;
    wire.send(alice.signed(request).bytes(HOST)).await;
    wire.send("0\r\napp_roles: admin\r\nsub: root\r\n\r\n").await;
    assert!([200, 400].contains(&wire.response().await.status));

    let http2 = Http2::connect(stage.gateway.https(), &stage.gateway.tls()).await;
    let mut trailers = HeaderMap::new();
    trailers.insert("app_roles", "admin".parse().unwrap());
    trailers.insert("sub", "root".parse().unwrap());
    let request = alice.signed(Request::post("/api/x"));
    let answer = http2.send_with_trailers(&request, HOST, b"body", Some(trailers)).await;
    if let Ok((answer, _)) = answer {
        assert!([200, 400].contains(&answer.status), "{}", answer.status);
    }
    for seen in stage.upstream.requests() {
        assert!(seen.trailers.is_empty(), "{:?}", seen.trailers);
        assert_eq!(seen.folded("app_roles"), ["user"]);
        assert_eq!(seen.folded("sub"), ["alice"]);
    }
}

#[tokio::test]
async fn header_spoofing_009_no_header_names_the_path() {
    let stage = Stage::new().await;
    for name in [
        "X-Forwarded-Uri",
        "X-Original-URL",
        "X-Original-URI",
        "X-Rewrite-URL",
        "X-Forwarded-Path",
        "X-Envoy-Original-Path",
    ] {
        let answer =
            stage.anonymous().send(Request::get("/admin/x").header(name, "/public/x")).await;
        assert_eq!(answer.status, 401, "{name}");
    }
    stage.assert_nothing_forwarded("a request whose header named another path");
}

#[tokio::test]
async fn header_spoofing_010_no_header_names_prefix_or_method() {
    let stage = Stage::new().await;
    let request = Request::get("/admin/x")
        .header("X-Forwarded-Prefix", "/public")
        .header("X-Forwarded-Method", "OPTIONS")
        .header("X-Original-Method", "OPTIONS");
    assert_eq!(stage.anonymous().send(request).await.status, 401);
    stage.assert_nothing_forwarded("a request whose header named another method");
}

#[tokio::test]
async fn header_spoofing_011_a_stranger_s_forwarding_fields_are_not_believed() {
    let stage = Stage::new().await;
    let request = Request::get("/public/x")
        .header("X-Forwarded-Proto", "http")
        .header("X-Forwarded-Port", "1")
        .header("X-Forwarded-Host", "evil.test")
        .header("X-Forwarded-For", "6.6.6.6")
        .header("X-Real-IP", "6.6.6.6")
        .header("Forwarded", "for=1.2.3.4;host=evil.test;proto=http");
    assert_eq!(stage.anonymous().send(request).await.status, 200);
    let seen = stage.upstream.only();
    assert_eq!(seen.folded("x-forwarded-proto"), ["https"]);
    assert_eq!(seen.folded("x-forwarded-host"), [HOST]);
    assert_eq!(seen.folded("x-forwarded-for"), ["127.0.0.1"]);
    for gone in ["forwarded", "x-real-ip"] {
        assert!(seen.folded(gone).is_empty(), "{}", seen.text());
    }
    assert!(!seen.text().contains("evil.test"), "{}", seen.text());
    assert_ne!(seen.one("x-forwarded-port").as_deref(), Some("1"));
}

#[tokio::test]
async fn header_spoofing_012_the_client_is_the_last_hop_that_is_not_trusted() {
    let stage = Stage::with(|setup| setup.set("trusted_proxies", "[\"127.0.0.0/8\"]")).await;
    let forged = "6.6.6.6, 198.51.100.5";
    let request = Request::get("/public/x").header("X-Forwarded-For", forged);
    assert_eq!(stage.anonymous().send(request).await.status, 200);
    let seen = stage.upstream.only().one("x-forwarded-for").unwrap();
    // What nobody vouches for is not handed on.
    assert_eq!(seen, "198.51.100.5, 127.0.0.1");

    let body = serde_json::json!({ "username": "alice", "password": "wrong, but long enough" });
    let login = Request::post("/auth/login").header("X-Forwarded-For", forged).json(&body);
    assert_eq!(stage.anonymous().send(login).await.status, 401);
    let line = stage
        .gateway
        .audited("the failed login", |line| line["event"] == "auth.login.failed")
        .await;
    assert_eq!(line["address"], "198.51.100.5");
}

#[tokio::test]
async fn header_spoofing_013_white_space_around_a_name_is_refused() {
    let stage = Stage::new().await;
    for line in ["sub : root", " sub: root", "\tsub: root", "sub\u{b}: root", ":sub: root"] {
        let bytes = raw_request("GET /public/x HTTP/1.1", &format!("{line}\r\n"), "");
        stage.refuses_bytes(line, bytes, &[400]).await;
    }
}

#[tokio::test]
async fn header_spoofing_014_folded_lines_are_refused() {
    let stage = Stage::new().await;
    let bytes = raw_request("GET /public/x HTTP/1.1", "X-A: b\r\n sub: root\r\n", "");
    stage.refuses_bytes("a folded line", bytes, &[400]).await;
}

#[tokio::test]
async fn header_spoofing_015_an_upstream_says_nothing_in_the_gateway_s_name() {
    let stage = Stage::new().await;
    stage.upstream.script(|_| {
        Answer::with_headers(&[
            ("set-cookie", "__Host-guarita-session=attacker; Path=/; Secure"),
            ("set-cookie", "__HOST-Guarita-csrf = attacker; Path=/; Secure"),
            ("set-cookie", "of-the-upstream=1"),
            ("set-cookie", "__Host-guarita-session=; Path=/; Secure; Max-Age=0"),
            ("sub", "root"),
            ("app_roles", "admin"),
            ("x-auth-sid", "s"),
            ("x-request-id", "the-upstream-s"),
        ])
    });
    let alice = stage.alice().await;
    let answer = alice.get("/api/x").await;
    assert_eq!(answer.status, 200);
    for name in ["sub", "app_roles", "x-auth-sid"] {
        assert_eq!(answer.header(name), None, "{:?}", answer.headers);
    }
    let sent = stage.upstream.only().one("x-request-id");
    assert_eq!(answer.all("x-request-id"), [sent.unwrap()]);
    assert_eq!(answer.all("set-cookie"), ["of-the-upstream=1"]);
}

#[tokio::test]
async fn header_spoofing_016_a_preflight_is_scrubbed_like_any_request() {
    let stage = Stage::new().await;
    for path in ["/api/x", "/public/x"] {
        let request = Request::new("OPTIONS", path)
            .header("Origin", "https://app.example.test")
            .header("Access-Control-Request-Method", "GET")
            .header("sub", "root")
            .header("app_roles", "admin");
        let answer = stage.anonymous().send(request).await;
        assert!([200, 204, 401, 403].contains(&answer.status), "{path}: {}", answer.status);
    }
    for seen in stage.upstream.requests() {
        assert_eq!(seen.target(), "/public/x");
        assert!(seen.folded("sub").is_empty() && seen.folded("app_roles").is_empty());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn header_spoofing_021_nobody_is_taken_for_another_under_load() {
    ask_at_once(2_000).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "much of one thing: make faults"]
async fn header_spoofing_021_nobody_is_taken_for_another_in_ten_thousand_requests() {
    ask_at_once(10_000).await;
}

/// So many requests by fifty callers, who share eight connections.
async fn ask_at_once(requests: usize) {
    const USERS: usize = 50;
    const CONNECTIONS: usize = 8;
    const LANES: usize = 10;
    let names: Vec<_> = (0..USERS).map(|number| format!("user{number}")).collect();
    let stage =
        Stage::with(|setup| names.iter().fold(setup, |setup, name| setup.user(name, &["user"])))
            .await;
    let mut callers = Vec::new();
    for name in &names {
        callers.push((name.clone(), stage.gateway.bearer(name).await.token.unwrap()));
    }
    let mut tasks = tokio::task::JoinSet::new();
    for connection in 0..CONNECTIONS {
        let http2 = Http2::connect(stage.gateway.https(), &stage.gateway.tls()).await;
        for lane in 0..LANES {
            let (http2, callers) = (http2.clone(), callers.clone());
            tasks.spawn(async move {
                for round in 0..requests / CONNECTIONS / LANES {
                    let (name, token) = &callers[(connection * 7 + lane * 5 + round) % USERS];
                    let answer = http2.get("/api/x", HOST, Some(token)).await.unwrap();
                    assert_eq!(answer.status, 200, "{}", answer.text());
                    assert_eq!(answer.json()["sub"], serde_json::json!([name]));
                }
            });
        }
    }
    while let Some(ended) = tasks.join_next().await {
        ended.unwrap();
    }
}

#[tokio::test]
async fn header_spoofing_022_what_the_judge_cannot_read_is_refused() {
    let stage = Stage::new().await;
    let many: String = (0..200).map(|number| format!("x-{number}: v\r\n")).collect();
    let (_wire, answer) = stage.raw(raw_request("GET /api/x HTTP/1.1", &many, "")).await;
    assert!([400, 401, 431].contains(&answer.unwrap().status));
    stage.refuses_bytes("no name", raw_request("GET /api/x HTTP/1.1", ": v\r\n", ""), &[400]).await;
    let mut bytes = b"GET /api/x HTTP/1.1\r\nHost: app.example.test\r\nx-\xe9: v\r\n\r\n".to_vec();
    stage.refuses_bytes("a name with a byte above 127", &bytes, &[400]).await;
    bytes = b"GET /api/x HTTP/1.1\r\nHost: app.example.test\r\nAuthorization: Bearer \xe9\r\n\r\n"
        .to_vec();
    let (_wire, answer) = stage.raw(&bytes).await;
    assert!([400, 401].contains(&answer.unwrap().status));
    stage.assert_nothing_forwarded("a request the judge cannot read");
}

#[tokio::test]
async fn header_spoofing_023_two_names_that_fold_to_one_fail_the_load() {
    let upstream = Upstream::start().await;
    let directory = tempfile::tempdir().unwrap();
    Setup::standard(&upstream.url())
        .set("identity_headers.subject", "\"x-caller-id\"")
        .set("identity_headers.session", "\"X_Caller_Id\"")
        .write(directory.path());
    for verb in ["check", "serve"] {
        let outcome = cli::run(directory.path(), &[verb, "--config", "guarita.toml"], "").await;
        let said = outcome.clone().failed(2).output();
        assert!(said.contains("identity_headers"), "{verb}: {said}");
    }
}
