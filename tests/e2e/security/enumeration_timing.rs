//! Whether answers, or the time they take, tell which names exist.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::Stage;
use crate::harness::browser::SESSION;
use crate::harness::database::execute;
use crate::harness::tokens::Genuine;
use crate::harness::{Browser, Gateway, Persona, Request, Response, Setup};

const WRONG: &str = "wrong password, long enough";

fn unlimited(setup: Setup) -> Setup {
    setup
        .set("rate_limits.login.per_source", "\"off\"")
        .set("rate_limits.login.per_account", "\"off\"")
        .set("lockout.failures", "1000")
        .set("lockout.duration", "\"1s\"")
}

/// What a caller can compare, apart from what differs in every answer.
fn seen(answer: &Response) -> (u16, Value, Vec<String>) {
    let mut body = answer.json();
    body["requestId"] = Value::Null;
    let names = answer.headers.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
    (answer.status, body, names)
}

/// Case enumeration-timing-005: passwords of every length are judged alike for known and unknown
/// names, and beyond the bound none is hashed.
#[tokio::test]
async fn enumeration_timing_005_the_length_of_a_password_tells_nothing() {
    let stage = Stage::with(unlimited).await;
    for length in [0, 1, 64, 128, 1_024, 1_025, 4_096, 17 << 10, 1 << 20] {
        let mut answers = Vec::new();
        for name in ["alice", "nobody"] {
            let body = json!({ "username": name, "password": "x".repeat(length) });
            let mut wire = stage.gateway.wire().await;
            let request = Request::post("/auth/login").json(&body).header("connection", "close");
            // What is too long may be refused, and the connection closed, while it is being sent.
            drop(wire.try_send(request.bytes("app.example.test")).await);
            if let Some(answer) = wire.answer().await {
                answers.push(seen(&answer));
            }
        }
        let statuses = if length <= 4_096 { &[401][..] } else { &[400, 413] };
        for answer in &answers {
            assert!(statuses.contains(&answer.0), "{length}: {answer:?}");
            assert_eq!(*answer, answers[0], "{length}");
        }
    }
    // At least 64 characters are taken: one of 1,024 bytes logs in.
    let long = "Seven words make a line; ".repeat(41)[..1_024].to_owned();
    let create = ["user", "create", "--password-stdin", "--username", "long"];
    stage.gateway.verb(&create, &long).await.succeeded();
    assert_eq!(stage.anonymous().log_in("long", &long).await.status, 200);
}

/// Case enumeration-timing-006, for what there is of it: a lock, a rate and a disabled account tell
/// no more about a known name than about an unknown one.
#[tokio::test]
async fn enumeration_timing_006_no_answer_before_the_right_password_differs_by_name() {
    let stage = Stage::with(|setup| {
        setup
            .set("rate_limits.login.per_account", "\"4/1h\"")
            .set("lockout.failures", "3")
            .user_with("carol", Some("carol@example.test"), &[])
            .user("mallory", &[])
    })
    .await;
    stage.gateway.verb(&["user", "disable", "--username", "mallory"], "").await.succeeded();
    let mut all = Vec::new();
    for (member, name) in [
        ("username", "alice"),
        ("username", "nobody"),
        ("username", "mallory"),
        ("email", "carol@example.test"),
        ("email", "nobody@example.test"),
    ] {
        let mut answers = Vec::new();
        for _ in 0..6 {
            let body = json!({ member: name, "password": WRONG });
            answers.push(seen(&stage.anonymous().post("/auth/login", &body).await));
        }
        all.push(answers);
    }
    assert!(all.iter().all(|answers| *answers == all[0]), "{all:#?}");
}

