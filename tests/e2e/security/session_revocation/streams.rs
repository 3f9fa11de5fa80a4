//! What is open ends with its session.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;
use tokio::sync::mpsc::UnboundedSender;

use crate::api_keys;
use crate::harness::frames::{Frames, Outcome};
use crate::harness::{Answer, HOST, Persona, Request, Wire};
use crate::security::Stage;

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
    assert_eq!(wire.head().await.unwrap().status, status);
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
