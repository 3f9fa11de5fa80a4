//! Upstream pools: turns, health, ejection, retries, refusals; TLS and HTTP/2 to the upstream.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::harness::{Gateway, HOST, Setup, Upstream, Wire, eventually, within};

fn setup(servers: &[&Upstream], more: &str) -> Setup {
    routed(servers, more, "")
}

/// The same with more to say about the route.
fn routed(servers: &[&Upstream], more: &str, route: &str) -> Setup {
    let servers: Vec<String> =
        servers.iter().map(|upstream| format!("\"http://{}\"", upstream.address)).collect();
    Setup::new(format!(
        "[[upstreams]]\nname = \"app\"\nservers = [{}]\n{more}\n\n\
         [[routes]]\npath = \"/{{*rest}}\"\nupstream = \"app\"\naccess = \"public\"\n{route}\n",
        servers.join(", ")
    ))
}

async fn code(gateway: &Gateway, path: &str) -> (u16, String) {
    let answer = gateway.anonymous().get(path).await;
    let status = answer.status().as_u16();
    let body: Value = answer.json().await.unwrap();
    (status, body["code"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn servers_take_turns() {
    let (one, two) = (Upstream::start().await, Upstream::start().await);
    let gateway = setup(&[&one, &two], "").start().await;
    let anonymous = gateway.anonymous();
    for _ in 0..10 {
        assert_eq!(anonymous.status("/").await, 200);
    }
    assert_eq!((one.take().len(), two.take().len()), (5, 5));
}

#[tokio::test]
async fn an_idempotent_request_is_tried_on_another_server_and_a_post_is_not_sent_twice() {
    let broken = Upstream::answering(|_| vec![]).await;
    let sound = Upstream::start().await;
    let gateway = setup(&[&broken, &sound], "eject_after = 1000").start().await;
    let anonymous = gateway.anonymous();
    for _ in 0..4 {
        assert_eq!(anonymous.status("/").await, 200);
    }
    assert!(!broken.take().is_empty());
    let mut refused = 0;
    for _ in 0..4 {
        let post = anonymous.request(reqwest::Method::POST, "/").body("once");
        refused += usize::from(post.send().await.unwrap().status() == 502);
    }
    assert_eq!(refused, broken.take().len(), "each POST that met the broken server failed");
    assert_eq!(sound.take().len(), 4 + 4 - refused);
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
        let post = anonymous.request(reqwest::Method::POST, "/").body("x");
        assert_eq!(post.send().await.unwrap().status(), 200, "nothing was sent, so it may go on");
    }
    eventually("the ejection", || async {
        let line = format!("guarita_upstream_healthy{{server=\"{address}\",upstream=\"app\"}} 0");
        let failures =
            format!("guarita_upstream_failures_total{{server=\"{address}\",upstream=\"app\"}} 2");
        let metrics = gateway.metrics().await;
        (metrics.contains(&line) && metrics.contains(&failures)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn probing_takes_a_server_out_and_brings_it_back() {
    let healthy = Arc::new(AtomicBool::new(true));
    let state = Arc::clone(&healthy);
    let upstream = Upstream::answering(move |seen| {
        let status = if seen.line() == "GET /probe" && !state.load(Ordering::Relaxed) {
            "500 No"
        } else {
            "200 OK"
        };
        format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n").into_bytes()
    })
    .await;
    let check = "health_check = { path = \"/probe\", interval = \"100ms\" }";
    let gateway = setup(&[&upstream], check).start().await;
    let anonymous = gateway.anonymous();
    let becomes = async |status: u16| {
        eventually("the change", || async {
            (anonymous.status("/").await == status).then_some(())
        })
        .await;
    };
    becomes(200).await;
    healthy.store(false, Ordering::Relaxed);
    becomes(503).await;
    assert_eq!(code(&gateway, "/").await, (503, "unavailable".into()));
    healthy.store(true, Ordering::Relaxed);
    becomes(200).await;
}

#[tokio::test]
async fn what_fails_behind_us_is_a_problem_body() {
    let closes = Upstream::answering(|_| vec![]).await;
    let gateway = setup(&[&closes], "eject_after = 1000").start().await;
    assert_eq!(code(&gateway, "/").await, (502, "bad_gateway".into()));

    let rubbish = Upstream::answering(|_| b"SSH-2.0-OpenSSH\r\n\r\n".to_vec()).await;
    let gateway = setup(&[&rubbish], "eject_after = 1000").start().await;
    assert_eq!(code(&gateway, "/").await, (502, "bad_gateway".into()));

    let silent = Upstream::answering(|_| b"HTTP/1.1 200 OK\r\n".to_vec()).await;
    let gateway = setup(&[&silent], "read_timeout = \"200ms\"\neject_after = 1000").start().await;
    assert_eq!(code(&gateway, "/").await, (504, "gateway_timeout".into()));
}

#[tokio::test]
async fn the_routes_time_is_a_bound_on_the_whole_answer() {
    let silent = Upstream::answering(|_| b"HTTP/1.1 200 OK\r\n".to_vec()).await;
    let gateway = routed(&[&silent], "", "timeout = \"300ms\"").start().await;
    assert_eq!(code(&gateway, "/").await, (504, "gateway_timeout".into()));
}

#[tokio::test]
async fn once_the_routes_time_is_up_no_other_server_is_asked() {
    let silent = || Upstream::answering(|_| b"HTTP/1.1 200 OK\r\n".to_vec());
    let (one, two) = (silent().await, silent().await);
    let gateway = routed(&[&one, &two], "", "timeout = \"300ms\"").start().await;
    assert_eq!(code(&gateway, "/").await, (504, "gateway_timeout".into()));
    assert_eq!(one.take().len() + two.take().len(), 1);
}

#[tokio::test]
async fn a_body_that_does_not_come_is_no_failure_of_the_server() {
    let upstream = Upstream::start().await;
    let gateway = setup(&[&upstream], "read_timeout = \"300ms\"\neject_after = 1").start().await;
    let head = "POST / HTTP/1.1\r\nhost: a.test\r\ncontent-length: 4\r\n\r\nhal";
    let answer = Wire::plain(gateway.http()).await.ask(head).await.unwrap();
    assert_eq!(answer.status, 408, "{}", answer.head);
    assert_eq!(gateway.anonymous().status("/").await, 200, "the server still counts as healthy");

    let wire = Wire::handshake(&gateway, HOST, None, &["h2"]).await.unwrap();
    let (mut client, connection) = h2::client::handshake(wire.into_socket()).await.unwrap();
    tokio::spawn(connection);
    let post = http::Request::post(format!("https://{HOST}/")).body(()).unwrap();
    let (answer, mut body) = client.send_request(post, false).unwrap();
    body.send_data("hal".into(), false).unwrap();
    assert_eq!(within("an answer", answer).await.unwrap().status(), 408);
    assert_eq!(gateway.anonymous().status("/").await, 200, "the server still counts as healthy");
}

#[tokio::test]
async fn the_routes_time_is_a_bound_on_a_body_that_trickles() {
    let upstream = Upstream::start().await;
    let gateway = routed(&[&upstream], "", "timeout = \"300ms\"").start().await;
    let mut caller = Wire::plain(gateway.http()).await;
    caller.send("POST / HTTP/1.1\r\nhost: a.test\r\ntransfer-encoding: chunked\r\n\r\n").await;
    let (mut reads, mut writes) = tokio::io::split(caller.into_socket());
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
