//! How WebSockets end: with their session, their token or in silence, by a close frame where no frame is
//! cut, and nobody else's with them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::api_keys;
use crate::harness::provider::{Key, Provider};
use crate::harness::{
    Answer, Gateway, HOST, Persona, Request, Setup, Socket, Upstream, until, within,
};

/// The session ended (RFC 6455 section 7.4.2: for private use).
const SESSION_ENDED: Option<u16> = Some(4401);
/// Going away (RFC 6455 section 7.4.1).
const GOING_AWAY: Option<u16> = Some(1001);
/// What the documentation gives, with room for a slow machine.
const ENDS_WITHIN: Duration = Duration::from_secs(5);

async fn echoing(change: impl FnOnce(Setup) -> Setup) -> (Upstream, Gateway) {
    let upstream = Upstream::answering(|_| Answer::WebSocket).await;
    let gateway = change(Setup::standard(&upstream.url())).start().await;
    (upstream, gateway)
}

async fn open(gateway: &Gateway, caller: &Persona) -> Socket {
    Socket::under(gateway, "/api/ws", caller.token.as_ref().unwrap()).await.unwrap()
}

async fn ends(socket: &mut Socket) -> Option<u16> {
    tokio::time::timeout(ENDS_WITHIN, socket.closed()).await.expect("it outlives its session")
}

async fn disable(gateway: &Gateway, username: &str) {
    gateway.verb(&["user", "disable", "--username", username], "").await.succeeded();
}

/// An upstream that hands every connection over once the handshake was read and taken.
async fn taking() -> (SocketAddr, mpsc::UnboundedReceiver<TcpStream>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, receiver) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            let head = String::from_utf8(head).unwrap();
            let key = head.lines().find_map(|line| line.strip_prefix("sec-websocket-key: "));
            let answer = format!(
                "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\
                 sec-websocket-accept: {}\r\n\r\n",
                derive_accept_key(key.unwrap().as_bytes()),
            );
            stream.write_all(answer.as_bytes()).await.unwrap();
            if sender.send(stream).is_err() {
                return;
            }
        }
    });
    (address, receiver)
}

#[tokio::test]
async fn both_ends_are_told_that_the_session_ended() {
    let (address, mut taken) = taking().await;
    let gateway = Setup::standard(&format!("http://{address}")).start().await;
    for by_another_process in [false, true] {
        let alice = gateway.bearer("alice").await;
        let mut socket = open(&gateway, &alice).await;
        let mut upstream = within("the upstream", taken.recv()).await.unwrap();
        if by_another_process {
            disable(&gateway, "alice").await;
        } else {
            assert_eq!(alice.log_out().await.status, 204);
        }
        assert_eq!(ends(&mut socket).await, SESSION_ENDED);
        let mut said = Vec::new();
        within("the upstream's end", upstream.read_to_end(&mut said)).await.unwrap();
        let (head, key, payload) = (&said[..2], &said[2..6], &said[6..]);
        assert_eq!(head, [0x88, 0x80 | 15], "a masked close frame: {said:?}");
        let payload: Vec<u8> =
            payload.iter().zip(key.iter().cycle()).map(|(octet, key)| octet ^ key).collect();
        assert_eq!(payload, b"\x11\x31session ended");
        let is = |line: &serde_json::Value| {
            line["event"] == "ws.connection.closed" && line["sid"] == serde_json::json!(alice.sid)
        };
        assert_eq!(gateway.audited("the end", is).await["reason"], "revoked");
    }
    assert_eq!(gateway.metric("guarita_websockets_open", "").await, 0.0);
    assert_eq!(gateway.metric("guarita_websockets_closed_total", "revoked").await, 2.0);
    let cut = gateway.audit().into_iter().any(|line| line["event"] == "session.stream_closed");
    assert!(!cut, "they were closed, not cut");
}

const LENGTHS: [usize; 3] = [9, 30_000, 200_000];

/// A frame of an upstream whose payload looks like close frames.
fn frame(length: usize) -> Vec<u8> {
    let mut frame = vec![0x82];
    match length {
        0..=125 => frame.push(u8::try_from(length).unwrap()),
        126..=0xffff => {
            frame.push(126);
            frame.extend(u16::try_from(length).unwrap().to_be_bytes());
        }
        _ => {
            frame.push(127);
            frame.extend(u64::try_from(length).unwrap().to_be_bytes());
        }
    }
    frame.resize(frame.len() + length, 0x88);
    frame
}

