//! Keys by name: `guarita apikey`, and what they open.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::cli::Outcome;
use crate::harness::database::seize;
use crate::harness::{Gateway, HOST, Request, Response, Setup, Upstream, canary, raw, until};

/// The bound for other processes is 1 s; with room for a slow machine.
const HOLDS_WITHIN: Duration = Duration::from_secs(5);

async fn started() -> (Upstream, Gateway) {
    let upstream = Upstream::start().await;
    // A key must not be told at any level.
    let setup = Setup::standard(&upstream.url()).set("log.level", "\"guarita=trace,info\"");
    (upstream, setup.start().await)
}

/// Makes a key; from here on nothing may tell it.
pub(crate) async fn create(gateway: &Gateway, name: &str, more: &[&str]) -> String {
    let made = try_create(gateway, name, more).await.succeeded();
    assert!(made.stderr.is_empty(), "{}", made.stderr);
    let key = made.stdout.trim_end().to_owned();
    assert!(key.len() == 47 && key.starts_with("gua_"), "{key}");
    canary::keep(&key);
    key
}

async fn try_create(gateway: &Gateway, name: &str, more: &[&str]) -> Outcome {
    let arguments = [&["apikey", "create", "--name", name][..], more].concat();
    gateway.verb(&arguments, "").await
}

pub(crate) async fn revoke(gateway: &Gateway, which: &str) -> Outcome {
    gateway.verb(&["apikey", "revoke", which], "").await
}

async fn listed(gateway: &Gateway, more: &[&str]) -> Vec<Value> {
    let arguments = [&["apikey", "list", "--json"][..], more].concat();
    let told = gateway.verb(&arguments, "").await.succeeded();
    serde_json::from_str(&told.stdout).unwrap()
}

fn with_key(target: &str, key: &str) -> Request {
    Request::get(target).header("x-service-api-key", key)
}

async fn ask(gateway: &Gateway, target: &str, key: &str) -> Response {
    gateway.anonymous().send(with_key(target, key)).await
}

