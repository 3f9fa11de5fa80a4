//! A session that ended is dead for every credential it ever had.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;
use tokio::sync::mpsc::UnboundedSender;

use super::Stage;
use crate::api_keys;
use crate::harness::database::{WriteLock, execute, seize};
use crate::harness::frames::{Frames, Outcome};
use crate::harness::tokens::Genuine;
use crate::harness::{Answer, HOST, Persona, Request, Wire, password_of, until};

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
        let cookie = format!("__Host-sid={}", alice.sid.clone().unwrap());
        let request = Request::get("/api/x").header("cookie", &cookie);
        assert_eq!(alice.send(request).await.status, 401);
        stage.assert_nothing_forwarded("a request after logout");
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
}

#[tokio::test]
async fn session_revocation_009_a_session_ends_however_busy_it_is() {
    let stage = Stage::with(|setup| {
        setup
            .set("tokens.refresh_ttl", "\"3s\"")
            .set("tokens.access_ttl", "\"2s\"")
            .set("tokens.leeway", "\"0s\"")
    })
    .await;
    let alice = stage.alice().await;
    assert_eq!(alice.get("/api/x").await.status, 200);
    // Kept active without a pause, the token ends all the same.
    until("the access token to end", || async {
        (alice.get("/api/x").await.status == 401).then_some(())
    })
    .await;
    until("the session to end", || async { (alice.refresh().await.status == 401).then_some(()) })
        .await;
    assert_dead(&alice).await;
}

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

/// Bound that the documentation gives for streams, with room for a slow machine.
const STREAMS_END_WITHIN: Duration = Duration::from_secs(5);

/// The upstream's ends of all event streams.
type Ends = Arc<Mutex<Vec<UnboundedSender<String>>>>;

/// Streams that never end by themselves: each request gets events, or a WebSocket.
async fn streaming() -> (Stage, Ends) {
    let stage = Stage::new().await;
    let ends = Ends::default();
    let kept = Arc::clone(&ends);
    stage.upstream.script(move |request| {
        if request.target().ends_with("socket") {
            return Answer::WebSocket;
        }
        let (answer, end) = Answer::events();
        end.send("first".into()).unwrap();
        kept.lock().unwrap().push(end);
        answer
    });
    (stage, ends)
}

/// The stream goes on: what the upstream sends now arrives.
async fn assert_open(wire: &mut Wire, ends: &Ends) {
    for end in ends.lock().unwrap().iter() {
        // Those of streams that were cut are gone.
        let _ = end.send("second".into());
    }
    let chunk = wire.chunk().await.expect("the stream was cut").unwrap();
    assert!(String::from_utf8_lossy(&chunk).contains("second"));
}

async fn open(caller: &Persona, request: Request, status: u16) -> Wire {
    let mut wire = caller.wire().await;
    wire.send(caller.signed(request).bytes(HOST)).await;
    assert_eq!(wire.read_head().await.unwrap().status, status);
    wire
}

async fn open_events(caller: &Persona) -> Wire {
    let mut wire = open(caller, Request::get("/api/events"), 200).await;
    assert!(wire.chunk().await.unwrap().is_some());
    wire
}

