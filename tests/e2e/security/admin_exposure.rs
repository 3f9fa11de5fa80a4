//! Class admin-exposure: what operators see is for operators, and what nobody set up is not there.

use super::{Stage, raw_request};
use crate::harness::{Answer, Persona, Request, Response, Setup, Upstream, until};

/// Nothing of what is inside: hosts, users, versions, traces, files.
#[track_caller]
fn says_nothing(answer: &Response, what: &str) {
    let text = answer.text().to_ascii_lowercase();
    for word in ["127.0.0.1", "panick", "backtrace", "sqlite", ".rs:", "alice", "/tmp", "guarita/"]
    {
        assert!(!text.contains(word), "{what}: {text}");
    }
    assert_eq!(answer.header("server"), None, "{what}");
    assert_eq!(answer.header("x-powered-by"), None, "{what}");
}

#[tokio::test]
async fn admin_exposure_001_what_is_for_operators_is_not_on_the_public_address() {
    let stage = Stage::new().await;
    for caller in [stage.anonymous(), stage.alice().await] {
        for path in [
            "/metrics",
            "/healthz",
            "/readyz",
            "/debug/pprof/",
            "/stats",
            "/config_dump",
            "/actuator",
            "/.env",
            "/auth/debug",
            "/admin/../metrics",
        ] {
            stage.refuses(&caller, path, &[400, 401, 404]).await;
        }
    }
    // They are where operators look.
    assert_eq!(stage.gateway.operations("/metrics").await.status, 200);
}

#[tokio::test]
async fn admin_exposure_002_a_fresh_store_has_no_account_and_no_key() {
    let upstream = Upstream::start().await;
    let gateway = Setup::new().upstream("u", &[&upstream.url()]).start().await;
    let anonymous = gateway.anonymous();
    for name in ["admin", "root", "guarita", "administrator", "test", "demo"] {
        for password in ["Password1!", "changeme-now", "letmein-please", ""] {
            assert_eq!(anonymous.log_in(name, password).await.status, 401);
        }
    }
    let key = Request::get("/auth/sessions").header("x-service-api-key", "changeme");
    assert_eq!(anonymous.send(key).await.status, 401);
    let listed = gateway.verb(&["user", "list", "--json"], "").await.succeeded();
    assert_eq!(listed.stdout.trim(), "[]");
    let listed = gateway.verb(&["apikey", "list", "--json"], "").await.succeeded();
    assert_eq!(listed.stdout.trim(), "[]");
}

#[tokio::test]
async fn admin_exposure_003_and_006_errors_say_nothing_of_what_is_inside() {
    let upstream = Upstream::answering(|_| Answer::Close).await;
    let gateway = Setup::standard(&upstream.url()).start().await;
    let alice = gateway.bearer("alice").await;
    let answer = alice.get("/api/x").await;
    assert!(matches!(answer.status, 502 | 503), "{}", answer.status);
    says_nothing(&answer, "an upstream that is gone");
    let seized = crate::harness::database::seize(&gateway).await;
    let refused = until("nobody can know", || async {
        let answer = alice.get("/api/x").await;
        (answer.status == 503).then_some(answer)
    })
    .await;
    says_nothing(&refused, "a store that is gone");
    for path in ["/healthz", "/readyz"] {
        let answer = gateway.operations(path).await;
        assert!(matches!(answer.status, 200 | 503), "{path} {}", answer.status);
        says_nothing(&answer, path);
    }
    drop(seized);
}

#[tokio::test]
async fn admin_exposure_004_no_other_spelling_of_a_path_reaches_what_roles_guard() {
    let stage = Stage::new().await;
    let alice = stage.alice().await;
    for path in [
        "/admin/users/01",
        "/admin/users/1/",
        "/admin/users/1x",
        "/admin/users/+1",
        "/admin/users/%31",
        "/admin//users/1",
        "/api/../admin/users/1",
        "/admin/users/%31/../2",
        "/ADMIN/users/1",
    ] {
        stage.refuses(&alice, path, &[400, 403, 404]).await;
    }
}

