//! What operators see and do: start, refusal to start, observation.

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::cli::{self, Outcome};
use crate::harness::{Gateway, Request, Setup, Upstream, canary, until};

/// A verb on a configuration that nobody serves.
async fn run(setup: &Setup, arguments: &[&str]) -> Outcome {
    let directory = tempfile::tempdir().unwrap();
    setup.write(directory.path());
    let arguments = [arguments, &["--config", "guarita.toml"]].concat();
    cli::run(directory.path(), &arguments, "").await
}

#[tokio::test]
async fn every_forwarded_request_leaves_one_audit_line_without_secrets() {
    let upstream = Upstream::start().await;
    let gateway = Setup::standard(&upstream.url()).start().await;
    let alice = gateway.bearer("alice").await;
    let request = Request::get("/api/x?secret=hunter2").header("x-request-id", "audit-1");
    assert_eq!(alice.send(request).await.status, 200);
    let line = gateway.audited("the request", |line| line["requestId"] == "audit-1").await;
    for (name, value) in [
        ("channel", json!("audit")),
        ("event", json!("request")),
        ("userId", json!("***01")),
        ("sub", json!("alice")),
        ("app_roles", json!("user")),
        ("sid", json!(alice.sid)),
        ("method", json!("GET")),
        ("path", json!("/api/x")),
        ("source", json!("bearer")),
        ("status", json!(200)),
    ] {
        assert_eq!(line[name], value, "{name}");
    }
    assert!(line["durationMs"].as_f64().unwrap() > 0.0);
    assert!(line["jti"].as_str().unwrap().len() > 8);
    let lines = gateway.audit();
    assert_eq!(lines.iter().filter(|line| line["requestId"] == "audit-1").count(), 1);
    let all = gateway.log.text() + &canary::audit_text(&gateway.data());
    for secret in ["hunter2", "correct horse", alice.token.as_ref().unwrap()] {
        assert!(!all.contains(secret), "{secret} was written down");
    }
}

#[tokio::test]
async fn health_and_metrics_are_on_the_ops_address_only() {
    let upstream = Upstream::start().await;
    let gateway = Setup::standard(&upstream.url()).start().await;
    assert_eq!(gateway.operations("/healthz").await.status, 200);
    until("readiness", || async {
        (gateway.operations("/readyz").await.status == 200).then_some(())
    })
    .await;
    let anonymous = gateway.anonymous();
    assert_eq!(anonymous.get("/public/x").await.status, 200);
    assert_eq!(anonymous.get("/api/x").await.status, 401);
    let metrics = gateway.operations("/metrics").await.text();
    for line in [
        "guarita_requests_total{route=\"/public/{*rest}\",status=\"2xx\"} 1",
        "guarita_refusals_total{code=\"unauthorized\"} 1",
        "guarita_config_reload_success 1",
    ] {
        assert!(metrics.contains(line), "{line}\n{metrics}");
    }
    assert_eq!(anonymous.get("/metrics").await.status, 401);
    // What an own endpoint refuses is a refusal too.
    assert_eq!(anonymous.get("/auth/sessions").await.status, 401);
    assert_eq!(anonymous.get("/auth/login").await.status, 405);
    let metrics = gateway.operations("/metrics").await.text();
    for line in [
        "guarita_refusals_total{code=\"unauthorized\"} 3",
        "guarita_refusals_total{code=\"method_not_allowed\"} 1",
    ] {
        assert!(metrics.contains(line), "{line}\n{metrics}");
    }
}

#[tokio::test]
async fn what_cannot_start_says_why_and_touches_nothing() {
    let upstream = Upstream::start().await;
    let refused = async |directory: &TempDir, setup: &Setup| {
        let said = Gateway::refused_in(directory, setup).await;
        assert!(!said.contains("panicked"), "{said}");
        said
    };
    let directory = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = (taken.local_addr().unwrap(), taken);
    let setup = Setup::standard(&upstream.url()).plain_address(&taken.0.to_string());
    setup.write(directory.path());
    let said = refused(&directory, &setup).await;
    assert!(said.contains(&format!("cannot listen on {}", taken.0)), "{said}");

    let setup = Setup::standard(&upstream.url()).on_file();
    let directory = tempfile::tempdir().unwrap();
    setup.write(directory.path());
    let file = directory.path().join("data/guarita.db");
    std::fs::create_dir(directory.path().join("data")).unwrap();
    std::fs::write(&file, "not a database").unwrap();
    let said = refused(&directory, &setup).await;
    assert!(said.starts_with("database: "), "{said}");
    assert_eq!(std::fs::read(&file).unwrap(), b"not a database");

    std::fs::remove_file(directory.path().join("server.pem")).unwrap();
    let said = refused(&directory, &setup).await;
    assert!(said.contains("guarita.toml:") && said.contains("server.pem"), "{said}");
}

#[tokio::test]
async fn check_tells_all_problems_at_once_with_file_line_key_and_hint() {
    let setup = Setup::new()
        .upstream("app", &["ftp://x"])
        .route("path = \"/a/../b\"\nupstream = \"ap\"\nacess = \"public\"");
    let said = run(&setup, &["check"]).await.failed(2).stderr;
    for (key, hint) in
        [("servers", ""), ("routes[0].path", ""), ("upstream", ""), ("acess", "access")]
    {
        let line =
            said.lines().find(|line| line.contains(key)).unwrap_or_else(|| panic!("{key}: {said}"));
        assert!(line.contains("guarita.toml:") && line.contains(hint), "{line}");
    }
}

#[tokio::test]
async fn the_schema_is_json_and_knows_the_sections_of_the_contract() {
    let directory = tempfile::tempdir().unwrap();
    let schema = cli::run(directory.path(), &["schema"], "").await.succeeded().stdout;
    let schema: Value = serde_json::from_str(&schema).unwrap();
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
    let off = Setup::standard(&upstream.url()).set("mode", "\"off\"");
    let refused = run(&off, &["check"]).await.failed(2);
    assert!(refused.stderr.contains("allow_insecure"), "{}", refused.stderr);
    let gateway = off.set("allow_insecure", "true").start().await;
    assert_eq!(gateway.anonymous().get("/admin/x").await.status, 200);
    assert_eq!(upstream.only().one("sub"), None);
}