/// Tokens and cookies of every state in which they open nothing, each with what it is.
#[derive(Default)]
struct Void {
    bearers: Vec<(&'static str, String)>,
    cookies: Vec<(&'static str, String)>,
    refresh_tokens: Vec<(&'static str, String)>,
}

const NOBODY: &str = "01932c07-7f0c-7d5e-8a00-0123456789ab";

impl Void {
    /// What a person and a browser hold whose sessions are about to end somehow.
    async fn hold(&mut self, gateway: &Gateway, state: &'static str, name: &str) -> Persona {
        let persona = gateway.bearer(name).await;
        let browser = Browser::signed_in(gateway, name).await;
        self.bearers.push((state, persona.token.clone().unwrap()));
        self.refresh_tokens.push((state, persona.refresh_token.clone().unwrap()));
        self.cookies.push((state, browser.cookie(SESSION).unwrap()));
        persona
    }

    /// What was never given out.
    fn make_up(&mut self, genuine: &Genuine) {
        let claim = |name: &str, value: Value| genuine.clone().claim(name, value).signed();
        let secret = "A".repeat(43);
        self.bearers.extend([
            ("over", claim("exp", json!(1_000_000_000))),
            ("of no session", claim("sid", json!(NOBODY))),
            ("without a session", claim("sid", Value::Null)),
            ("with another signature", format!("{}A", genuine.text)),
            ("without a signature", genuine.text[..genuine.text.rfind('.').unwrap() + 1].into()),
            ("no token", "junk".into()),
            ("of three parts", "a.b.c".into()),
            ("no credential", "a b".into()),
            ("long", "x".repeat(9_000)),
        ]);
        self.cookies.extend([
            ("of no session", format!("{NOBODY}.{secret}")),
            (
                "with another secret",
                format!("{}.{secret}", genuine.claims["sid"].as_str().unwrap()),
            ),
            ("without a secret", NOBODY.into()),
            ("no cookie of ours", "junk".into()),
            ("long", "x".repeat(9_000)),
        ]);
        self.refresh_tokens.extend([
            ("never given out", secret),
            ("short", "x".into()),
            ("none", String::new()),
            ("long", "x".repeat(9_000)),
            ("an access token", genuine.text.clone()),
        ]);
    }
}

/// Case enumeration-timing-007, for what there is of it: what state a token is in that opens nothing,
/// no answer tells.
#[tokio::test]
async fn enumeration_timing_007_a_token_that_opens_nothing_is_refused_alike_in_every_state() {
    let stage = Stage::with(|setup| {
        let open = |setup: Setup, key: &str| setup.set(&format!("rate_limits.{key}"), "\"off\"");
        let setup = open(open(setup, "login.per_source"), "refresh.per_source");
        setup.set("tokens.refresh_grace", "\"0s\"").user("mallory", &["user"]).user("erin", &[])
    })
    .await;
    let mut void = Void::default();
    let gateway = &stage.gateway;
    let revoked = void.hold(gateway, "revoked", "alice").await;
    void.hold(gateway, "expired", "erin").await;
    void.hold(gateway, "of the disabled", "mallory").await;
    let used = gateway.bearer("root").await;
    assert_eq!(used.refresh().await.status, 200);
    void.refresh_tokens.push(("used", used.refresh_token.clone().unwrap()));
    let late = gateway.bearer("root").await;
    void.refresh_tokens.push(("over, of a session that is not", late.refresh_token.unwrap()));
    let token = json!({ "refreshToken": revoked.refresh_token });
    assert_eq!(revoked.post("/auth/logout-all", &token).await.status, 204);
    gateway.verb(&["user", "disable", "--username", "mallory"], "").await.succeeded();
    let erin = "(SELECT id FROM users WHERE username = 'erin')";
    for end in [
        format!("UPDATE sessions SET expires_at = 1 WHERE user_id = {erin}"),
        format!(
            "UPDATE refresh_tokens SET expires_at = 1 WHERE session_id = '{}'",
            late.sid.unwrap()
        ),
        format!(
            "UPDATE refresh_tokens SET expires_at = 1 WHERE session_id IN \
             (SELECT id FROM sessions WHERE user_id = {erin})"
        ),
    ] {
        execute(&gateway.data().join("guarita.db"), &end).await;
    }
    void.make_up(&Genuine::of(&gateway.bearer("root").await));
    // What was opened before is remembered by the process.
    let gateway = stage.gateway.crash_and_restart().await;
    let nobody = gateway.anonymous();

    for target in ["/api/x", "/admin/x", "/nothing", "/auth/sessions", "/auth/nothing"] {
        let mut answers = Vec::new();
        for (state, token) in &void.bearers {
            answers.push((state, nobody.send(Request::get(target).bearer(token)).await));
        }
        for (state, cookie) in &void.cookies {
            let cookie = format!("{SESSION}={cookie}");
            answers
                .push((state, nobody.send(Request::get(target).header("cookie", &cookie)).await));
        }
        let (_, first) = &answers[0];
        first.assert_problem(401, "unauthorized");
        for (state, answer) in &answers {
            assert_eq!(seen(answer), seen(first), "{target}: a token {state}");
            assert_eq!(answer.all("www-authenticate"), first.all("www-authenticate"), "{state}");
        }
    }
    for (target, status) in
        [("/auth/refresh", 401), ("/auth/logout", 204), ("/auth/logout-all", 204)]
    {
        let mut first = None;
        for (state, token) in &void.refresh_tokens {
            let answer = nobody.post(target, &json!({ "refreshToken": token })).await;
            assert_eq!(answer.status, status, "{target}: a token {state}: {}", answer.text());
            let names = |answer: &Response| {
                answer.headers.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>()
            };
            let body = if status == 204 { Value::Null } else { seen(&answer).1 };
            let told = (body, names(&answer));
            assert_eq!(*first.get_or_insert_with(|| told.clone()), told, "{target}: {state}");
        }
    }
    // As when a token is introspected: nothing went further.
    assert_eq!(stage.upstream.count(), 0);
}

/// Case enumeration-timing-001: how well the time of an answer tells a known name from an unknown
/// one. A benchmark: it prints, and asserts nothing of time.
#[tokio::test]
#[ignore = "a benchmark of 2,000 logins: prints, asserts nothing"]
async fn enumeration_timing_001_known_and_unknown_names_take_the_same_time() {
    let stage = Stage::with(|setup| {
        unlimited(setup).set("passwords.memory", "\"19MiB\"").set("passwords.iterations", "2")
    })
    .await;
    let mut times = [Vec::new(), Vec::new()];
    for round in 0..990 {
        let unknown = format!("nobody{}", round % 7);
        for (kind, name) in [(0, "alice"), (1, unknown.as_str())] {
            times[kind].push(time_of(&stage, name).await);
        }
    }
    print(times);
}

/// Case enumeration-timing-003: with half of the accounts at another cost, an unknown name is as
/// likely to be slow as a known one. A benchmark: it prints, and asserts nothing of time.
#[tokio::test]
#[ignore = "a benchmark of 1,200 logins: prints, asserts nothing"]
async fn enumeration_timing_003_hashes_of_two_costs_do_not_tell_names_apart() {
    let stage = Stage::with(unlimited).await;
    let dear = "$2y$10$abcdefghijklmnopqrstuu7EJV7kdjBBQxyb0HjTh9KS7.Lah/6CG";
    let mut rows = String::from("username,password_hash\n");
    for number in 0..300 {
        let hash = if number % 2 == 0 { dear } else { "" };
        rows.push_str(&format!("user{number},{hash}\n"));
    }
    let import = ["user", "import", "--format", "csv", "-"];
    stage.gateway.verb(&import, &rows).await.succeeded();
    let mut times = [Vec::new(), Vec::new()];
    for number in 0..300 {
        for (kind, name) in [(0, "user"), (1, "nobody")] {
            times[kind].push(time_of(&stage, &format!("{name}{number}")).await);
        }
    }
    print(times);
}

pub(super) fn print([mut known, mut unknown]: [Vec<Duration>; 2]) {
    known.sort_unstable();
    unknown.sort_unstable();
    let below: usize = known.iter().map(|time| unknown.partition_point(|other| other < time)).sum();
    let pairs = f64::from(u32::try_from(known.len() * unknown.len()).unwrap());
    let auc = f64::from(u32::try_from(below).unwrap()) / pairs;
    let (median, other) = (known[known.len() / 2], unknown[unknown.len() / 2]);
    eprintln!("known {median:?}, unknown {other:?}, AUC {:.3}", auc.max(1.0 - auc));
}

async fn time_of(stage: &Stage, name: &str) -> Duration {
    let body = json!({ "username": name, "password": WRONG });
    let mut wire = stage.gateway.wire().await;
    let request = Request::post("/auth/login").json(&body).header("connection", "close");
    let start = Instant::now();
    let answer = wire.exchange(&request, "app.example.test").await;
    let taken = start.elapsed();
    assert_eq!(answer.status, 401, "{}", answer.text());
    taken
}

/// Case enumeration-timing-002: nobody registers by themselves, so that there is nothing to ask: a path that
/// others have for it answers the same for a taken and a free address, and makes nothing.
#[tokio::test]
async fn enumeration_timing_002_no_path_registers_and_none_tells_addresses_apart() {
    let stage =
        Stage::with(|setup| setup.user_with("ada", Some("ada@example.test"), &["user"])).await;
    for path in ["/auth/register", "/register", "/signup", "/auth/signup", "/auth/users"] {
        let mut answers = Vec::new();
        for email in ["ada@example.test", "free@example.test"] {
            let body = serde_json::json!({ "username": email, "email": email, "password": "a long one, of many words" });
            let answer = stage.anonymous().post(path, &body).await;
            let mut told = answer.json();
            told["requestId"] = serde_json::Value::Null;
            answers.push((answer.status, told));
        }
        assert_eq!(answers[0], answers[1], "{path}");
        assert_eq!(answers[0].0, 401, "{path}");
    }
    let users = stage.gateway.verb(&["user", "list"], "").await.succeeded();
    assert!(!users.stdout.contains("free@"), "{}", users.stdout);
}