async fn open_socket(caller: &Persona) -> Wire {
    let request = Request::get("/api/socket")
        .header("connection", "Upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
    open(caller, request, 101).await
}

async fn open_frames(stage: &Stage, caller: &Persona) -> Frames {
    let credential = format!("Bearer {}", caller.token.as_deref().unwrap());
    let mut frames = Frames::connect(stage.gateway.https(), &stage.gateway.tls()).await;
    let fields = [
        (":method", "GET"),
        (":scheme", "https"),
        (":authority", HOST),
        (":path", "/api/events"),
        ("authorization", &credential),
    ];
    frames.request(1, &fields, true).await;
    assert_eq!(frames.outcome(1).await, Outcome::Status(200));
    frames
}

#[tokio::test]
async fn session_revocation_015_what_is_open_ends_with_its_session() {
    for by_another_process in [false, true] {
        let (stage, ends) = streaming().await;
        let (alice, also_alice) = (stage.alice().await, stage.alice().await);
        let mut events = open_events(&alice).await;
        let mut socket = open_socket(&alice).await;
        let mut frames = open_frames(&stage, &alice).await;
        let mut others = [open_events(&also_alice).await, open_events(&stage.root().await).await];
        if by_another_process {
            let sid = alice.sid.clone().unwrap();
            stage.gateway.verb(&["session", "revoke", "--sid", &sid], "").await.succeeded();
        } else {
            assert_eq!(alice.log_out().await.status, 204);
        }
        let ended = async {
            let rest = events.closed().await;
            assert!(!rest.ends_with(b"0\r\n\r\n"), "it was cut, not completed");
            let told = socket.closed().await;
            assert!(told.starts_with(b"\x88\x0f\x11\x31"), "a close frame, 4401: {told:?}");
            assert!(matches!(frames.outcome(1).await, Outcome::Reset(_) | Outcome::Closed));
        };
        tokio::time::timeout(STREAMS_END_WITHIN, ended).await.expect("streams outlive a session");
        let told = stage.gateway.audited("the end", |it| it["event"] == "session.stream_closed");
        assert_eq!(told.await["sid"], json!(alice.sid));
        for other in &mut others {
            assert_open(other, &ends).await;
        }
    }
}

#[tokio::test]
async fn a_stream_ends_with_its_user_and_outlives_a_change_of_roles() {
    let (stage, ends) = streaming().await;
    let alice = stage.alice().await;
    let mut events = open_events(&alice).await;
    let grant = ["user", "grant", "--username", "alice", "--role", "auditor"];
    stage.gateway.verb(&grant, "").await.succeeded();
    let other = stage.alice().await;
    assert_eq!(other.log_out().await.status, 204);
    assert_open(&mut events, &ends).await;
    stage.gateway.verb(&["user", "disable", "--username", "alice"], "").await.succeeded();
    tokio::time::timeout(STREAMS_END_WITHIN, events.closed()).await.expect("it outlives its user");
}

#[tokio::test]
async fn a_stream_ends_with_its_api_key_and_outlives_the_other_of_its_name() {
    let (stage, ends) = streaming().await;
    let gateway = &stage.gateway;
    let first = api_keys::create(gateway, "jobs", &[]).await;
    let second = api_keys::create(gateway, "jobs", &[]).await;
    let opened = async |key: &str| {
        let request = Request::get("/api/events").header("x-service-api-key", key);
        let mut wire = open(&stage.anonymous(), request, 200).await;
        assert!(wire.chunk().await.unwrap().is_some());
        wire
    };
    let mut events = opened(&first).await;
    let mut others = [opened(&second).await, open_events(&stage.alice().await).await];
    api_keys::revoke(gateway, &first).await.succeeded();
    let ended = tokio::time::timeout(STREAMS_END_WITHIN, events.closed()).await;
    let rest = ended.expect("a stream outlives its key");
    assert!(!rest.ends_with(b"0\r\n\r\n"), "it was cut, not completed");
    let told = gateway.audited("the end", |it| it["event"] == "session.stream_closed").await;
    assert!(told["apiKeyId"].is_string() && told["sid"].is_null(), "{told}");
    for other in &mut others {
        assert_open(other, &ends).await;
    }
}

/// A request that was permitted before its session ended gets its answer, not a broken connection.
#[tokio::test]
async fn what_is_about_to_be_answered_when_its_session_ends_still_is() {
    let stage = Stage::new().await;
    for _ in 0..20 {
        let alice = stage.alice().await;
        let asking: Vec<_> = (0..8).map(|_| alice.get("/api/x")).collect();
        let (answers, out) = tokio::join!(futures_util::future::join_all(asking), alice.log_out());
        assert_eq!(out.status, 204);
        assert!(answers.iter().all(|answer| matches!(answer.status, 200 | 401)));
    }
}
