//! Upstream pools: turns, health, ejection, retries, refusals; TLS and HTTP/2 to the upstream.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::harness::{Answer, Gateway, HOST, Http2, Request, Setup, Upstream, until, within};

fn setup(servers: &[&Upstream], more: &str) -> Setup {
    routed(servers, more, "")
}

/// The same with more to say about the route.
fn routed(servers: &[&Upstream], more: &str, route: &str) -> Setup {
    let servers: Vec<String> = servers.iter().map(|upstream| upstream.url()).collect();
    let servers: Vec<&str> = servers.iter().map(String::as_str).collect();
    Setup::new()
        .upstream_with("u", &servers, more)
        .route(&format!("path = \"/{{*rest}}\"\naccess = \"public\"\n{route}"))
}

/// Begins an answer and never ends it.
async fn silent() -> Upstream {
    Upstream::answering(|_| Answer::Bytes(b"HTTP/1.1 200 OK\r\n".to_vec())).await
}

async fn assert_fails(gateway: &Gateway, status: u16, code: &str) {
    gateway.anonymous().get("/").await.assert_problem(status, code);
}

#[tokio::test]
async fn servers_take_turns() {
    let (one, two) = (Upstream::start().await, Upstream::start().await);
    let gateway = setup(&[&one, &two], "").start().await;
    let anonymous = gateway.anonymous();
    for _ in 0..10 {
        assert_eq!(anonymous.get("/").await.status, 200);
    }
    assert_eq!((one.count(), two.count()), (5, 5));
}

#[tokio::test]
async fn an_idempotent_request_is_tried_on_another_server_and_a_post_is_not_sent_twice() {
    let broken = Upstream::answering(|_| Answer::Close).await;
    let sound = Upstream::start().await;
    let gateway = setup(&[&broken, &sound], "eject_after = 1000").start().await;
    let anonymous = gateway.anonymous();
    for _ in 0..4 {
        assert_eq!(anonymous.get("/").await.status, 200);
    }
    assert!(broken.count() > 0);
    broken.forget();
    let mut refused = 0;
    for _ in 0..4 {
        let answer = anonymous.send(Request::post("/").body("once")).await;
        refused += usize::from(answer.status == 502);
    }
    assert_eq!(refused, broken.count(), "each POST that met the broken server failed");
    assert_eq!(sound.count(), 4 + 4 - refused);
}

#[tokio::test]
async fn a_server_that_cannot_be_reached_is_passed_over_and_ejected() {
    let gone = Upstream::start().await;
    let sound = Upstream::start().await;
    let gateway = setup(&[&gone, &sound], "eject_after = 2\neject_for = \"1h\"").start().await;
    let address = gone.address;
    drop(gone);
    let anonymous = gateway.anonymous();
    for _ in 0..8 {
        let answer = anonymous.send(Request::post("/").body("x")).await;
        assert_eq!(answer.status, 200, "nothing was sent, so it may go on");
    }
    until("the ejection", || async {
        let series = format!("{{server=\"{address}\",upstream=\"u\"}}");
        let metrics = gateway.operations("/metrics").await.text();
        let told = metrics.contains(&format!("guarita_upstream_healthy{series} 0"))
            && metrics.contains(&format!("guarita_upstream_failures_total{series} 2"));
        told.then_some(())
    })
    .await;
}

#[tokio::test]
async fn probing_takes_a_server_out_and_brings_it_back() {
    let healthy = Arc::new(AtomicBool::new(true));
    let state = Arc::clone(&healthy);
    let upstream = Upstream::answering(move |request| {
        let is_well = request.target() != "/probe" || state.load(Ordering::Relaxed);
        Answer::status(if is_well { 200 } else { 500 })
    })
    .await;
    let check = "health_check = { path = \"/probe\", interval = \"100ms\" }";
    let gateway = setup(&[&upstream], check).start().await;
    let anonymous = gateway.anonymous();
    let becomes = async |status: u16| {
        until("the change", || async { (anonymous.get("/").await.status == status).then_some(()) })
            .await;
    };
    becomes(200).await;
    healthy.store(false, Ordering::Relaxed);
    becomes(503).await;
    assert_fails(&gateway, 503, "unavailable").await;
    healthy.store(true, Ordering::Relaxed);
    becomes(200).await;
}

