//! What a caller can make the gateway spend is bounded.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::json;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::{Stage, raw_request};
use crate::harness::frames::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, Frames, HEADERS, Outcome, PING, PRIORITY,
    RST_STREAM, SETTINGS, WINDOW_UPDATE, encode, frame,
};
use crate::harness::{HOST, Http2, Request, Wire, within};

const MIB: u64 = 1024 * 1024;
/// More than any gateway of these tests ever needs.
const MEMORY: u64 = 256 * MIB;

/// The gateway still serves, in its memory, without having panicked.
async fn healthy(stage: &Stage) {
    assert_eq!(stage.anonymous().get("/public/healthy").await.status, 200);
    let memory = stage.gateway.memory().await;
    assert!(memory < MEMORY, "{} MiB", memory / MIB);
    let log = stage.gateway.log.text();
    assert!(!log.contains("panicked"), "{log}");
}

fn get(path: &str) -> [(&str, &str); 4] {
    [(":method", "GET"), (":scheme", "https"), (":authority", HOST), (":path", path)]
}

/// Sends bytes until the other side stops taking them or hangs up.
async fn flood(frames: &mut Frames, bytes: &[u8], times: usize) {
    for _ in 0..times {
        let sent = tokio::time::timeout(Duration::from_secs(2), frames.raw(bytes)).await;
        if !matches!(sent, Ok(Ok(()))) {
            return;
        }
    }
}

#[tokio::test]
async fn resource_exhaustion_001_a_stalled_handshake_is_given_up() {
    let stage = Stage::with(|setup| setup.set("limits.header_timeout", "\"1s\"")).await;
    let mut stalled = Vec::new();
    for number in 0..300 {
        let mut tcp = TcpStream::connect(stage.gateway.https()).await.unwrap();
        if number % 2 == 0 {
            // The beginning of a ClientHello, and no more.
            tcp.write_all(&[22, 3, 1, 2, 0, 1, 0]).await.unwrap();
        }
        stalled.push(Wire::over(tcp));
    }
    healthy(&stage).await;
    for wire in &mut stalled {
        wire.closed().await;
    }
    healthy(&stage).await;
}

#[tokio::test]
async fn resource_exhaustion_002_rapid_resets_end_the_connection() {
    let stage = Stage::new().await;
    let mut frames = Frames::connect(stage.gateway.https(), &stage.gateway.tls()).await;
    let block = encode(&get("/public/reset"));
    let mut burst = Vec::new();
    let mut stream = 1;
    for _ in 0..20_000 {
        burst.extend(frame(HEADERS, END_HEADERS | END_STREAM, stream, &block));
        burst.extend(frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes()));
        stream += 2;
    }
    for part in burst.chunks(64 * 1024) {
        flood(&mut frames, part, 1).await;
    }
    let outcome = frames.ended().await;
    assert!(matches!(outcome, Outcome::GoAway(_) | Outcome::Closed), "{outcome:?}");
    let reached = stage.upstream.count();
    assert!(reached < 2_000, "{reached} of 20,000 reached the upstream");
    healthy(&stage).await;
}

#[tokio::test]
async fn resource_exhaustion_003_resets_that_the_gateway_is_made_to_send_are_counted() {
    let stage = Stage::new().await;
    let block = encode(&get("/public/reset"));
    for provoke in [
        frame(WINDOW_UPDATE, 0, 1, &0_u32.to_be_bytes()),
        frame(WINDOW_UPDATE, 0, 1, &0x7fff_ffff_u32.to_be_bytes()),
        frame(PRIORITY, 0, 1, &[0; 4]),
        frame(DATA, 0, 1, b"after the end"),
    ] {
        let mut frames = Frames::connect(stage.gateway.https(), &stage.gateway.tls()).await;
        let mut burst = Vec::new();
        for stream in (1..20_000_u32).step_by(2) {
            burst.extend(frame(HEADERS, END_HEADERS | END_STREAM, stream, &block));
            let mut reset = provoke.clone();
            reset[5..9].copy_from_slice(&stream.to_be_bytes());
            burst.extend(reset);
        }
        for part in burst.chunks(64 * 1024) {
            flood(&mut frames, part, 1).await;
        }
        let outcome = frames.ended().await;
        assert!(matches!(outcome, Outcome::GoAway(_) | Outcome::Closed), "{outcome:?}");
    }
    healthy(&stage).await;
}

