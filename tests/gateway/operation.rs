//! What operators see and do: start, refusal to start, observation, drain.

use serde_json::Value;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::harness::{Setup, Upstream, Wire, eventually, guarita, loopback, ok, within};

#[tokio::test]
async fn every_forwarded_request_leaves_one_audit_line_without_secrets() {
    let upstream = Upstream::start().await;
    let gateway = Setup::standard(upstream.address).start().await;
    let alice = gateway.bearer("alice").await;
    let request = alice
        .request(reqwest::Method::GET, "/api/x?secret=hunter2")
        .header("x-request-id", "audit-1");
    assert_eq!(request.send().await.unwrap().status(), 200);
    let lines = gateway.audit("audit-1", 1).await;
    let line = &lines[0];
    let session = &alice.tokens.as_ref().unwrap().session;
    for (name, value) in [
        ("channel", "audit"),
        ("event", "request"),
        ("requestId", "audit-1"),
        ("userId", "***01"),
        ("sub", "alice"),
        ("app_roles", "user"),
        ("sid", session),
        ("method", "GET"),
        ("path", "/api/x"),
        ("source", "bearer"),
    ] {
        assert_eq!(line[name], value, "{name}");
    }
    assert_eq!(line["status"], 200);
    assert!(line["durationMs"].as_f64().unwrap() > 0.0);
    assert!(line["jti"].as_str().unwrap().len() > 8);
    let all = format!("{}{:?}", gateway.log(), gateway.audit("", 1).await);
    for secret in ["hunter2", "correct horse", alice.access()] {
        assert!(!all.contains(secret), "{secret} was written down");
    }
}

#[tokio::test]
async fn health_and_metrics_are_on_the_ops_address_only() {
    let upstream = Upstream::start().await;
    let gateway = Setup::standard(upstream.address).start().await;
    let ops = |path: &str| format!("http://{}{path}", gateway.ops());
    assert_eq!(reqwest::get(ops("/healthz")).await.unwrap().status(), 200);
    eventually("readiness", || async {
        (reqwest::get(ops("/readyz")).await.unwrap().status() == 200).then_some(())
    })
    .await;
    assert_eq!(gateway.anonymous().status("/public/x").await, 200);
    assert_eq!(gateway.anonymous().status("/api/x").await, 401);
    let metrics = gateway.metrics().await;
    for line in [
        "guarita_requests_total{route=\"/public/{*rest}\",status=\"2xx\"} 1",
        "guarita_refusals_total{code=\"unauthorized\"} 1",
        "guarita_config_reload_success 1",
    ] {
        assert!(metrics.contains(line), "{line}\n{metrics}");
    }
    assert_eq!(gateway.anonymous().status("/metrics").await, 401);
    // What an own endpoint refuses is a refusal too.
    assert_eq!(gateway.anonymous().status("/auth/sessions").await, 401);
    assert_eq!(gateway.anonymous().status("/auth/login").await, 405);
    let metrics = gateway.metrics().await;
    for line in [
        "guarita_refusals_total{code=\"unauthorized\"} 3",
        "guarita_refusals_total{code=\"method_not_allowed\"} 1",
    ] {
        assert!(metrics.contains(line), "{line}\n{metrics}");
    }
}

#[tokio::test]
async fn sigterm_lets_an_open_request_end_and_takes_no_new_one() {
    let listener = TcpListener::bind((loopback(), 9800)).await.unwrap();
    let mut gateway = Setup::standard(listener.local_addr().unwrap()).start().await;
    let mut idle = Wire::plain(gateway.http()).await;
    let mut open = Wire::plain(gateway.http()).await;
    open.send("GET /public/x HTTP/1.1\r\nHost: app.example.test\r\n\r\n").await;
    let (mut upstream, _) = within("the request", listener.accept()).await.unwrap();
    within("the request", upstream.read(&mut [0; 4096])).await.unwrap();
    gateway.signal("TERM");
    gateway.wait_for_log("server.draining").await;
    assert!(idle.is_closed().await, "an idle connection is closed");
    upstream.write_all(&ok("late")).await.unwrap();
    let answer = open.answer().await.unwrap();
    assert_eq!((answer.status, answer.text().as_str()), (200, "late"));
    assert!(open.is_closed().await);
    assert_eq!(gateway.ended().await, Some(0));
}

#[tokio::test]
async fn what_cannot_start_says_why_and_touches_nothing() {
    let upstream = Upstream::start().await;
    let serve = |gateway: &crate::harness::Gateway| {
        let output = gateway.command(&["serve"]);
        assert_eq!(output.status.code(), Some(2));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!said.contains("panicked"), "{said}");
        said
    };
    let gateway = Setup::standard(upstream.address).files();
    let taken = tokio::net::TcpListener::bind(gateway.http()).await.unwrap();
    assert!(serve(&gateway).contains(&format!("cannot listen on {}", gateway.http())));
    drop(taken);

    // PostgreSQL has no file of ours.
    if std::env::var_os("TEST_DATABASE").is_none_or(|kind| kind == "sqlite") {
        std::fs::create_dir_all(gateway.path("data")).unwrap();
        std::fs::write(gateway.path("data/guarita.db"), "not a database").unwrap();
        assert!(serve(&gateway).starts_with("database: "));
        assert_eq!(std::fs::read(gateway.path("data/guarita.db")).unwrap(), b"not a database");
    }

    std::fs::remove_file(gateway.path("cert.pem")).unwrap();
    let said = serve(&gateway);
    assert!(said.contains("guarita.toml:") && said.contains("cert.pem"), "{said}");
}

#[tokio::test]
async fn check_tells_all_problems_at_once_with_file_line_key_and_hint() {
    let gateway = Setup::new(
        r#"
[[upstreams]]
name = "app"
servers = ["ftp://x"]

[[routes]]
path = "/a/../b"
upstream = "ap"
acess = "public"
"#,
    )
    .files();
    let output = gateway.command(&["check"]);
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    for (key, hint) in
        [("servers", ""), ("routes[0].path", ""), ("upstream", ""), ("acess", "access")]
    {
        let line =
            said.lines().find(|line| line.contains(key)).unwrap_or_else(|| panic!("{key}: {said}"));
        assert!(line.contains("guarita.toml:") && line.contains(hint), "{line}");
    }
}

#[test]
fn the_schema_is_json_and_knows_the_sections_of_the_contract() {
    let output = guarita(&["schema"]).output().unwrap();
    assert!(output.status.success());
    let schema: Value = serde_json::from_slice(&output.stdout).unwrap();
    let written = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/configuration.schema.json");
    let written: Value = serde_json::from_slice(&std::fs::read(written).unwrap()).unwrap();
    assert_eq!(written, schema, "make bless writes it anew");
    for section in [
        "mode",
        "listeners",
        "ops",
        "store",
        "tokens",
        "passwords",
        "lockout",
        "upstreams",
        "routes",
    ] {
        assert!(schema["properties"][section].is_object(), "{section}");
    }
}

#[tokio::test]
async fn mode_off_judges_nobody_and_only_on_loopback() {
    let upstream = Upstream::start().await;
    let off =
        |more: &str| Setup::standard(upstream.address).and(&format!("mode = \"off\"\n{more}"));
    let refused = off("").files().command(&["check"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("allow_insecure"));
    let gateway = off("allow_insecure = true").start().await;
    assert_eq!(gateway.anonymous().status("/admin/x").await, 200);
    assert_eq!(upstream.one().header("sub"), None);
}
