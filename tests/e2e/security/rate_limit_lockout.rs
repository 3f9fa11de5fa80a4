//! How often somebody may try, and what a lock cannot do.

use std::cell::Cell;

use serde_json::{Value, json};

use super::Stage;
use crate::harness::frames::{Frames, Outcome};
use crate::harness::{HOST, Persona, Request, Response, Setup, password_of, until};

const WRONG: &str = "wrong password, long enough";
const PER_SOURCE: &str = "rate_limits.login.per_source";
const PER_ACCOUNT: &str = "rate_limits.login.per_account";
const REFRESH: &str = "rate_limits.refresh.per_source";

fn proxied(setup: Setup) -> Setup {
    setup.set("trusted_proxies", "[\"127.0.0.0/8\"]")
}

fn login(username: &str, password: &str) -> Request {
    Request::post("/auth/login").json(&json!({ "username": username, "password": password }))
}

/// A login as a trusted proxy passes it on from an address.
async fn login_from(stage: &Stage, address: &str, username: &str, password: &str) -> Response {
    let request = login(username, password).header("X-Forwarded-For", address);
    stage.anonymous().send(request).await
}

/// The device cookie that an answer gives, as a request sends it.
fn device(answer: &Response) -> String {
    let fields = answer.all("set-cookie");
    let field = fields.iter().find(|field| field.starts_with("__Host-guarita-device="));
    let field = field.unwrap_or_else(|| panic!("no device cookie: {fields:?}"));
    for attribute in ["Path=/", "Secure", "HttpOnly", "SameSite=Strict", "Max-Age=31536000"] {
        assert!(field.split("; ").any(|part| part == attribute), "{attribute}: {field}");
    }
    assert!(!field.contains("Domain"), "{field}");
    field.split(';').next().unwrap().to_owned()
}

#[track_caller]
fn assert_limited(answer: &Response, most: u64) {
    answer.assert_problem(429, "rate_limited");
    let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=most).contains(&wait), "{wait}");
}

/// Case rate-limit-lockout-001: a header that anybody can write gives no new budget.
#[tokio::test]
async fn rate_limit_lockout_001_a_spoofed_address_gives_no_new_budget() {
    for name in ["X-Forwarded-For", "X-Real-IP", "Forwarded", "CF-Connecting-IP"] {
        let stage = Stage::with(|setup| setup.set(PER_SOURCE, "\"10/1h\"")).await;
        for attempt in 0..40 {
            let address = format!("203.0.113.{attempt}");
            let value = if name == "Forwarded" { format!("for={address}") } else { address };
            let request = login(&format!("nobody{attempt}"), WRONG).header(name, &value);
            let answer = stage.anonymous().send(request).await;
            if attempt < 10 {
                answer.assert_problem(401, "invalid_credentials");
            } else {
                assert_limited(&answer, 360);
            }
        }
        let counted = "kind=\"login\"";
        let limited = stage.gateway.metric("guarita_rate_limited_total", counted).await;
        assert!((limited - 30.0).abs() < f64::EPSILON, "{limited}");
        let line = stage
            .gateway
            .audited("a limited login", |line| line["event"] == "auth.rate_limited")
            .await;
        assert_eq!(line["reason"], "login by source");
        assert_eq!(line["address"], "127.0.0.1");
    }
}