/// Asks until the key counts no more, or fails the test.
pub(crate) async fn until_refused(gateway: &Gateway, key: &str) {
    until("the key to count no more", || async {
        (ask(gateway, "/api/x", key).await.status == 401).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_key_is_its_name_with_its_roles_and_has_no_account() {
    let (upstream, gateway) = started().await;
    let key = create(&gateway, "jobs", &["--role", "admin", "--role", "Jobs"]).await;
    let weak = create(&gateway, "reports", &[]).await;
    assert_eq!(ask(&gateway, "/admin/x", &key).await.status, 200);
    let seen = upstream.only();
    for (name, value) in [
        ("sub", Some("apikey:jobs")),
        ("app_roles", Some("Jobs,admin")),
        ("x-auth-source", Some("api_key")),
        ("x-auth-uid", None),
        ("x-auth-sid", None),
        ("x-service-api-key", None),
    ] {
        assert_eq!(seen.one(name).as_deref(), value, "{name}");
    }
    ask(&gateway, "/admin/x", &weak).await.assert_problem(403, "forbidden");
    assert_eq!(ask(&gateway, "/api/x", &weak).await.status, 200);
    assert_eq!(upstream.last().one("app_roles").as_deref(), Some(""));
    ask(&gateway, "/auth/sessions", &key).await.assert_problem(401, "unauthorized");
    ask(&gateway, "/nothing", &key).await.assert_problem(404, "not_found");
    let twice = with_key("/api/x", &key).header("x-service-api-key", &key);
    assert_eq!(gateway.anonymous().send(twice).await.status, 401);
    let line = gateway.audited("its request", |line| line["sub"] == "apikey:jobs").await;
    assert_eq!(line["source"], "api_key");
    assert_eq!(line["apiKeyId"], listed(&gateway, &[]).await[0]["id"].to_string());
}

/// Cases enumeration-timing-004 and rate-limit-lockout-009: what counts no more, or not from here, is
/// refused like what never was.
#[tokio::test]
async fn every_key_that_does_not_count_gets_the_same_answer() {
    let (upstream, gateway) = started().await;
    let good = create(&gateway, "jobs", &[]).await;
    let revoked = create(&gateway, "revoked", &[]).await;
    let short = create(&gateway, "short", &["--expires-in", "1s"]).await;
    let elsewhere = create(&gateway, "elsewhere", &["--network", "203.0.113.0/24"]).await;
    assert_eq!(ask(&gateway, "/api/x", &good).await.status, 200);
    revoke(&gateway, "revoked").await.succeeded();
    until_refused(&gateway, &revoked).await;
    until_refused(&gateway, &short).await;
    upstream.forget();
    let unknown = format!("gua_{}", "A".repeat(43));
    let (cut, longer) = (good[..46].to_owned(), format!("{good}A"));
    let (bare, other) = (good[4..].to_owned(), good.replace("gua_", "GUA_"));
    let mut answers = HashSet::new();
    let all = [revoked, short, elsewhere, unknown, cut, longer, bare, other];
    for key in all.iter().map(String::as_str).chain(["gua_", "x"]) {
        let answer = ask(&gateway, "/api/x", key).await;
        answer.assert_problem(401, "unauthorized");
        let mut body = answer.json();
        body["requestId"] = Value::Null;
        let challenge = answer.header("www-authenticate").map(str::to_owned);
        let names: Vec<_> = answer.headers.iter().map(|(name, _)| name.clone()).collect();
        answers.insert(format!("{body} {challenge:?} {names:?}"));
    }
    assert_eq!(answers.len(), 1, "{answers:#?}");
    assert_eq!(upstream.count(), 0);
    // Where nobody is asked, it goes on as nobody.
    assert_eq!(ask(&gateway, "/public/x", &all[0]).await.status, 200);
    assert_eq!(upstream.only().one("sub"), None);
}

#[tokio::test]
async fn one_key_takes_the_place_of_another_without_a_gap() {
    let (_upstream, gateway) = started().await;
    let first = create(&gateway, "jobs", &[]).await;
    assert_eq!(ask(&gateway, "/api/x", &first).await.status, 200);
    let second = create(&gateway, "jobs", &["--role", "Jobs"]).await;
    for key in [&first, &second] {
        assert_eq!(ask(&gateway, "/api/x", key).await.status, 200);
    }
    let third = try_create(&gateway, "jobs", &[]).await.failed(1);
    assert!(third.stderr.contains("two valid keys of this name"), "{}", third.stderr);
    assert!(third.stdout.is_empty(), "{}", third.stdout);
    revoke(&gateway, &first[..12]).await.succeeded();
    until_refused(&gateway, &first).await;
    assert_eq!(ask(&gateway, "/api/x", &second).await.status, 200);
    let third = create(&gateway, "jobs", &[]).await;
    assert_eq!(ask(&gateway, "/api/x", &third).await.status, 200);
    // By its name, all of it.
    let told = revoke(&gateway, "jobs").await.succeeded();
    assert_eq!(told.stdout, "revoked 2 keys\n");
    for key in [&second, &third] {
        until_refused(&gateway, key).await;
    }
    revoke(&gateway, "jobs").await.failed(1);
}

#[tokio::test]
async fn a_revocation_holds_on_every_running_gateway() {
    let (_upstream, gateway) = started().await;
    let other = gateway.another_node().await;
    let kept = create(&gateway, "kept", &[]).await;
    for _ in 0..3 {
        let key = create(&gateway, "jobs", &[]).await;
        for node in [&gateway, &other] {
            assert_eq!(ask(node, "/api/x", &key).await.status, 200, "from the moment it was made");
        }
        revoke(&gateway, &key).await.succeeded();
        let begun = Instant::now();
        for node in [&gateway, &other] {
            until_refused(node, &key).await;
            assert!(begun.elapsed() < HOLDS_WITHIN, "{:?}", begun.elapsed());
            assert_eq!(ask(node, "/api/x", &kept).await.status, 200);
        }
    }
}

#[tokio::test]
async fn a_key_counts_from_its_networks_as_trusted_proxies_tell_them() {
    let upstream = Upstream::start().await;
    let setup = Setup::standard(&upstream.url());
    let gateway = setup.clone().set("trusted_proxies", "[\"127.0.0.1\"]").start().await;
    let networks = ["--network", "203.0.113.0/24", "--network", "2001:db8::7"];
    let key = create(&gateway, "jobs", &networks).await;
    for (said, status) in [
        (Some("203.0.113.5"), 200),
        (Some("2001:db8::7"), 200),
        (Some("198.51.100.1, 203.0.113.5"), 200),
        (Some("203.0.113.5, 198.51.100.1"), 401),
        (Some("2001:db8::8"), 401),
        (Some("nonsense"), 401),
        (None, 401),
    ] {
        let mut plain = with_key("/api/x", &key);
        let mut question = with_key("/oauth2/auth", &key)
            .header("x-forwarded-method", "GET")
            .header("x-forwarded-proto", "https")
            .header("x-forwarded-host", HOST)
            .header("x-forwarded-uri", "/api/x");
        if let Some(said) = said {
            plain = plain.header("x-forwarded-for", said);
            question = question.header("x-forwarded-for", said);
        }
        for request in [plain, question] {
            let answer = gateway.anonymous().send(request).await;
            assert_eq!(answer.status, status, "{said:?}");
        }
    }
    // Nobody is believed who is no trusted proxy.
    let strict = setup.start().await;
    let key = create(&strict, "jobs", &networks).await;
    let spoofed = with_key("/api/x", &key).header("x-forwarded-for", "203.0.113.5");
    assert_eq!(strict.anonymous().send(spoofed).await.status, 401);
    let local = create(&strict, "local", &["--network", "127.0.0.0/8"]).await;
    assert_eq!(ask(&strict, "/api/x", &local).await.status, 200);
}

#[tokio::test]
async fn a_route_that_demands_scopes_takes_whoever_has_one_of_them() {
    let upstream = Upstream::start().await;
    let service = "the-configured-key-of-a-service-0123456789";
    let gateway = Setup::standard(&upstream.url())
        .environment("SERVICE_API_KEY", service)
        .route(
            "path = \"/orders/{*rest}\"\nallow = { scopes = [\"orders:read\", \"orders:write\"] }",
        )
        .route(
            "path = \"/both/{*rest}\"\nallow = { roles = [\"Jobs\"], scopes = [\"orders:read\"] }",
        )
        .start()
        .await;
    let read = create(&gateway, "read", &["--scope", "orders:read"]).await;
    let write =
        create(&gateway, "write", &["--scope", "x", "--scope", "orders:write", "--role", "Jobs"])
            .await;
    let both = create(&gateway, "both", &["--scope", "orders:read", "--role", "Jobs"]).await;
    let none = create(&gateway, "none", &["--role", "admin"]).await;
    for (key, orders, both) in [
        (&*read, 200, 403),
        (&*write, 200, 403),
        (&*both, 200, 200),
        (&*none, 403, 403),
        (service, 403, 403),
    ] {
        assert_eq!(ask(&gateway, "/orders/1", key).await.status, orders);
        assert_eq!(ask(&gateway, "/both/1", key).await.status, both);
    }
    let root = gateway.bearer("root").await;
    root.get("/orders/1").await.assert_problem(403, "forbidden");
    gateway.anonymous().get("/orders/1").await.assert_problem(401, "unauthorized");
}

/// Case session-revocation-011: of a key only its digest rests, and what is listed is not enough.
#[tokio::test]
async fn a_key_is_told_once_and_only_its_digest_rests() {
    let (_upstream, gateway) = started().await;
    let more = ["--role", "b", "--role", "a", "--scope", "s", "--network", "127.0.0.0/8"];
    let key = create(&gateway, "jobs", &[&more[..], &["--expires-in", "90d"]].concat()).await;
    assert_eq!(ask(&gateway, "/api/x", &key).await.status, 200);
    let used = until("its use to be written down", || async {
        let key = listed(&gateway, &[]).await.remove(0);
        key["lastUsedAt"].is_string().then_some(key)
    })
    .await;
    for (member, value) in [
        ("name", serde_json::json!("jobs")),
        ("prefix", serde_json::json!(key[..12])),
        ("state", serde_json::json!("active")),
        ("roles", serde_json::json!(["a", "b"])),
        ("scopes", serde_json::json!(["s"])),
        ("networks", serde_json::json!(["127.0.0.0/8"])),
        ("revokedAt", Value::Null),
    ] {
        assert_eq!(used[member], value, "{member}");
    }
    assert!(used["expiresAt"].as_str() > used["createdAt"].as_str());
    for arguments in [&["apikey", "list"][..], &["apikey", "list", "--json", "--all"]] {
        let told = gateway.verb(arguments, "").await.succeeded().output();
        assert!(told.contains(&key[..12]) && !told.contains(&key[12..]), "{told}");
    }
    for (name, bytes) in crate::harness::database::content(&gateway).await {
        assert!(raw::find(&bytes, &key.as_bytes()[12..30]).is_none(), "{name} holds a key");
    }
    let told = revoke(&gateway, &key).await.succeeded().output();
    assert!(!told.contains(&key[12..]), "{told}");
    until_refused(&gateway, &key).await;
    assert!(listed(&gateway, &[]).await.is_empty());
    assert_eq!(listed(&gateway, &["--all"]).await[0]["state"], "revoked");
}

#[tokio::test]
async fn what_cannot_be_a_key_is_refused_at_the_command_line() {
    let (_upstream, gateway) = started().await;
    for name in ["system", "7", "a b", "", "gua_jobs", "a:b"] {
        try_create(&gateway, name, &[]).await.failed(2);
    }
    for more in [
        ["--role", "a,b"],
        ["--scope", "a b"],
        ["--network", "10.0.0.0/33"],
        ["--network", "localhost"],
        ["--expires-in", "soon"],
    ] {
        try_create(&gateway, "jobs", &more).await.failed(2);
    }
    for lifetime in ["0s", "3651d"] {
        try_create(&gateway, "jobs", &["--expires-in", lifetime]).await.failed(1);
    }
    for which in ["nobody", "7", "gua_ABCDEFGH", "gua_"] {
        revoke(&gateway, which).await.failed(1);
    }
    assert!(listed(&gateway, &["--all"]).await.is_empty());
    // No person bears the subject of a key.
    let user = ["user", "create", "--generate", "--username", "apikey:jobs"];
    gateway.verb(&user, "").await.failed(1);
}

/// Case session-revocation-005, for keys.
#[tokio::test]
async fn who_cannot_know_of_a_key_refuses() {
    let (upstream, gateway) = started().await;
    let key = create(&gateway, "jobs", &[]).await;
    assert_eq!(ask(&gateway, "/api/x", &key).await.status, 200);
    let _seized = seize(&gateway).await;
    let refused = until("the gateway to notice", || async {
        let answer = ask(&gateway, "/api/x", &key).await;
        (answer.status == 503).then_some(answer)
    })
    .await;
    refused.assert_problem(503, "unavailable");
    upstream.forget();
    for _ in 0..3 {
        let status = ask(&gateway, "/api/x", &key).await.status;
        assert_eq!(status, 503);
    }
    assert_eq!(upstream.count(), 0);
    assert_eq!(ask(&gateway, "/public/x", &key).await.status, 200);
}

/// Case rate-limit-lockout-009: guesses keep nobody out who is known.
#[tokio::test]
async fn guesses_do_not_keep_out_a_key_that_is_known() {
    let (_upstream, gateway) = started().await;
    let key = create(&gateway, "jobs", &[]).await;
    assert_eq!(ask(&gateway, "/api/x", &key).await.status, 200);
    let guessing = futures_util::future::join_all((0..8).map(|caller| {
        let gateway = &gateway;
        async move {
            let mut wire = gateway.wire().await;
            for number in 0..200 {
                let guess = format!("gua_{:0>43}", caller * 1_000 + number);
                let answer = wire.exchange(&with_key("/api/x", &guess), HOST).await;
                assert!(matches!(answer.status, 401 | 503), "{}", answer.status);
            }
        }
    }));
    let working = async {
        let mut wire = gateway.wire().await;
        for _ in 0..200 {
            assert_eq!(wire.exchange(&with_key("/api/x", &key), HOST).await.status, 200);
        }
    };
    tokio::join!(guessing, working);
}
