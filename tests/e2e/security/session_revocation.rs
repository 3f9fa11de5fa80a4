//! A session that ended is dead for every credential it ever had.

mod streams;

use std::collections::HashSet;

use serde_json::json;

use super::Stage;
use crate::harness::browser::SESSION;
use crate::harness::database::{WriteLock, execute, seize};
use crate::harness::tokens::Genuine;
use crate::harness::{Browser, Persona, Request, password_of, until, within};

/// The caller is refused, now and for refreshes.
async fn assert_dead(caller: &Persona) {
    let answer = caller.get("/api/x").await;
    answer.assert_problem(401, "unauthorized");
    let refreshed = caller.refresh().await;
    assert!([400, 401].contains(&refreshed.status), "{}", refreshed.text());
}

#[tokio::test]
async fn session_revocation_001_a_logout_holds_from_its_response_on() {
    let stage = Stage::new().await;
    for _ in 0..20 {
        let alice = stage.alice().await;
        assert_eq!(alice.get("/api/x").await.status, 200);
        assert_eq!(alice.log_out().await.status, 204);
        stage.upstream.forget();
        assert_dead(&alice).await;
        stage.assert_nothing_forwarded("a request after logout");
    }
    for _ in 0..20 {
        let browser = Browser::signed_in(&stage.gateway, "alice").await;
        let cookie = format!("{SESSION}={}", browser.cookie(SESSION).unwrap());
        let request = Request::get("/api/x").header("cookie", &cookie);
        assert_eq!(stage.anonymous().send(request.clone()).await.status, 200);
        let out = Request::post("/auth/logout").header("x-csrf-token", &browser.csrf_token().await);
        assert_eq!(browser.send(out.body("")).await.status, 204);
        stage.upstream.forget();
        assert_eq!(stage.anonymous().send(request).await.status, 401);
        stage.assert_nothing_forwarded("a cookie after logout");
    }
}

/// The next login begins a session of its own; it does not wake the old one.
#[tokio::test]
async fn session_revocation_002_a_new_login_does_not_wake_an_old_session() {
    let stage = Stage::new().await;
    let first = stage.alice().await;
    assert_eq!(first.log_out().await.status, 204);
    let second = stage.alice().await;
    assert_ne!(first.sid, second.sid);
    assert_dead(&first).await;
    assert_eq!(second.get("/api/x").await.status, 200);
}

#[tokio::test]
async fn session_revocation_003_a_warm_cache_checks_role_and_session_each_time() {
    let stage = Stage::new().await;
    let alice = stage.alice().await;
    for _ in 0..5 {
        assert_eq!(alice.get("/api/x").await.status, 200);
        assert_eq!(alice.get("/admin/x").await.status, 403);
    }
    alice.log_out().await;
    stage.upstream.forget();
    assert_dead(&alice).await;
    assert_eq!(alice.get("/admin/x").await.status, 401);
    stage.assert_nothing_forwarded("a request of a session that ended");
}

#[tokio::test]
async fn session_revocation_004_a_session_must_be_present() {
    let mut stage = Stage::new().await;
    let alice = stage.alice().await;
    assert_eq!(alice.get("/api/x").await.status, 200);
    stage.gateway.terminate().await;
    stage.gateway.ended().await;
    execute(&stage.gateway.data().join("guarita.db"), "DELETE FROM sessions").await;
    let gateway = stage.gateway.crash_and_restart().await;
    stage = Stage { gateway, upstream: stage.upstream };
    stage.upstream.forget();
    let token = alice.token.unwrap();
    stage.refuses_token("a session that no table knows", &token).await;
    // A session id that never was.
    let invented = Genuine::of(&stage.alice().await)
        .claim("sid", json!("01932c07-7f0c-7d5e-8a00-0123456789ab"));
    stage.refuses_token("an invented session", &invented.signed()).await;
}

#[tokio::test]
async fn session_revocation_005_who_cannot_know_refuses() {
    let stage = Stage::new().await;
    let alice = stage.alice().await;
    let _seized = seize(&stage.gateway).await;
    let refused = until("the gateway to notice", || async {
        let answer = alice.get("/api/x").await;
        (answer.status == 503).then_some(answer)
    })
    .await;
    assert!(refused.header("retry-after").is_some());
    stage.upstream.forget();
    let token = alice.token.clone().unwrap();
    for _ in 0..3 {
        let status = stage.anonymous().with_token(&token).get("/api/x").await.status;
        assert_eq!(status, 503);
    }
    stage.assert_nothing_forwarded("a request nobody could judge");
    assert_eq!(stage.anonymous().get("/public/x").await.status, 200);
}

#[tokio::test]
async fn session_revocation_006_a_new_password_ends_every_session_of_its_user() {
    let stage = Stage::new().await;
    let sessions = [stage.alice().await, stage.alice().await, stage.alice().await];
    let root = stage.root().await;
    let arguments = ["user", "set-password", "--username", "alice", "--password-stdin"];
    stage.gateway.verb(&arguments, "another long enough password").await.succeeded();
    for session in &sessions {
        until("the session to end", || async {
            (session.get("/api/x").await.status == 401).then_some(())
        })
        .await;
        assert_dead(session).await;
    }
    assert_eq!(root.get("/api/x").await.status, 200);
    let again = stage.anonymous().log_in("alice", "another long enough password").await;
    assert_eq!(again.status, 200);
}