/// The frame that is under way arrives whole, then the close frame, then nothing.
#[tokio::test]
async fn no_frame_is_cut_by_the_close_frame() {
    let (address, mut taken) = taking().await;
    let gateway = Setup::standard(&format!("http://{address}")).start().await;
    for round in 0..10 {
        let alice = gateway.bearer("alice").await;
        let mut socket = open(&gateway, &alice).await;
        let upstream = within("the upstream", taken.recv()).await.unwrap();
        let (mut listens, mut speaks) = upstream.into_split();
        let speaking = tokio::spawn(async move {
            let frame = frame(LENGTHS[round % 3]);
            while speaks.write_all(&frame).await.is_ok() {}
        });
        assert_eq!(socket.next().await.len(), LENGTHS[round % 3]);
        let (out, code) = tokio::join!(alice.log_out(), ends(&mut socket));
        assert_eq!((out.status, code), (204, SESSION_ENDED), "round {round}");
        let mut said = Vec::new();
        drop(within("the upstream's end", listens.read_to_end(&mut said)).await);
        within("the end of the upstream's words", speaking).await.unwrap();
    }
}

/// An upstream that stops within a frame cannot keep a WebSocket open: it is cut without a close frame.
#[tokio::test]
async fn half_a_frame_does_not_keep_a_websocket_open() {
    let (address, mut taken) = taking().await;
    let gateway = Setup::standard(&format!("http://{address}")).start().await;
    for octets in
        [&b"\x82"[..], b"\x82\x7e\x00", b"\x82\x05hel", b"\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff"]
    {
        let alice = gateway.bearer("alice").await;
        let mut wire = alice.wire().await;
        let request = Request::get("/api/ws")
            .header("connection", "Upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
        wire.send(alice.signed(request).bytes(HOST)).await;
        assert_eq!(wire.head().await.unwrap().status, 101);
        let mut upstream = within("the upstream", taken.recv()).await.unwrap();
        upstream.write_all(octets).await.unwrap();
        assert_eq!(wire.take(octets.len()).await.unwrap(), octets);
        assert_eq!(alice.log_out().await.status, 204);
        let rest = tokio::time::timeout(ENDS_WITHIN, wire.closed()).await;
        assert_eq!(rest.expect("it outlives its session"), b"", "{octets:?}");
        let is = |line: &serde_json::Value| {
            line["event"] == "ws.connection.closed" && line["sid"] == serde_json::json!(alice.sid)
        };
        assert_eq!(gateway.audited("the end", is).await["reason"], "revoked");
    }
}

/// Neither does a caller that takes nothing of what it is sent.
#[tokio::test]
async fn a_caller_that_reads_nothing_does_not_keep_a_websocket_open() {
    let (address, mut taken) = taking().await;
    let gateway = Setup::standard(&format!("http://{address}")).start().await;
    let alice = gateway.bearer("alice").await;
    let _socket = open(&gateway, &alice).await;
    let mut upstream = within("the upstream", taken.recv()).await.unwrap();
    let frame = frame(LENGTHS[2]);
    let speaking = tokio::spawn(async move { while upstream.write_all(&frame).await.is_ok() {} });
    let is = |line: &serde_json::Value| {
        line["event"] == "ws.connection.closed" && line["sid"] == serde_json::json!(alice.sid)
    };
    assert_eq!(alice.log_out().await.status, 204);
    let told = tokio::time::timeout(ENDS_WITHIN, gateway.audited("the end", is)).await;
    assert_eq!(told.expect("it outlives its session")["reason"], "revoked");
    within("the end of the upstream's words", speaking).await.unwrap();
}

#[tokio::test]
async fn a_closed_websocket_gets_no_second_close_frame() {
    let (address, mut taken) = taking().await;
    let gateway = Setup::standard(&format!("http://{address}")).start().await;
    let alice = gateway.bearer("alice").await;
    let mut socket = open(&gateway, &alice).await;
    let mut upstream = within("the upstream", taken.recv()).await.unwrap();
    upstream.write_all(b"\x88\x02\x03\xe8").await.unwrap();
    assert!(socket.next().await.is_close());
    assert_eq!(alice.log_out().await.status, 204);
    let code = ends(&mut socket).await;
    assert_eq!(code, None, "the upstream's own was the last");
}

#[tokio::test]
async fn a_websocket_ends_with_its_token_and_with_its_session_s_time() {
    for settings in ["access_ttl", "session_ttl"] {
        let (_upstream, gateway) =
            echoing(|setup| setup.set(&format!("tokens.{settings}"), "\"2s\"")).await;
        let alice = gateway.bearer("alice").await;
        let mut socket = open(&gateway, &alice).await;
        socket.echoes("hello").await;
        assert_eq!(ends(&mut socket).await, SESSION_ENDED, "{settings}");
        let is = |line: &serde_json::Value| line["event"] == "ws.connection.closed";
        assert_eq!(gateway.audited("the end", is).await["reason"], "expired");
    }
}

#[tokio::test]
async fn a_websocket_ends_with_its_api_key_and_outlives_the_other_of_its_name() {
    let (_upstream, gateway) = echoing(|setup| setup).await;
    let mut sockets = Vec::new();
    let mut keys = Vec::new();
    for _ in 0..2 {
        let key = api_keys::create(&gateway, "jobs", &[]).await;
        let fields = [("x-service-api-key", key.as_str())];
        sockets.push(Socket::open(&gateway, "/api/ws", &fields).await.unwrap());
        keys.push(key);
    }
    api_keys::revoke(&gateway, &keys[0]).await.succeeded();
    assert_eq!(ends(&mut sockets[0]).await, SESSION_ENDED);
    sockets[1].echoes("still here").await;
}

/// websocket-006, for a token behind which there is no session.
#[tokio::test]
async fn a_websocket_ends_with_the_token_of_a_provider() {
    let key = Key::new("k1");
    let provider = Provider::start(&[&key]).await;
    let (_upstream, gateway) = echoing(|setup| setup.table(&provider.table(""))).await;
    let mut claims = provider.claims("ada");
    claims["exp"] = (claims["iat"].as_i64().unwrap() + 3).into();
    let mut socket = Socket::under(&gateway, "/api/ws", &key.sign(&claims)).await.unwrap();
    socket.echoes("here").await;
    assert_eq!(ends(&mut socket).await, SESSION_ENDED);
}

#[tokio::test]
async fn a_ticket_hands_on_when_its_token_ends() {
    let (_upstream, gateway) = echoing(|setup| setup.set("tokens.access_ttl", "\"2s\"")).await;
    let alice = gateway.bearer("alice").await;
    let body = serde_json::json!({ "path": "/api/ws" });
    let ticket = alice.post("/auth/ws-ticket", &body).await.json()["ticket"].clone();
    let target = format!("/api/ws?ticket={}", ticket.as_str().unwrap());
    let mut socket = Socket::open(&gateway, &target, &[]).await.unwrap();
    assert_eq!(ends(&mut socket).await, SESSION_ENDED);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_websocket_that_nobody_uses_is_closed_and_one_in_use_is_not() {
    let idle = |setup: Setup| setup.set("limits.websocket_idle_timeout", "\"3s\"");
    let (_upstream, gateway) = echoing(idle).await;
    let alice = gateway.bearer("alice").await;
    let (mut silent, mut busy) = (open(&gateway, &alice).await, open(&gateway, &alice).await);
    let mut nobody_s = Socket::open(&gateway, "/public/ws", &[]).await.unwrap();
    let (stop, stopped) = watch::channel(false);
    let working = tokio::spawn(async move {
        while !*stopped.borrow() {
            busy.echoes("still here").await;
        }
        busy
    });
    assert_eq!(silent.closed().await, GOING_AWAY);
    assert_eq!(nobody_s.closed().await, GOING_AWAY);
    stop.send_replace(true);
    let mut busy = working.await.unwrap();
    busy.echoes("and here").await;
    let is = |line: &serde_json::Value| line["event"] == "ws.connection.closed";
    assert_eq!(gateway.audited("the end", is).await["reason"], "idle");
}

/// Most sessions, so that some end and the others are seen not to.
const USERS: usize = 20;
const SESSIONS_OF_EACH: usize = 10;
const SOCKETS_OF_EACH: usize = 10;

/// What a caller's end saw.
enum Seen {
    Closed(usize, u16, Instant),
    Alive(usize),
}

/// Reads one WebSocket to its end; asks whether it is alive when told to.
async fn follow(
    number: usize,
    mut socket: Socket,
    mut ask: watch::Receiver<bool>,
    seen: mpsc::UnboundedSender<Seen>,
) {
    let mut asked = false;
    loop {
        tokio::select! {
            message = socket.0.next() => {
                let told = match message {
                    Some(Ok(Message::Text(_))) => Seen::Alive(number),
                    Some(Ok(Message::Close(Some(frame)))) => {
                        Seen::Closed(number, frame.code.into(), Instant::now())
                    }
                    _ => Seen::Closed(number, 0, Instant::now()),
                };
                let over = matches!(told, Seen::Closed(..));
                if seen.send(told).is_err() || over {
                    return;
                }
            }
            changed = ask.changed(), if !asked => {
                if changed.is_err() || socket.0.send(Message::text("alive?")).await.is_err() {
                    return;
                }
                asked = true;
            }
        }
    }
}

/// Two thousand WebSockets of two hundred sessions, half of which end: by logout, by logout-all, by
/// `guarita user disable` in another process.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_thousands_exactly_those_of_ended_sessions_are_closed() {
    let _ = rlimit::increase_nofile_limit(u64::MAX);
    let users: Vec<String> = (0..USERS).map(|user| format!("user{user}")).collect();
    let (_upstream, gateway) =
        echoing(|setup| users.iter().fold(setup, |setup, user| setup.user(user, &["user"]))).await;
    let gateway = Arc::new(gateway);
    let (ask, asked) = watch::channel(false);
    let (sender, mut seen) = mpsc::unbounded_channel();
    let mut sessions = Vec::new();
    for user in &users {
        for _ in 0..SESSIONS_OF_EACH {
            sessions.push(gateway.bearer(user).await);
        }
    }
    let count = sessions.len() * SOCKETS_OF_EACH;
    for (session, caller) in sessions.iter().enumerate() {
        let opening = (0..SOCKETS_OF_EACH).map(|_| open(&gateway, caller));
        let opened = futures_util::future::join_all(opening).await;
        for (socket, place) in opened.into_iter().zip(session * SOCKETS_OF_EACH..) {
            tokio::spawn(follow(place, socket, asked.clone(), sender.clone()));
        }
    }
    assert_eq!(gateway.metric("guarita_websockets_open", "").await, count as f64);

    // Eight users sign out of each session, one of all at once, one is disabled.
    let ending = 10 * SESSIONS_OF_EACH;
    let began = Instant::now();
    let out = sessions[..8 * SESSIONS_OF_EACH].iter().map(Persona::log_out);
    let all = sessions[8 * SESSIONS_OF_EACH].send(Request::post("/auth/logout-all").body(""));
    let (out, all, ()) =
        tokio::join!(futures_util::future::join_all(out), all, disable(&gateway, &users[9]));
    assert!(out.iter().all(|answer| answer.status == 204) && all.status == 204);
    let done = Instant::now();

    let mut closed = vec![false; count];
    let mut last = began;
    let ended = async {
        for _ in 0..ending * SOCKETS_OF_EACH {
            match seen.recv().await.unwrap() {
                Seen::Closed(number, code, at) => {
                    assert_eq!(code, 4401, "{number}");
                    assert!(number < ending * SOCKETS_OF_EACH, "{number} is another's");
                    closed[number] = true;
                    last = last.max(at);
                }
                Seen::Alive(number) => panic!("nobody asked {number}"),
            }
        }
    };
    within("the end of the WebSockets", ended).await;
    assert_eq!(closed.iter().filter(|closed| **closed).count(), ending * SOCKETS_OF_EACH);
    let after = last.saturating_duration_since(done);
    eprintln!(
        "{count} WebSockets of {} sessions; {ending} sessions ended in {:?}; the last of their {} \
         WebSockets was closed {after:?} after the last answer",
        sessions.len(),
        done - began,
        ending * SOCKETS_OF_EACH,
    );
    assert!(after < ENDS_WITHIN, "{after:?}");

    // All others go on.
    ask.send_replace(true);
    let alive = async {
        for _ in 0..count - ending * SOCKETS_OF_EACH {
            match seen.recv().await.unwrap() {
                Seen::Alive(number) => assert!(!closed[number]),
                Seen::Closed(number, code, _) => panic!("{number} was closed with {code}"),
            }
        }
    };
    within("an echo of all others", alive).await;
    until("the gauge", || async {
        let open = gateway.metric("guarita_websockets_open", "").await;
        (open == (count - ending * SOCKETS_OF_EACH) as f64).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_gateway_that_stops_closes_its_websockets_and_waits_for_nobody() {
    let (_upstream, mut gateway) = echoing(|setup| setup.set("drain.timeout", "\"60s\"")).await;
    let alice = gateway.bearer("alice").await;
    let mut sockets = vec![open(&gateway, &alice).await, open(&gateway, &alice).await];
    for socket in &mut sockets {
        socket.echoes("hello").await;
    }
    gateway.terminate().await;
    for socket in &mut sockets {
        assert_eq!(ends(socket).await, GOING_AWAY);
    }
    assert!(gateway.ended().await.success());
    let closed = gateway.audit().into_iter().filter(|line| line["event"] == "ws.connection.closed");
    let reasons: Vec<_> = closed.map(|line| line["reason"].as_str().unwrap().to_owned()).collect();
    assert_eq!(reasons, ["draining", "draining"]);
}