#[tokio::test]
async fn resource_exhaustion_004_a_header_block_without_an_end_is_given_up() {
    let stage = Stage::new().await;
    for fields in [encode(&[("x", &"v".repeat(8000))]), Vec::new()] {
        let mut frames = Frames::connect(stage.gateway.https(), &stage.gateway.tls()).await;
        frames.send(HEADERS, END_STREAM, 1, &encode(&get("/public/x"))).await.unwrap();
        let more = frame(CONTINUATION, 0, 1, &fields);
        flood(&mut frames, &more.repeat(16), 1000).await;
        let outcome = frames.ended().await;
        assert!(matches!(outcome, Outcome::GoAway(_) | Outcome::Closed), "{outcome:?}");
    }
    stage.assert_nothing_forwarded("an endless header block");
    healthy(&stage).await;
}

#[tokio::test]
async fn resource_exhaustion_005_floods_of_small_frames_cost_no_memory() {
    let stage = Stage::new().await;
    let post = [(":method", "POST"), get("/public/x")[1], get("/public/x")[2], get("/public/x")[3]];
    let before = stage.gateway.memory().await;
    for (what, piece) in [
        ("empty DATA", frame(DATA, 0, 1, &[])),
        ("PING", frame(PING, 0, 0, &[7; 8])),
        ("SETTINGS", frame(SETTINGS, 0, 0, &[0, 4, 0, 1, 0, 0])),
        ("PRIORITY", frame(PRIORITY, 0, 1, &[0, 0, 0, 3, 7])),
        ("WINDOW_UPDATE", frame(WINDOW_UPDATE, 0, 1, &1_u32.to_be_bytes())),
    ] {
        let mut frames = Frames::connect(stage.gateway.https(), &stage.gateway.tls()).await;
        frames.request(1, &post, false).await;
        flood(&mut frames, &piece.repeat(4096), 250).await;
        let grown = stage.gateway.memory().await.saturating_sub(before);
        assert!(grown < 64 * MIB, "{what}: {} MiB", grown / MIB);
        healthy(&stage).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn resource_exhaustion_006_logins_wait_in_a_bounded_queue() {
    let stage = Stage::with(|setup| {
        setup
            .set("passwords.memory", "\"19MiB\"")
            .set("passwords.concurrency", "1")
            .set("passwords.queue", "16")
    })
    .await;
    let alice = stage.alice().await;
    let mut logins = tokio::task::JoinSet::new();
    for number in 0..400 {
        let anonymous = stage.anonymous();
        logins.spawn(async move {
            anonymous.log_in(&format!("nobody{number}"), "a long enough password").await.status
        });
    }
    let mut slowest = Duration::ZERO;
    for _ in 0..20 {
        let asked = Instant::now();
        assert_eq!(alice.get("/api/x").await.status, 200);
        slowest = slowest.max(asked.elapsed());
    }
    let mut refused = 0;
    while let Some(status) = logins.join_next().await {
        let status = status.unwrap();
        assert!([401, 429, 503].contains(&status), "{status}");
        refused += usize::from(status != 401);
    }
    assert!(refused > 0, "the queue took all");
    assert!(slowest < Duration::from_secs(10), "{slowest:?}");
    healthy(&stage).await;
}

#[tokio::test]
async fn resource_exhaustion_007_a_password_is_bounded_before_it_is_hashed() {
    let stage = Stage::new().await;
    for (what, password) in [
        ("10 MiB", "p".repeat(10 * 1024 * 1024)),
        ("combining characters", "e".to_owned() + &"\u{301}".repeat(1_000_000)),
        ("15 KiB", "p".repeat(15 * 1024)),
    ] {
        let body = json!({ "username": "alice", "password": password });
        let asked = Instant::now();
        let mut wire = stage.gateway.wire().await;
        wire.send(Request::post("/auth/login").json(&body).bytes(HOST)).await;
        let status = wire.response().await.status;
        assert!([400, 401, 413].contains(&status), "{what}: {status}");
        assert!(password.len() < 16 * 1024 || status != 401, "{what}: {status}");
        assert!(asked.elapsed() < Duration::from_secs(5), "{what}: {:?}", asked.elapsed());
    }
    let nul = stage.anonymous().log_in("alice", "correct\0horse battery alice").await;
    assert!([400, 401].contains(&nul.status), "{}", nul.status);
    healthy(&stage).await;
}

#[tokio::test]
async fn resource_exhaustion_008_own_endpoints_take_no_encoded_bodies() {
    let stage = Stage::new().await;
    let body = json!({ "username": "alice", "password": crate::harness::password_of("alice") });
    for encoding in ["gzip", "br", "zstd", "deflate", "gzip, gzip"] {
        for path in ["/auth/login", "/auth/token", "/auth/refresh", "/auth/logout"] {
            let request = Request::post(path).header("content-encoding", encoding).json(&body);
            let answer = stage.anonymous().send(request).await;
            assert!([413, 415].contains(&answer.status), "{encoding} {path}: {}", answer.status);
        }
    }
}

#[tokio::test]
async fn resource_exhaustion_009_long_parameters_are_refused() {
    let stage = Stage::new().await;
    let long = "a".repeat(50_000);
    for body in [
        json!({ "username": long, "password": "p" }),
        json!({ "email": long, "password": "p" }),
        json!({ "username": "alice", "password": "p", "scope": long }),
        json!({ "refreshToken": long }),
    ] {
        for path in ["/auth/login", "/auth/token", "/auth/refresh"] {
            let answer = stage.anonymous().post(path, &body).await;
            assert!([400, 413, 414].contains(&answer.status), "{path}: {}", answer.status);
        }
    }
    let state = stage.anonymous().get(&format!("/auth/oidc/x/callback?state={long}")).await;
    assert!([400, 414, 431].contains(&state.status), "{}", state.status);
}

#[tokio::test]
async fn resource_exhaustion_010_a_number_in_a_cookie_drives_no_loop() {
    let stage = Stage::new().await;
    let crumbs: String = (0..2000).fold(String::new(), |mut text, number| {
        write!(text, "a{number}=b; ").unwrap();
        text
    });
    for cookie in [
        "__Host-sid_chunks=99999999; __Host-sid_0=x",
        "__Host-sid.0=x; __Host-sid.99999999=x",
        "sb-ref-auth-token.99999999=x",
        crumbs.trim_end(),
    ] {
        let asked = Instant::now();
        let answer = stage.anonymous().send(Request::get("/api/x").header("cookie", cookie)).await;
        assert!([400, 401].contains(&answer.status), "{}", answer.status);
        assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
    }
    stage.assert_nothing_forwarded("a cookie");
}

#[tokio::test]
async fn resource_exhaustion_011_matching_takes_linear_time() {
    let stage = Stage::with(|setup| {
        (0..200).fold(setup, |setup, number| {
            let middle: String = (0..=number % 20).map(|at| format!("/{{a{at}}}")).collect();
            setup.route(&format!(
                "path = \"/deep{middle}/n{number}/{{*rest}}\"\naccess = \"public\""
            ))
        })
    })
    .await;
    for target in [
        format!("/deep{}", "/a".repeat(4000)),
        format!("/deep/{}", "a".repeat(8000)),
        format!("/deep{}/n199/x", "/a".repeat(19)),
    ] {
        let asked = Instant::now();
        for _ in 0..20 {
            let status = stage.anonymous().get(&target).await.status;
            assert!([200, 401, 414].contains(&status), "{status}");
        }
        assert!(asked.elapsed() < Duration::from_secs(10), "{:?}", asked.elapsed());
    }
}

#[tokio::test]
async fn resource_exhaustion_012_a_refresh_family_does_not_grow_without_bound() {
    let stage = Stage::new().await;
    let mut alice = stage.alice().await;
    for _ in 0..200 {
        let next = alice.refresh().await;
        assert_eq!(next.status, 200, "{}", next.text());
        alice = alice.holding(&next.json());
    }
    assert_eq!(alice.get("/api/x").await.status, 200);
    let listed = stage
        .gateway
        .verb(&["session", "list", "--username", "alice", "--json"], "")
        .await
        .succeeded();
    let sessions: Vec<serde_json::Value> = serde_json::from_str(listed.stdout.trim()).unwrap();
    assert_eq!(sessions.len(), 1, "{}", listed.stdout);
}

#[tokio::test]
async fn resource_exhaustion_013_garbage_harms_only_itself() {
    let stage = Stage::new().await;
    let mut seed: u64 = 13;
    let mut byte = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        u8::try_from(seed >> 56).unwrap()
    };
    for round in 0..400 {
        let mut bytes: Vec<u8> = (0..200).map(|_| byte()).collect();
        if round % 2 == 0 {
            bytes = raw_request("GET /public/x HTTP/1.1", "X: y\r\n", "").into_bytes();
            for _ in 0..3 {
                let position = usize::from(byte()) % bytes.len();
                bytes[position] = byte();
            }
        }
        let mut wire = stage.gateway.wire().await;
        wire.send(&bytes).await;
        wire.finish().await;
        drop(wire.closed().await);
    }
    for round in 0..100_u32 {
        let mut frames = Frames::connect(stage.gateway.https(), &stage.gateway.tls()).await;
        let payload: Vec<u8> = (0..64).map(|_| byte()).collect();
        let kind = u8::try_from(round % 11).unwrap();
        drop(frames.send(kind, byte(), round % 3, &payload).await);
    }
    healthy(&stage).await;
}

#[tokio::test]
async fn resource_exhaustion_014_running_out_of_descriptors_is_survived() {
    let stage = Stage::with(|setup| setup.open_files(160)).await;
    assert_eq!(stage.anonymous().get("/public/x").await.status, 200);
    let mut crowd = Vec::new();
    for _ in 0..400 {
        if let Ok(Ok(tcp)) = tokio::time::timeout(
            Duration::from_millis(200),
            TcpStream::connect(stage.gateway.http()),
        )
        .await
        {
            crowd.push(tcp);
        }
    }
    drop(crowd);
    let asked = Instant::now();
    crate::harness::until("the gateway to recover", || async {
        let mut wire = stage.gateway.wire().await;
        wire.send(Request::get("/public/x").bytes(HOST)).await;
        let answer = wire.answer().await?;
        (answer.status == 200).then_some(())
    })
    .await;
    assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
    healthy(&stage).await;
}

#[tokio::test]
async fn resource_exhaustion_015_the_proxy_protocol_never_spills_into_http() {
    let stage = Stage::new().await;
    let signature = b"\r\n\r\n\0\r\nQUIT\n";
    let request = raw_request("GET /public/x HTTP/1.1", "", "");
    let version_2 = |length: u16, payload: &[u8]| {
        [&signature[..], &[0x21, 0x11], &length.to_be_bytes(), payload].concat()
    };
    for header in [
        version_2(12, &[127, 0, 0, 1, 127, 0, 0, 1, 0, 1, 0, 2]),
        version_2(12, &[]),
        version_2(u16::MAX, &vec![4; 65_535]),
        version_2(15, &[127, 0, 0, 1, 127, 0, 0, 1, 0, 1, 0, 2, 0xee, 0xff, 0xff]),
        b"PROXY TCP4 6.6.6.6 127.0.0.1 1 2\r\n".to_vec(),
        b"PROXY UNKNOWN\r\n".to_vec(),
    ] {
        let mut wire = stage.gateway.wire().await;
        wire.send([&header[..], request.as_bytes()].concat()).await;
        if let Some(answer) = wire.answer().await {
            assert_eq!(answer.status, 400, "{}", answer.text());
        }
        drop(wire.closed().await);
        stage.assert_nothing_forwarded("what followed a PROXY header");
    }
}

/// A caller that drips holds one place and no other caller.
#[tokio::test]
async fn a_dripping_head_ends_at_the_deadline_however_steady_it_is() {
    let stage = Stage::with(|setup| setup.set("limits.header_timeout", "\"1s\"")).await;
    let mut dripping = Vec::new();
    for _ in 0..100 {
        dripping.push(stage.gateway.wire().await);
    }
    let began = Instant::now();
    let head = raw_request("GET /public/slow HTTP/1.1", &format!("X: {}\r\n", "y".repeat(500)), "");
    let drip = async {
        let mut ticks = tokio::time::interval(Duration::from_millis(50));
        for letter in head.bytes().take(60) {
            ticks.tick().await;
            for wire in &mut dripping {
                wire.send([letter]).await;
            }
        }
    };
    let ask = async {
        let http2 = Http2::connect(stage.gateway.https(), &stage.gateway.tls()).await;
        for _ in 0..50 {
            assert_eq!(http2.get("/public/x", HOST, None).await.unwrap().status, 200);
        }
    };
    tokio::join!(drip, ask);
    for wire in &mut dripping {
        if let Some(answer) = within("an answer", wire.answer()).await {
            answer.assert_problem(408, "request_timeout");
        }
        wire.closed().await;
    }
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    assert!(stage.upstream.requests().iter().all(|seen| seen.target() == "/public/x"));
}
