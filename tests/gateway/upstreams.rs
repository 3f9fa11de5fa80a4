//! Upstream pools: turns, health, ejection, retries, refusals; TLS and HTTP/2 to the upstream.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;

use crate::harness::{Gateway, Setup, Upstream, eventually};

fn setup(servers: &[&Upstream], more: &str) -> Setup {
    let servers: Vec<String> =
        servers.iter().map(|upstream| format!("\"http://{}\"", upstream.address)).collect();
    Setup::new(format!(
        "[[upstreams]]\nname = \"app\"\nservers = [{}]\n{more}\n\n\
         [[routes]]\npath = \"/{{*rest}}\"\nupstream = \"app\"\naccess = \"public\"\n",
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
    let gateway = setup(&[&silent], "eject_after = 1000").files();
    let toml = format!(
        "[[upstreams]]\nname = \"app\"\nservers = [\"http://{}\"]\n\n[[routes]]\n\
         path = \"/{{*rest}}\"\nupstream = \"app\"\naccess = \"public\"\ntimeout = \"300ms\"\n",
        silent.address
    );
    drop(gateway);
    let gateway = Setup::new(toml).start().await;
    assert_eq!(code(&gateway, "/").await, (504, "gateway_timeout".into()));
}