/// Whoever changes the password by the one in force goes on where it was changed, and nowhere else.
#[tokio::test]
async fn session_revocation_006_a_change_of_password_ends_every_other_session() {
    const NEW: &str = "another long enough password";
    let stage = Stage::new().await;
    let here = stage.alice().await;
    let there = [stage.alice().await, stage.alice().await];
    let browser = Browser::signed_in(&stage.gateway, "alice").await;
    let root = stage.root().await;
    let rotated = there[0].holding(&there[0].refresh().await.json());
    let change = json!({ "currentPassword": password_of("alice"), "newPassword": NEW });
    assert_eq!(here.post("/auth/password", &change).await.status, 204);
    stage.upstream.forget();
    for dead in there.iter().chain([&rotated]) {
        assert_dead(dead).await;
    }
    assert_eq!(browser.send(Request::get("/api/x")).await.status, 401);
    stage.assert_nothing_forwarded("a session of before the change");
    assert_eq!(here.get("/api/x").await.status, 200);
    let refreshed = here.refresh().await;
    assert_eq!(refreshed.status, 200, "{}", refreshed.text());
    let here = here.holding(&refreshed.json());
    assert_eq!(here.get("/api/x").await.status, 200);
    assert_eq!(root.get("/api/x").await.status, 200);
    assert_eq!(stage.anonymous().log_in("alice", &password_of("alice")).await.status, 401);
    assert_eq!(stage.anonymous().log_in("alice", NEW).await.status, 200);

    // In a browser as well, and the other way round.
    let browser = Browser::new(&stage.gateway);
    let body = json!({ "username": "alice", "password": NEW, "cookie": true });
    assert_eq!(browser.send(Request::post("/auth/login").json(&body)).await.status, 200);
    let back = json!({ "currentPassword": NEW, "newPassword": password_of("alice") });
    assert_eq!(browser.call("POST", "/auth/password", &back).await.status, 204);
    assert_dead(&here).await;
    assert_eq!(browser.send(Request::get("/api/x")).await.status, 200);
}

#[tokio::test]
async fn session_revocation_007_a_crash_wakes_no_session() {
    let stage = Stage::with(|setup| setup.set("tokens.refresh_grace", "\"0s\"")).await;
    let (gone, all, kept) = (stage.alice().await, stage.alice().await, stage.root().await);
    let reused = stage.root().await;
    assert_eq!(reused.refresh().await.status, 200);
    assert_eq!(reused.refresh().await.status, 401);
    assert_eq!(gone.log_out().await.status, 204);
    assert_eq!(all.send(Request::post("/auth/logout-all").body("")).await.status, 204);
    let gateway = stage.gateway.crash_and_restart().await;
    let stage = Stage { gateway, upstream: stage.upstream };
    stage.upstream.forget();
    for dead in [&gone, &all, &reused] {
        assert_dead(&stage.anonymous().like(dead)).await;
    }
    stage.assert_nothing_forwarded("a request of a session that ended before the crash");
    assert_eq!(stage.anonymous().like(&kept).get("/api/x").await.status, 200);
}

#[tokio::test]
async fn session_revocation_008_each_way_of_revoking_counts_by_itself() {
    let stage = Stage::new().await;
    let (one, two, three) = (stage.alice().await, stage.alice().await, stage.alice().await);
    let root = stage.root().await;
    assert_eq!(one.log_out().await.status, 204);
    let sid = two.sid.clone().unwrap();
    stage.gateway.verb(&["session", "revoke", "--sid", &sid], "").await.succeeded();
    until("the second session to end", || async {
        (two.get("/api/x").await.status == 401).then_some(())
    })
    .await;
    assert_eq!(three.get("/api/x").await.status, 200);
    assert_eq!(three.send(Request::post("/auth/logout-all").body("")).await.status, 204);
    let fresh = stage.alice().await;
    for dead in [&one, &two, &three] {
        assert_dead(dead).await;
    }
    assert_eq!(fresh.get("/api/x").await.status, 200);
    assert_eq!(root.get("/api/x").await.status, 200, "somebody else's");
}

/// The times are such that a machine that stands still for seconds changes nothing.
#[tokio::test]
async fn session_revocation_009_a_session_ends_however_busy_it_is() {
    let stage = Stage::with(|setup| {
        setup
            .set("tokens.access_ttl", "\"5s\"")
            .set("tokens.refresh_ttl", "\"8s\"")
            .set("tokens.session_ttl", "\"12s\"")
            .set("tokens.leeway", "\"0s\"")
            .set("rate_limits.refresh.per_source", "\"off\"")
    })
    .await;
    let alice = stage.alice().await;
    assert_eq!(alice.get("/api/x").await.status, 200);
    // Kept active without a pause, the token ends all the same.
    until("the access token to end", || async {
        (alice.get("/api/x").await.status == 401).then_some(())
    })
    .await;
    until("the refresh token to end", || async {
        (alice.refresh().await.status == 401).then_some(())
    })
    .await;
    assert_dead(&alice).await;
    // Nor does it help that each token is exchanged in time.
    let mut busy = stage.alice().await;
    let mut exchanges = 0;
    let ended = within("the session to end", async {
        loop {
            let next = busy.refresh().await;
            if next.status != 200 {
                return next;
            }
            busy = busy.holding(&next.json());
            exchanges += 1;
        }
    })
    .await;
    ended.assert_problem(401, "invalid_refresh_token");
    assert!(exchanges > 1, "the first was the last");
    assert_dead(&busy).await;
}