#[tokio::test]
async fn what_fails_behind_us_is_a_problem_body() {
    let closes = Upstream::answering(|_| Answer::Close).await;
    let gateway = setup(&[&closes], "eject_after = 1000").start().await;
    assert_fails(&gateway, 502, "bad_gateway").await;

    let rubbish = Upstream::answering(|_| Answer::Bytes(b"SSH-2.0-OpenSSH\r\n\r\n".to_vec())).await;
    let gateway = setup(&[&rubbish], "eject_after = 1000").start().await;
    assert_fails(&gateway, 502, "bad_gateway").await;

    let upstream = silent().await;
    let gateway = setup(&[&upstream], "read_timeout = \"200ms\"\neject_after = 1000").start().await;
    assert_fails(&gateway, 504, "gateway_timeout").await;
}

#[tokio::test]
async fn the_routes_time_is_a_bound_on_the_whole_answer() {
    let upstream = silent().await;
    let gateway = routed(&[&upstream], "", "timeout = \"300ms\"").start().await;
    assert_fails(&gateway, 504, "gateway_timeout").await;
}

#[tokio::test]
async fn once_the_routes_time_is_up_no_other_server_is_asked() {
    let (one, two) = (silent().await, silent().await);
    let gateway = routed(&[&one, &two], "", "timeout = \"300ms\"").start().await;
    assert_fails(&gateway, 504, "gateway_timeout").await;
    assert_eq!(one.count() + two.count(), 1);
}

#[tokio::test]
async fn a_body_that_does_not_come_is_no_failure_of_the_server() {
    let upstream = Upstream::start().await;
    let gateway = setup(&[&upstream], "read_timeout = \"300ms\"\neject_after = 1").start().await;
    let head = "POST / HTTP/1.1\r\nhost: a.test\r\ncontent-length: 4\r\n\r\nhal";
    let answer = gateway.wire().await.ask(head).await.unwrap();
    assert_eq!(answer.status, 408, "{answer:?}");
    assert_eq!(
        gateway.anonymous().get("/").await.status,
        200,
        "the server still counts as healthy"
    );

    let http2 = Http2::connect(gateway.https(), &gateway.tls()).await;
    let mut client = within("the connection", http2.sender().ready()).await.unwrap();
    let post = http::Request::post(format!("https://{HOST}/")).body(()).unwrap();
    let (answer, mut body) = client.send_request(post, false).unwrap();
    body.send_data("hal".into(), false).unwrap();
    assert_eq!(within("an answer", answer).await.unwrap().status(), 408);
    assert_eq!(
        gateway.anonymous().get("/").await.status,
        200,
        "the server still counts as healthy"
    );
}

#[tokio::test]
async fn the_routes_time_is_a_bound_on_a_body_that_trickles() {
    let upstream = Upstream::start().await;
    let gateway = routed(&[&upstream], "", "timeout = \"300ms\"").start().await;
    let mut caller = gateway.wire().await;
    caller.send("POST / HTTP/1.1\r\nhost: a.test\r\ntransfer-encoding: chunked\r\n\r\n").await;
    let (mut reads, mut writes) = tokio::io::split(caller.into_stream());
    let trickle = async {
        while writes.write_all(b"1\r\nx\r\n").await.is_ok() {
            tokio::task::yield_now().await;
        }
        std::future::pending::<()>().await;
    };
    let mut status = [0; 12];
    let answered = async {
        tokio::select! {
            read = reads.read_exact(&mut status) => read.unwrap(),
            () = trickle => 0,
        }
    };
    within("an answer", answered).await;
    assert_eq!(&status, b"HTTP/1.1 504");
}
