//! Whether answers, or the time they take, tell which names exist.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::Stage;
use crate::harness::{Request, Response, Setup};

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
