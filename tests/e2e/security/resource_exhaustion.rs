//! What a caller can make the gateway spend is bounded.

mod floods;

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::json;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::{Stage, raw_request};
use crate::harness::frames::Frames;
use crate::harness::tokens::encode;
use crate::harness::{Gateway, HOST, Http2, Request, Wire, within};
use crate::providers::{SECRET, by_secret, supabase};

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

/// What one request may make the gateway compute, far from what a loop of millions would.
async fn assert_cheap(gateway: &Gateway, before: Duration, what: &str) {
    let spent = gateway.cpu_time().await.saturating_sub(before);
    assert!(spent < Duration::from_secs(5), "{what}: {spent:?} of a processor");
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
        let before = stage.gateway.cpu_time().await;
        let mut wire = stage.gateway.wire().await;
        wire.send(Request::post("/auth/login").json(&body).bytes(HOST)).await;
        let status = wire.response().await.status;
        assert!([400, 401, 413].contains(&status), "{what}: {status}");
        assert!(password.len() < 16 * 1024 || status != 401, "{what}: {status}");
        assert_cheap(&stage.gateway, before, what).await;
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

/// Where a provider keeps sessions in numbered pieces, no number in a name says how many are looked for.
#[tokio::test]
async fn resource_exhaustion_010_a_number_in_a_cookie_drives_no_loop() {
    const NAME: &str = "sb-project-auth-token";
    let (upstream, gateway, claims) = supabase("").await;
    let stage = Stage { upstream, gateway };
    let session = json!({ "access_token": by_secret(&claims, SECRET) }).to_string();
    let encoded = format!("base64-{}", encode(session));
    let joined = |pieces: &[&str]| {
        pieces.iter().enumerate().fold(String::new(), |mut text, (number, piece)| {
            write!(text, "{NAME}.{number}={piece}; ").unwrap();
            text
        })
    };
    let in_pieces = |count: usize| {
        let length = encoded.len().div_ceil(count);
        let (mut rest, mut pieces) = (encoded.as_str(), Vec::new());
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(length.min(rest.len()));
            pieces.push(piece);
            rest = after;
        }
        joined(&pieces)
    };
    let status = async |cookies: &str| {
        let request = Request::get("/api/x").header("cookie", cookies.trim_end_matches("; "));
        stage.anonymous().send(request).await.status
    };
    assert_eq!(status(&in_pieces(3)).await, 200, "its pieces are read at all");
    stage.upstream.forget();
    let crumbs: String = (0..2000).fold(String::new(), |mut text, number| {
        write!(text, "a{number}=b; ").unwrap();
        text
    });
    let (large, nested, escaped) = ("A".repeat(9_000), "[".repeat(9_000), "%22".repeat(3_000));
    for cookies in [
        "__Host-guarita-session_chunks=99999999; __Host-guarita-session_0=x".to_owned(),
        "__Host-guarita-session.0=x; __Host-guarita-session.99999999=x".to_owned(),
        format!("{NAME}.99999999=x"),
        format!("{NAME}.0=x; {NAME}.99999999=x"),
        format!("{NAME}.0=x; {NAME}.18446744073709551615=x; {NAME}.-1=x"),
        format!("{NAME}_chunks=99999999; {NAME}.0=x"),
        joined(&["x"; 41]),
        // A good session, in more pieces than are looked for.
        in_pieces(41),
        joined(&[&format!("base64-{large}"), &large, &large]),
        joined(&[nested.as_str(); 3]),
        joined(&[escaped.as_str(); 3]),
        crumbs,
    ] {
        let before = stage.gateway.cpu_time().await;
        let status = status(&cookies).await;
        let what = &cookies[..cookies.len().min(80)];
        assert!([400, 401].contains(&status), "{status}: {what}");
        assert_cheap(&stage.gateway, before, what).await;
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
    let open_files = 160_u32;
    let stage = Stage::with(|setup| setup.open_files(open_files)).await;
    assert_eq!(stage.anonymous().get("/public/x").await.status, 200);
    let crowd = (0..400).map(|_| {
        let connecting = TcpStream::connect(stage.gateway.http());
        tokio::time::timeout(Duration::from_millis(200), connecting)
    });
    let crowd = futures_util::future::join_all(crowd).await;
    let connected = crowd.iter().filter(|tcp| matches!(tcp, Ok(Ok(_)))).count();
    assert!(connected > open_files as usize, "{connected} are fewer than it may open");
    drop(crowd);
    crate::harness::until("the gateway to recover", || async {
        let mut wire = stage.gateway.wire().await;
        wire.send(Request::get("/public/x").bytes(HOST)).await;
        let answer = wire.answer().await?;
        (answer.status == 200).then_some(())
    })
    .await;
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