#[tokio::test]
async fn admin_exposure_005_methods_that_tell_back_are_none() {
    let stage = Stage::new().await;
    for method in ["TRACE", "TRACK", "DEBUG", "CONNECT"] {
        let request = raw_request(&format!("{method} /api/x HTTP/1.1"), "Cookie: a=b\r\n", "");
        let (_, answer) = stage.raw(request).await;
        let answer = answer.unwrap();
        assert!(matches!(answer.status, 400 | 401 | 405 | 501), "{method} {}", answer.status);
        assert!(!answer.text().contains("a=b"));
    }
    let preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    stage.refuses_bytes("a preface on HTTP/1.1", preface, &[400, 505]).await;
    stage.assert_nothing_forwarded("a method that tells back");
}

#[tokio::test]
async fn admin_exposure_007_what_no_route_names_is_refused() {
    let stage = Stage::new().await;
    stage.refuses(&stage.anonymous(), "/newthing", &[401]).await;
    stage.refuses(&stage.alice().await, "/newthing", &[404]).await;
    // A route that says nothing of access asks for a caller.
    let upstream = Upstream::start().await;
    let setup = Setup::standard(&upstream.url()).route("path = \"/bare\"");
    let gateway = setup.start().await;
    assert_eq!(gateway.anonymous().get("/bare").await.status, 401);
    assert_eq!(upstream.count(), 0);
}

/// There is no password to the metrics: they listen on an address of their own, by default of this
/// machine alone, and no public request reaches it.
#[tokio::test]
async fn admin_exposure_008_and_009_no_route_leads_to_what_is_inside() {
    let stage = Stage::new().await;
    let ops = stage.gateway.operations("/healthz").await;
    assert_eq!(ops.status, 200);
    for field in
        ["X-Forwarded-Host: 127.0.0.1:9090", "X-Original-URL: /metrics", "X-Rewrite-URL: /metrics"]
    {
        let request =
            raw_request("GET /public/x HTTP/1.1", &format!("{field}\r\nConnection: close\r\n"), "");
        let (_, answer) = stage.raw(request).await;
        assert!(!answer.unwrap().text().contains("guarita_requests_total"), "{field}");
    }
    // Nor can the configuration name it.
    let reserved = stage.gateway.setup().route("path = \"/auth/x\"");
    let mut gateway = stage.gateway;
    assert!(!gateway.reload(reserved).await);
}

#[tokio::test]
async fn admin_exposure_010_what_a_request_says_is_never_expanded() {
    let stage = Stage::new().await;
    let templates = "${JWT_SECRET} {file./etc/passwd} {{7*7}} {env.HOME} $(id)";
    let request = Request::get("/public/x?y=%7Benv.HOME%7D").header("x-note", templates);
    assert_eq!(stage.anonymous().send(request).await.status, 200);
    let arrived = stage.upstream.only();
    assert_eq!(arrived.one("x-note").as_deref(), Some(templates));
    assert_eq!(arrived.target(), "/public/x?y=%7Benv.HOME%7D");
}

#[tokio::test]
async fn admin_exposure_011_no_verb_and_no_error_shows_a_secret() {
    const KEY: &str = "a-key-that-nobody-shall-see-0123456789";
    let upstream = Upstream::start().await;
    let setup = Setup::standard(&upstream.url())
        .set("credentials.service_api_key", &format!("\"{KEY}\""))
        .set("mfa.encryption_key", "\"another-key-that-nobody-shall-see-99\"");
    let gateway = setup.start().await;
    for verb in [&["check"][..], &["doctor"], &["user", "list"], &["apikey", "list"]] {
        let told = gateway.verb(verb, "").await;
        for secret in [KEY, "another-key-that-nobody-shall-see-99"] {
            assert!(!told.stdout.contains(secret) && !told.stderr.contains(secret), "{verb:?}");
        }
    }
    let with_key: Persona = gateway.anonymous();
    let answer = with_key.send(Request::get("/api/x").header("x-service-api-key", "wrong")).await;
    assert!(!answer.text().contains(KEY));
}