/// A tenth of the rounds that the case names: each takes a login, and a thousand more than a minute.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn session_revocation_010_refresh_and_logout_at_once_leave_nothing_alive() {
    let stage = Stage::new().await;
    for round in 0..100 {
        let alice = stage.alice().await;
        let refresh_token = json!({ "refreshToken": alice.refresh_token });
        let (refreshed, logged_out) = tokio::join!(alice.refresh(), async {
            match round % 2 {
                0 => alice.log_out().await,
                _ => alice.post("/auth/logout", &refresh_token).await,
            }
        });
        assert!([200, 401].contains(&refreshed.status), "{}", refreshed.text());
        assert_eq!(logged_out.status, 204, "{}", logged_out.text());
        assert_dead(&alice).await;
        if refreshed.status == 200 {
            assert_dead(&stage.anonymous().holding(&refreshed.json())).await;
        }
    }
}

#[tokio::test]
async fn session_revocation_011_secrets_are_long_unique_and_stored_as_hashes_only() {
    let stage = Stage::new().await;
    let (mut sessions, mut tokens, mut ids) = (HashSet::new(), HashSet::new(), HashSet::new());
    let mut refresh = Vec::new();
    for _ in 0..150 {
        let alice = stage.alice().await;
        ids.insert(Genuine::of(&alice).claims["jti"].to_string());
        sessions.insert(alice.sid.clone().unwrap());
        let token = alice.refresh_token.clone().unwrap();
        assert!(token.len() >= 43, "fewer than 256 bits: {}", token.len());
        tokens.insert(token.clone());
        refresh.push(token);
    }
    assert_eq!((sessions.len(), tokens.len(), ids.len()), (150, 150, 150));
    for (name, bytes) in crate::harness::database::content(&stage.gateway).await {
        for secret in refresh.iter().map(String::as_str).chain([password_of("alice").as_str()]) {
            let found = crate::harness::raw::find(&bytes, &secret.as_bytes()[..20]);
            assert!(found.is_none(), "{name} holds a secret in the clear");
        }
    }
}

#[tokio::test]
async fn session_revocation_012_a_logout_that_was_not_kept_is_not_reported_as_done() {
    let stage = Stage::new().await;
    let alice = stage.alice().await;
    let lock = WriteLock::hold(&stage.gateway.data().join("guarita.db")).await;
    let answer = alice.log_out().await;
    assert!([500, 503].contains(&answer.status), "{} {}", answer.status, answer.text());
    lock.release().await;
    until("the logout to succeed", || async {
        (alice.log_out().await.status == 204).then_some(())
    })
    .await;
    assert_dead(&alice).await;
}

#[tokio::test]
async fn session_revocation_013_a_forged_logout_token_ends_nobody_s_session() {
    let stage = Stage::new().await;
    let alice = stage.alice().await;
    let sid = alice.sid.clone().unwrap();
    let header = crate::harness::tokens::encode(r#"{"alg":"none","typ":"logout+jwt"}"#);
    let claims = json!({ "iss": "ms-auth", "aud": "api", "sub": "alice", "sid": sid });
    let forged = format!("{header}.{}.", crate::harness::tokens::encode(claims.to_string()));
    for path in ["/auth/oidc/backchannel", "/auth/oidc/entra/backchannel", "/auth/logout"] {
        let request = Request::post(path)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(format!("logout_token={forged}&logout_token={forged}"));
        let status = stage.anonymous().send(request).await.status;
        assert!((400..500).contains(&status), "{path}: {status}");
        let bearer = Request::post(path).bearer(&forged).body("");
        let status = stage.anonymous().send(bearer).await.status;
        assert!((200..500).contains(&status), "{path}: {status}");
    }
    assert_eq!(alice.get("/api/x").await.status, 200);
}

#[tokio::test]
async fn session_revocation_014_a_session_id_alone_ends_nothing() {
    let stage = Stage::new().await;
    let alice = stage.alice().await;
    let sid = alice.sid.clone().unwrap();
    for target in [
        format!("/auth/oidc/frontchannel?sid={sid}&iss=ms-auth"),
        format!("/auth/logout?sid={sid}"),
        format!("/auth/sessions/{sid}"),
    ] {
        for method in ["GET", "POST", "DELETE"] {
            let request = Request::new(method, &target).body("");
            let status = stage.anonymous().send(request).await.status;
            assert!((400..500).contains(&status), "{method} {target}: {status}");
        }
    }
    assert_eq!(alice.get("/api/x").await.status, 200);
}