/// Case rate-limit-lockout-002: one IPv4 address and one IPv6 /64 have one budget each.
#[tokio::test]
async fn rate_limit_lockout_002_a_network_has_one_budget_through_a_trusted_proxy() {
    let stage = Stage::with(|setup| proxied(setup).set(PER_SOURCE, "\"4/1h\"")).await;
    let networks = [
        ["1.2.3.4", "::ffff:1.2.3.4", "1.2.3.4", "::ffff:102:304", "1.2.3.4"],
        ["2001:db8::1", "2001:db8::2", "2001:db8::ffff:0:0:1", "2001:db8:0:0:a::", "2001:db8::3"],
        [
            "2001:db8:0:1::1",
            "2001:db8:0:1::2",
            "2001:db8:0:1::3",
            "2001:db8:0:1::4",
            "2001:db8:0:1:f::",
        ],
    ];
    for (number, addresses) in networks.iter().enumerate() {
        for (position, address) in addresses.iter().enumerate() {
            let name = format!("nobody{number}{position}");
            let answer = login_from(&stage, address, &name, WRONG).await;
            assert_eq!(answer.status, if position < 4 { 401 } else { 429 }, "{address}");
        }
    }
    let other = login_from(&stage, "1.2.3.5", "alice", &password_of("alice")).await;
    assert_eq!(other.status, 200, "{}", other.text());
}

/// Case rate-limit-lockout-003: a lock holds on every way to a token.
#[tokio::test]
async fn rate_limit_lockout_003_a_lock_holds_on_every_way_in() {
    let stage = Stage::new().await;
    let anonymous = stage.anonymous();
    for _ in 0..5 {
        anonymous.log_in("alice", WRONG).await.assert_problem(401, "invalid_credentials");
    }
    let body = json!({ "username": "alice", "password": password_of("alice") });
    for path in ["/auth/login", "/auth/token", "/api/auth/token"] {
        anonymous.post(path, &body).await.assert_problem(429, "locked");
    }
    let basic = Request::get("/api/x").header("authorization", "Basic YWxpY2U6eA==");
    assert_eq!(anonymous.send(basic).await.status, 401);
    stage.assert_nothing_forwarded("a locked account");
}

