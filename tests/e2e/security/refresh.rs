//! Refresh tokens: rotation, the grace in which a repeated request gets the same successor, reuse.

use std::collections::HashSet;

use futures_util::future::join_all;
use serde_json::json;

use super::{Persona, Request, Response, Stage};
use crate::harness::database;
use crate::harness::wait::until;

/// Rows of a table.
async fn rows(stage: &Stage, statement: &str) -> Vec<String> {
    database::execute(&stage.gateway.data().join("guarita.db"), statement).await
}

async fn without_grace() -> Stage {
    Stage::with(|setup| setup.set("tokens.refresh_grace", "\"0s\"")).await
}

fn renewed(caller: &Persona, answer: &Response) -> Persona {
    assert_eq!(answer.status, 200, "{}", answer.text());
    caller.holding(&answer.json())
}

async fn assert_dead(caller: &Persona) {
    assert_eq!(caller.get("/api/x").await.status, 401);
    caller.refresh().await.assert_problem(401, "invalid_refresh_token");
}

#[tokio::test]
async fn refresh_001_a_replay_after_the_grace_ends_the_family_and_is_told() {
    let stage = Stage::with(|setup| setup.set("tokens.refresh_grace", "\"1s\"")).await;
    let (first, other) = (stage.alice().await, stage.alice().await);
    let second = renewed(&first, &first.refresh().await);
    assert_eq!(second.get("/api/x").await.status, 200);
    until("the grace to end", || async { (first.refresh().await.status == 401).then_some(()) })
        .await;
    assert_dead(&first).await;
    assert_dead(&second).await;
    assert_eq!(other.get("/api/x").await.status, 200, "another session of the same user");
    const REUSE: &str = "auth.refresh.reuse_detected";
    let told = stage.gateway.audited("the reuse", |event| event["event"] == REUSE).await;
    assert_eq!(told["sid"], json!(second.sid));
    assert_eq!(told["level"], "error");
    stage
        .gateway
        .log
        .wait_for("the error", |line| line["level"] == "ERROR" && line.to_string().contains(REUSE))
        .await;
    let events = stage.gateway.audit();
    assert_eq!(events.iter().filter(|event| event["event"] == REUSE).count(), 1);
}

#[tokio::test]
async fn refresh_002_a_hundred_at_once_are_one_rotation_and_a_hundred_equal_answers() {
    let stage = Stage::new().await;
    let alice = stage.alice().await;
    let answers = join_all((0..100).map(|_| alice.refresh())).await;
    let bodies: HashSet<String> = answers
        .iter()
        .map(|answer| {
            assert_eq!(answer.status, 200, "{}", answer.text());
            answer.json().to_string()
        })
        .collect();
    assert_eq!(bodies.len(), 1);
    assert_eq!(rows(&stage, "SELECT COUNT(*) FROM refresh_tokens").await, ["2"]);
    let next = renewed(&alice, &answers[0]);
    assert_eq!(next.get("/api/x").await.status, 200);
    assert_eq!(next.refresh().await.status, 200);
    assert!(stage.gateway.audit().iter().all(|it| it["event"] != "auth.refresh.reuse_detected"));
}

#[tokio::test]
async fn refresh_003_the_grace_makes_no_second_chain() {
    let stage = Stage::with(|setup| setup.set("tokens.refresh_grace", "\"2s\"")).await;
    let first = stage.alice().await;
    let second = renewed(&first, &first.refresh().await);
    assert_ne!(second.refresh_token, first.refresh_token);
    assert_eq!(second.sid, first.sid);
    assert_eq!(second.get("/api/x").await.status, 200);
    let again = renewed(&first, &first.refresh().await);
    assert_eq!(again.refresh_token, second.refresh_token);
    assert_eq!(second.get("/api/x").await.status, 200);
    let third = renewed(&second, &second.refresh().await);
    let thrice = renewed(&again, &again.refresh().await);
    assert_eq!(thrice.refresh_token, third.refresh_token);
    // Whoever keeps replaying the first ends it for all.
    until("the grace to end", || async { (first.refresh().await.status == 401).then_some(()) })
        .await;
    assert_dead(&third).await;
}

#[tokio::test]
async fn refresh_004_a_used_token_stays_used_after_a_crash() {
    let stage = without_grace().await;
    let first = stage.alice().await;
    let second = renewed(&first, &first.refresh().await);
    let gateway = stage.gateway.crash_and_restart().await;
    let stage = Stage { gateway, upstream: stage.upstream };
    let (first, second) = (stage.anonymous().like(&first), stage.anonymous().like(&second));
    first.refresh().await.assert_problem(401, "invalid_refresh_token");
    assert_dead(&first).await;
    assert_dead(&second).await;
}

#[tokio::test]
async fn refresh_005_no_refresh_outlives_its_logout() {
    let stage = Stage::new().await;
    let alice = stage.alice().await;
    let next = renewed(&alice, &alice.refresh().await);
    assert_eq!(next.log_out().await.status, 204);
    assert_dead(&next).await;
    // Not even within the grace.
    assert_dead(&alice).await;
}

#[tokio::test]
async fn refresh_007_the_account_is_read_anew_at_each_refresh() {
    let stage = Stage::new().await;
    let (alice, root) = (stage.alice().await, stage.root().await);
    stage.gateway.verb(&["user", "disable", "--username", "alice"], "").await.succeeded();
    alice.refresh().await.assert_problem(401, "invalid_refresh_token");
    let arguments = ["user", "set-password", "--username", "root", "--password-stdin"];
    stage.gateway.verb(&arguments, "another long enough password").await.succeeded();
    root.refresh().await.assert_problem(401, "invalid_refresh_token");
}

