//! Reload while running: no failed request, no wrong decision, no dropped connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use futures_util::{SinkExt as _, StreamExt as _};
use tokio_tungstenite::tungstenite::Message;

use crate::harness::{Gateway, Persona, Setup, Upstream, Wire, eventually, within};

fn configuration(upstream: &Upstream, generation: usize) -> String {
    format!(
        r#"
[[upstreams]]
name = "app"
servers = ["http://{}"]

[[routes]]
path = "/api/{{*rest}}"
upstream = "app"

[[routes]]
path = "/admin/{{*rest}}"
upstream = "app"
allow = {{ roles = ["admin"] }}

[[routes]]
path = "/generation/{generation}"
upstream = "app"
access = "public"
"#,
        upstream.address
    )
}

/// Makes requests until told to stop; how many, each with the decision that was due.
async fn load(persona: Persona, stop: Arc<AtomicBool>) -> usize {
    let mut count = 0;
    while !stop.load(Ordering::Relaxed) {
        for (path, status) in [("/api/x", 200), ("/admin/x", 403), ("/none", 404)] {
            assert_eq!(persona.status(path).await, status, "{path} after {count} requests");
            count += 1;
        }
    }
    count
}

/// HTTP/1.1 on one connection after another.
async fn raw_load(gateway: &Gateway, token: &str, stop: &AtomicBool, count: &AtomicUsize) {
    while !stop.load(Ordering::Relaxed) {
        let mut wire = Wire::plain(gateway.http()).await;
        for _ in 0..50 {
            let request = format!(
                "GET /api/x HTTP/1.1\r\nHost: app.example.test\r\nAuthorization: Bearer {token}\r\n\r\n"
            );
            let answer = wire.ask(request).await.expect("an answer");
            assert_eq!(answer.status, 200);
            count.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_reloads_under_load_fail_no_request_and_drop_no_websocket() {
    let upstream = Upstream::start().await;
    let echo = websocket_echo().await;
    let sockets = format!(
        "\n[[upstreams]]\nname = \"echo\"\nservers = [\"http://{echo}\"]\n\n\
         [[routes]]\npath = \"/socket\"\nupstream = \"echo\"\naccess = \"public\"\n"
    );
    let written = |generation| configuration(&upstream, generation) + &sockets;
    let gateway = Setup::new(written(0)).user("alice", &["user"]).start().await;
    let mut socket = websocket(&gateway).await;

    let stop = Arc::new(AtomicBool::new(false));
    let alice = gateway.bearer("alice").await;
    let http2 = tokio::spawn(load(alice.clone(), Arc::clone(&stop)));
    let count = AtomicUsize::new(0);
    let reloads = async {
        for generation in 1..=1000 {
            if generation % 10 == 0 {
                gateway.reload("[[routes]]\npath = \"nowhere\"\nunknown = 1\n").await;
            } else {
                gateway.reload(&written(generation)).await;
            }
            if generation % 100 == 1 {
                socket.send(Message::text(generation.to_string())).await.unwrap();
                let echoed = within("the echo", socket.next()).await.unwrap().unwrap();
                assert_eq!(echoed.into_text().unwrap().as_str(), generation.to_string());
            }
        }
        stop.store(true, Ordering::Relaxed);
    };
    tokio::join!(reloads, raw_load(&gateway, alice.access(), &stop, &count));
    let http2 = http2.await.unwrap();
    println!("{http2} requests on HTTP/2 and {} on HTTP/1.1", count.load(Ordering::Relaxed));
    assert!(http2 > 100 && count.load(Ordering::Relaxed) > 100);
    // The last one was refused: what was good before it is in force.
    eventually("the last one to be refused", || async {
        gateway.metrics().await.contains("guarita_config_reload_success 0").then_some(())
    })
    .await;
    assert_eq!(gateway.anonymous().status("/generation/999").await, 200);
    assert_eq!(gateway.anonymous().status("/generation/998").await, 401);
}

#[tokio::test]
async fn a_bad_change_is_told_with_its_place_and_leaves_the_old_in_force() {
    let upstream = Upstream::start().await;
    let gateway = Setup::new(configuration(&upstream, 1)).start().await;
    gateway.reload("[[routes]]\npath = \"/x\"\nupstream = \"nobody\"\n").await;
    assert_eq!(gateway.anonymous().status("/generation/1").await, 200);
    let line = gateway.wait_for_log("config.reload.failed").await;
    assert!(line.contains("guarita.toml:") && line.contains("nobody"), "{line}");
    eventually("readyz to tell", || async {
        let answer = reqwest::get(format!("http://{}/readyz", gateway.ops())).await.unwrap();
        let ready = answer.status() == 200;
        (ready && answer.text().await.unwrap().contains("nobody")).then_some(())
    })
    .await;
    gateway.configure(&configuration(&upstream, 2));
    eventually("what is good again", || async {
        (gateway.anonymous().status("/generation/2").await == 200).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_changed_file_is_taken_up_without_a_signal() {
    let upstream = Upstream::start().await;
    let gateway = Setup::new(configuration(&upstream, 1)).start().await;
    gateway.configure(&configuration(&upstream, 2));
    eventually("the change", || async {
        (gateway.anonymous().status("/generation/2").await == 200).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_changed_certificate_is_shown_to_the_next_connection() {
    let upstream = Upstream::start().await;
    let gateway = Setup::new(configuration(&upstream, 1)).start().await;
    let before = Wire::handshake(&gateway, "app.example.test", None, &["http/1.1"]).await;
    assert!(before.is_ok());
    let stranger = crate::harness::Authority::new("Another CA");
    let certificate = stranger.server(&["app.example.test"]);
    std::fs::write(gateway.path("key.pem"), &certificate.key).unwrap();
    std::fs::write(gateway.path("cert.pem"), &certificate.chain).unwrap();
    eventually("the new certificate", || async {
        let shown = Wire::handshake(&gateway, "app.example.test", None, &["http/1.1"]).await;
        shown.is_err().then_some(())
    })
    .await;
    let mut old = before.unwrap();
    let answer =
        old.ask("GET /generation/1 HTTP/1.1\r\nHost: app.example.test\r\n\r\n").await.unwrap();
    assert_eq!(answer.status, 200, "a connection outlives its certificate");
}

async fn websocket(
    gateway: &Gateway,
) -> tokio_tungstenite::WebSocketStream<impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin> {
    let socket = tokio::net::TcpStream::connect(gateway.http()).await.unwrap();
    let url = "ws://app.example.test/socket";
    within("the upgrade", tokio_tungstenite::client_async(url, socket)).await.unwrap().0
}

/// Echoes every message.
async fn websocket_echo() -> std::net::SocketAddr {
    let address = std::net::SocketAddr::new(crate::harness::loopback(), 9300);
    let listener = tokio::net::TcpListener::bind(address).await.unwrap();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(async move {
                let Ok(mut socket) = tokio_tungstenite::accept_async(socket).await else { return };
                while let Some(Ok(message)) = socket.next().await {
                    if socket.send(message).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}