/// Case rate-limit-lockout-004: whoever locks a victim out from elsewhere does not lock out its
/// known device, not even by making the lock longer.
#[tokio::test]
async fn rate_limit_lockout_004_a_locked_victim_gets_in_from_a_known_device() {
    let stage = Stage::with(|setup| proxied(setup).set("lockout.duration", "\"1h\"")).await;
    let right = password_of("alice");
    let cookie = device(&login_from(&stage, "198.51.100.7", "alice", &right).await);
    for attempt in 0..40 {
        let address = format!("203.0.113.{attempt}");
        let answer = login_from(&stage, &address, "alice", WRONG).await;
        assert!(matches!(answer.status, 401 | 429), "{}", answer.text());
    }
    let foreign = login_from(&stage, "203.0.113.99", "alice", &right).await;
    assert_eq!(foreign.status, 429, "{}", foreign.text());

    let from_device = |password: &str| {
        let request = login("alice", password)
            .header("X-Forwarded-For", "198.51.100.8")
            .header("Cookie", &format!("theme=dark; {cookie}"));
        let caller = stage.anonymous();
        async move { caller.send(request).await }
    };
    for _ in 0..3 {
        let answer = from_device(&right).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(device(&answer), cookie);
    }
    // The victim's logins give the attacker nothing.
    assert_eq!(login_from(&stage, "203.0.113.99", "alice", &right).await.status, 429);
    // The device itself locks as well.
    for _ in 0..5 {
        from_device(WRONG).await.assert_problem(401, "invalid_credentials");
    }
    from_device(&right).await.assert_problem(429, "locked");

    // Of another account, forged, or broken: an unknown device.
    let roots = device(&login_from(&stage, "198.51.100.9", "root", &password_of("root")).await);
    let forged = format!("__Host-guarita-device={}", "A".repeat(43));
    for cookie in [&roots, &forged, "__Host-guarita-device=", "__Host-guarita-device"] {
        let request = login("alice", &right)
            .header("X-Forwarded-For", "198.51.100.10")
            .header("Cookie", cookie);
        assert_eq!(stage.anonymous().send(request).await.status, 429, "{cookie}");
    }
    // A new password ends the lock, and every known device with it.
    let set = ["user", "set-password", "--username", "alice", "--password-stdin"];
    stage.gateway.verb(&set, "another password, long enough").await.succeeded();
    from_device(WRONG).await.assert_problem(401, "invalid_credentials");
    let answer =
        login_from(&stage, "198.51.100.11", "alice", "another password, long enough").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

/// Case rate-limit-lockout-005: an attacker's own logins do not reset what is counted.
#[tokio::test]
async fn rate_limit_lockout_005_own_successes_reset_no_other_counter() {
    let stage = Stage::with(|setup| setup.set(PER_SOURCE, "\"12/1h\"")).await;
    let anonymous = stage.anonymous();
    for _ in 0..5 {
        anonymous.log_in("alice", WRONG).await.assert_problem(401, "invalid_credentials");
        assert_eq!(anonymous.log_in("root", &password_of("root")).await.status, 200);
    }
    anonymous.log_in("alice", &password_of("alice")).await.assert_problem(429, "locked");
    assert_eq!(anonymous.log_in("root", &password_of("root")).await.status, 200);
    assert_limited(&anonymous.log_in("root", &password_of("root")).await, 300);
}

/// Case rate-limit-lockout-008: every spelling of the path and every protocol has one budget.
#[tokio::test]
async fn rate_limit_lockout_008_every_spelling_of_the_path_has_one_budget() {
    let stage = Stage::with(|setup| setup.set(PER_SOURCE, "\"6/1h\"")).await;
    let spellings = [
        "/auth/login",
        "/auth/login/",
        "/auth//login",
        "/auth/%6cogin",
        "/auth/login?x=1",
        "/auth/token",
        "/api/auth/token",
    ];
    let body = |name: &str| json!({ "username": name, "password": WRONG });
    let mut reached = Vec::new();
    for round in 0..3 {
        for path in spellings {
            let name = format!("nobody{round}{}", path.len());
            let answer = stage.anonymous().post(path, &body(&name)).await;
            assert!(matches!(answer.status, 400 | 401 | 404 | 429), "{path}: {}", answer.text());
            if answer.code() == "invalid_credentials" {
                reached.push((round, path));
            }
        }
    }
    assert_eq!(reached.len(), 6, "{reached:?}");
    assert!(reached.iter().all(|(round, _)| *round < 2), "{reached:?}");
    let mut frames = Frames::connect(stage.gateway.https(), &stage.gateway.tls()).await;
    let body = body("nobody").to_string();
    let length = body.len().to_string();
    let fields = [
        (":method", "POST"),
        (":scheme", "https"),
        (":authority", HOST),
        (":path", "/auth/login"),
        ("content-type", "application/json"),
        ("content-length", &length),
    ];
    frames.request(1, &fields, false).await;
    frames.send(0, 1, 1, body.as_bytes()).await.unwrap();
    assert_eq!(frames.outcome(1).await, Outcome::Status(429));
}

/// Case rate-limit-lockout-010: the answer says when to come again, and nothing else.
#[tokio::test]
async fn rate_limit_lockout_010_a_limited_answer_is_constant() {
    let stage =
        Stage::with(|setup| proxied(setup).set(PER_ACCOUNT, "\"2/1h\"").user("mallory", &[])).await;
    stage.gateway.verb(&["user", "disable", "--username", "mallory"], "").await.succeeded();
    let mut bodies = Vec::new();
    for name in ["alice", "nobody", "mallory", "ALICE"] {
        let mut last = Response::default();
        for attempt in 0..3 {
            let address = format!("203.0.113.{attempt}");
            last = login_from(&stage, &address, name, WRONG).await;
        }
        assert_limited(&last, 1800);
        let mut body = last.json();
        body["requestId"] = Value::Null;
        bodies.push(body);
    }
    assert!(bodies.iter().all(|body| *body == bodies[0]), "{bodies:?}");
}

/// Case rate-limit-lockout-011: failures in a row make each lock longer.
#[tokio::test]
async fn rate_limit_lockout_011_locks_in_a_row_grow_for_known_and_unknown_names() {
    let stage = Stage::with(|setup| {
        setup
            .set("lockout.failures", "1")
            .set("lockout.duration", "\"2s\"")
            .set(PER_SOURCE, "\"off\"")
    })
    .await;
    let anonymous = stage.anonymous();
    for name in ["alice", "nobody"] {
        // Attempts go on all the time; each that is judged fails and locks anew. However slow they
        // are, there is a lock that is longer than the first one seen.
        let first = Cell::new(None);
        until("a longer lock", || async {
            let answer = anonymous.log_in(name, WRONG).await;
            if answer.status == 401 {
                return None;
            }
            answer.assert_problem(429, "locked");
            let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
            assert!(wait > 0, "{name}");
            match first.get() {
                None => first.set(Some(wait)),
                Some(first) if wait > first => return Some(()),
                Some(_) => {}
            }
            None
        })
        .await;
    }
}

#[tokio::test]
async fn refreshes_are_limited_by_source_before_the_token_is_looked_at() {
    let stage = Stage::with(|setup| proxied(setup).set(REFRESH, "\"3/1h\"")).await;
    let alice = stage.alice().await;
    let refresh = |address: &str, token: &str| {
        let body = json!({ "refreshToken": token });
        let request = Request::post("/auth/refresh").json(&body).header("X-Forwarded-For", address);
        let caller = stage.anonymous();
        async move { caller.send(request).await }
    };
    for _ in 0..3 {
        refresh("1.2.3.4", "nonsense").await.assert_problem(401, "invalid_refresh_token");
    }
    let token = alice.refresh_token.clone().unwrap();
    assert_limited(&refresh("1.2.3.4", &token).await, 1200);
    // It was not used up.
    assert_eq!(refresh("1.2.3.5", &token).await.status, 200);
}

#[tokio::test]
async fn a_rate_changes_while_running_and_can_be_off() {
    let mut stage = Stage::with(|setup| setup.set(PER_SOURCE, "\"2/1h\"")).await;
    let anonymous: Persona = stage.anonymous();
    for _ in 0..2 {
        assert_eq!(anonymous.log_in("root", &password_of("root")).await.status, 200);
    }
    assert_limited(&anonymous.log_in("root", &password_of("root")).await, 1800);
    let off = stage.gateway.setup.clone().set(PER_SOURCE, "\"off\"").set(PER_ACCOUNT, "\"off\"");
    assert!(stage.gateway.reload(off).await);
    for _ in 0..10 {
        assert_eq!(anonymous.log_in("root", &password_of("root")).await.status, 200);
    }
    let wrong = stage.gateway.setup.clone().set(PER_SOURCE, "\"0/1h\"");
    assert!(!stage.gateway.reload(wrong).await);
    assert_eq!(anonymous.log_in("root", &password_of("root")).await.status, 200);
}

#[tokio::test]
async fn the_device_cookie_stays_at_the_gateway() {
    let stage = Stage::new().await;
    let cookie = device(&stage.anonymous().log_in("alice", &password_of("alice")).await);
    let sent = format!("a=1; {cookie}; b=2");
    let request = Request::get("/public/x").header("Cookie", &sent);
    assert_eq!(stage.anonymous().send(request).await.status, 200);
    let alone = Request::get("/public/x").header("Cookie", &cookie);
    assert_eq!(stage.anonymous().send(alone).await.status, 200);
    let forwarded: Vec<String> = stage
        .upstream
        .requests()
        .iter()
        .map(|request| request.text().to_ascii_lowercase())
        .collect();
    assert_eq!(forwarded.len(), 2);
    assert!(forwarded[0].contains("cookie: a=1; b=2"), "{}", forwarded[0]);
    assert!(forwarded.iter().all(|text| !text.contains("guarita-device")), "{forwarded:?}");
    assert!(!forwarded[1].contains("cookie"), "{}", forwarded[1]);
}
