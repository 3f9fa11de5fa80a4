//! Frames of HTTP/2 that cost their sender nothing.

use super::{MIB, healthy};
use crate::harness::HOST;
use crate::harness::frames::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, Frames, HEADERS, Outcome, PING, PRIORITY,
    RST_STREAM, SETTINGS, WINDOW_UPDATE, encode, frame,
};
use crate::security::Stage;

fn get(path: &str) -> [(&str, &str); 4] {
    [(":method", "GET"), (":scheme", "https"), (":authority", HOST), (":path", path)]
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
        frames.flood(part, 1).await;
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
            frames.flood(part, 1).await;
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
        frames.flood(&more.repeat(16), 1000).await;
        let outcome = frames.ended().await;
        assert!(matches!(outcome, Outcome::GoAway(_) | Outcome::Closed), "{outcome:?}");
    }
    stage.assert_nothing_forwarded("an endless header block");
    healthy(&stage).await;
}

#[tokio::test]
async fn resource_exhaustion_005_floods_of_small_frames_cost_no_memory() {
    const PIECES: usize = 250;
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
        let taken = frames.flood(&piece.repeat(4096), PIECES).await;
        if taken < PIECES {
            let outcome = frames.ended().await;
            let given_up = matches!(outcome, Outcome::GoAway(_) | Outcome::Closed);
            assert!(given_up, "{what}: {taken} were taken, and {outcome:?}");
        }
        let grown = stage.gateway.memory().await.saturating_sub(before);
        assert!(grown < 64 * MIB, "{what}: {} MiB", grown / MIB);
        healthy(&stage).await;
    }
}