#[tokio::test]
async fn refresh_008_a_foreign_site_can_rotate_nothing() {
    let stage = Stage::new().await;
    let alice = stage.alice().await;
    let token = alice.refresh_token.clone().unwrap();
    for cookie in ["__Secure-rt", "__Host-refresh", "refreshToken", "refresh_token"] {
        let request = Request::post("/auth/refresh")
            .header("origin", "https://evil.test")
            .header("sec-fetch-site", "cross-site")
            .header("cookie", &format!("{cookie}={token}"));
        for body in [json!({}), json!({ "refreshToken": null })] {
            let answer = stage.anonymous().send(request.clone().json(&body)).await;
            assert!(matches!(answer.status, 400 | 401 | 403), "{}", answer.text());
        }
    }
    assert_eq!(rows(&stage, "SELECT COUNT(*) FROM refresh_tokens").await, ["1"]);
    assert_eq!(alice.refresh().await.status, 200);
}

#[tokio::test]
async fn refresh_009_no_token_rests_in_the_store() {
    let stage = Stage::new().await;
    let first = stage.alice().await;
    let second = renewed(&first, &first.refresh().await);
    let dump = rows(&stage, "SELECT * FROM refresh_tokens").await.join("\n");
    let sessions = rows(&stage, "SELECT * FROM sessions").await.join("\n");
    for caller in [&first, &second] {
        for secret in [&caller.refresh_token, &caller.token] {
            let secret = secret.as_deref().unwrap();
            assert!(!dump.contains(secret) && !sessions.contains(secret));
        }
    }
    let mut files = std::fs::read_dir(stage.gateway.data()).unwrap().flatten();
    let found = files.find(|file| {
        let bytes = std::fs::read(file.path()).unwrap_or_default();
        let secret = second.refresh_token.as_deref().unwrap().as_bytes();
        crate::harness::raw::find(&bytes, secret).is_some()
    });
    assert!(found.is_none(), "{found:?}");
}

#[tokio::test]
async fn refresh_010_a_flood_of_refreshes_holds_nobody_up() {
    let stage = Stage::new().await;
    let (alice, root) = (stage.alice().await, stage.root().await);
    let used = stage.alice().await;
    let flood = (0..300).map(|number| {
        let mut caller = used.clone();
        if number % 2 == 0 {
            caller.refresh_token = Some(format!("random-{number}"));
        }
        async move { caller.refresh().await.status }
    });
    let (statuses, answer) = tokio::join!(join_all(flood), root.refresh());
    assert!(statuses.iter().all(|status| matches!(status, 200 | 401 | 429)), "{statuses:?}");
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(alice.refresh().await.status, 200);
}

#[tokio::test]
async fn a_session_ends_at_its_longest_life_however_often_it_is_refreshed() {
    let stage = Stage::with(|setup| setup.set("tokens.session_ttl", "\"3s\"")).await;
    let mut alice = stage.alice().await;
    let answer = alice.refresh().await;
    assert!(answer.json()["expiresIn"].as_u64().unwrap() <= 3);
    alice = renewed(&alice, &answer);
    until("the session to end", || {
        let caller = alice.clone();
        async move { (caller.refresh().await.status == 401).then_some(()) }
    })
    .await;
    assert_eq!(alice.get("/api/x").await.status, 401);
}

#[tokio::test]
async fn rotation_can_be_left_out_and_so_can_refresh_tokens() {
    let stage = Stage::with(|setup| setup.set("tokens.refresh_rotation", "\"static\"")).await;
    let alice = stage.alice().await;
    let next = renewed(&alice, &alice.refresh().await);
    assert_eq!(next.refresh_token, alice.refresh_token);
    let stage = Stage::with(|setup| setup.set("tokens.refresh_rotation", "\"off\"")).await;
    let alice = stage.alice().await;
    assert_eq!(alice.refresh_token, None);
    assert_eq!(alice.get("/api/x").await.status, 200);
}

/// Case refresh-006: a refresh token is its session's and no client's. There is no way by which a client could
/// exchange one, and whatever it tries uses nothing up.
#[tokio::test]
async fn refresh_006_no_client_exchanges_the_token_of_another() {
    let stage = Stage::with(|setup| {
        setup.environment(
            "INTROSPECTION_CLIENTS",
            "one:the-secret-of-client-one-at-length,two:the-secret-of-client-two-at-length",
        )
    })
    .await;
    let alice = stage.alice().await;
    let token = alice.refresh_token.clone().unwrap();
    let form = format!("grant_type=refresh_token&refresh_token={token}&client_id=two");
    for basic in [
        "dHdvOnRoZS1zZWNyZXQtb2YtY2xpZW50LXR3by1hdC1sZW5ndGg=",
        "dHdvOnRoZS1zZWNyZXQtb2YtY2xpZW50LW9uZS1hdC1sZW5ndGg=",
    ] {
        let request = Request::post("/oauth2/token")
            .header("authorization", &format!("Basic {basic}"))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form.as_str());
        let answer = stage.anonymous().send(request).await;
        assert!(matches!(answer.status, 400 | 401 | 404), "{}", answer.text());
        assert!(!answer.text().contains("access_token"), "{}", answer.text());
    }
    assert_eq!(rows(&stage, "SELECT COUNT(*) FROM refresh_tokens").await, ["1"]);
    let next = renewed(&alice, &alice.refresh().await);
    assert_eq!(next.get("/api/x").await.status, 200);
}
