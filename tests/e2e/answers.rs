//! Every shape that an answer can have arrives as it was sent, or is seen to be broken.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::harness::{Gateway, HOST, Http2, Setup, until};

/// A server that says the same to every request, whatever HTTP has to say to that.
#[derive(Clone)]
struct Scripted {
    address: SocketAddr,
    opened: Arc<AtomicUsize>,
    closed: Arc<AtomicUsize>,
}

/// What the server does after its answer.
#[derive(Clone, Copy, PartialEq)]
enum Then {
    Stays,
    Closes,
}

impl Scripted {
    async fn saying(answer: &'static [u8], then: Then) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let scripted = Self {
            address: listener.local_addr().unwrap(),
            opened: Arc::default(),
            closed: Arc::default(),
        };
        let shared = scripted.clone();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                shared.opened.fetch_add(1, Ordering::Relaxed);
                let closed = Arc::clone(&shared.closed);
                tokio::spawn(async move {
                    serve(socket, answer, then).await;
                    closed.fetch_add(1, Ordering::Relaxed);
                });
            }
        });
        scripted
    }

    fn setup(&self) -> Setup {
        Setup::new()
            .upstream_with("u", &[&format!("http://{}", self.address)], "eject_after = 1000")
            .route("path = \"/{*rest}\"\naccess = \"public\"")
    }

    async fn gateway(&self) -> Gateway {
        self.setup().start().await
    }

    fn opened(&self) -> usize {
        self.opened.load(Ordering::Relaxed)
    }
}

async fn serve(mut socket: TcpStream, answer: &[u8], then: Then) {
    let (mut bytes, mut head) = ([0; 4096], vec![]);
    while let Ok(read @ 1..) = socket.read(&mut bytes).await {
        head.extend_from_slice(&bytes[..read]);
        if !head.ends_with(b"\r\n\r\n") {
            continue;
        }
        head.clear();
        if socket.write_all(answer).await.is_err() || then == Then::Closes {
            return;
        }
    }
}

const GET: &str = "GET / HTTP/1.1\r\nhost: a.test\r\n\r\n";
const HEAD: &str = "HEAD / HTTP/1.1\r\nhost: a.test\r\n\r\n";

#[tokio::test]
async fn a_connection_to_a_server_is_used_again_and_again() {
    let server =
        Scripted::saying(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", Then::Stays).await;
    let gateway = server.gateway().await;
    let mut caller = gateway.wire().await;
    for _ in 0..20 {
        let answer = caller.ask(GET).await.unwrap();
        assert_eq!((answer.status, answer.text().as_str()), (200, "ok"));
    }
    assert_eq!(server.opened(), 1);
}

#[tokio::test]
async fn a_body_that_ends_with_the_server_s_connection_leaves_the_caller_s_open() {
    let server = Scripted::saying(b"HTTP/1.1 200 OK\r\n\r\nall of it", Then::Closes).await;
    let gateway = server.gateway().await;
    let mut caller = gateway.wire().await;
    for _ in 0..3 {
        let answer = caller.ask(GET).await.unwrap();
        assert_eq!(answer.header("transfer-encoding"), Some("chunked"), "{answer:?}");
        assert_eq!(answer.text(), "all of it");
    }
    let of_1_0 = Scripted::saying(b"HTTP/1.0 200 OK\r\n\r\nall of it", Then::Closes).await;
    let gateway = of_1_0.gateway().await;
    let http2 = Http2::connect(gateway.https(), &gateway.tls()).await;
    let answer = http2.get("/", HOST, None).await.unwrap();
    assert_eq!(answer.text(), "all of it");
}

#[tokio::test]
async fn an_answer_that_is_cut_is_never_taken_for_a_whole_one() {
    for cut in [
        &b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf"[..],
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nff\r\nhalf",
    ] {
        let server = Scripted::saying(cut, Then::Closes).await;
        let gateway = server.gateway().await;
        let http2 = Http2::connect(gateway.https(), &gateway.tls()).await;
        let answers = [gateway.wire().await.ask(GET).await, http2.get("/", HOST, None).await.ok()];
        // Where nothing had left yet, a refusal is as good.
        for answer in answers.iter().flatten() {
            assert_ne!(answer.status, 200, "{}", String::from_utf8_lossy(cut));
        }
    }
}

#[tokio::test]
async fn an_answer_without_a_body_has_none_and_the_connection_goes_on() {
    let not_modified = b"HTTP/1.1 304 Not Modified\r\netag: \"a\"\r\n\r\n";
    for (request, said, status) in [
        (HEAD, &b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n"[..], 200),
        (HEAD, b"HTTP/1.1 200 OK\r\n\r\n", 200),
        (GET, b"HTTP/1.1 204 No Content\r\n\r\n", 204),
        (GET, not_modified, 304),
    ] {
        let server = Scripted::saying(said, Then::Stays).await;
        let gateway = server.gateway().await;
        let mut caller = gateway.wire().await;
        for _ in 0..2 {
            caller.send(request).await;
            assert_eq!(caller.head().await.unwrap().status, status);
        }
        // Fails where a body came.
        drop(caller.into_stream());
    }
}

#[tokio::test]
async fn an_interim_answer_does_not_take_the_place_of_the_final_one() {
    let server = Scripted::saying(
        b"HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\n\
          HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
        Then::Stays,
    )
    .await;
    let gateway = server.gateway().await;
    let mut caller = gateway.wire().await;
    for _ in 0..2 {
        let answer = caller.ask(GET).await.unwrap();
        assert_eq!((answer.status, answer.text().as_str()), (200, "ok"));
    }
}

#[tokio::test]
async fn a_kept_connection_that_the_server_closed_costs_no_request() {
    let server =
        Scripted::saying(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", Then::Closes).await;
    let gateway = server.gateway().await;
    let http2 = Http2::connect(gateway.https(), &gateway.tls()).await;
    for _ in 0..50 {
        assert_eq!(http2.get("/", HOST, None).await.unwrap().status, 200);
    }
}

#[tokio::test]
async fn a_caller_that_leaves_takes_its_request_along() {
    let endless = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    let server = Scripted::saying(endless, Then::Stays).await;
    let gateway = server.gateway().await;
    let mut caller = gateway.wire().await;
    caller.send(GET).await;
    assert!(caller.head().await.is_some());
    assert_eq!(server.closed.load(Ordering::Relaxed), 0);
    drop(caller);
    until("the end of the server's connection", || async {
        (server.closed.load(Ordering::Relaxed) == 1).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_failure_after_an_interim_answer_is_still_told() {
    let hints = b"HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\n";
    let server = Scripted::saying(hints, Then::Closes).await;
    let gateway = server.gateway().await;
    for request in [GET, "POST / HTTP/1.1\r\nhost: a.test\r\ncontent-length: 4\r\n\r\n\r\n\r\n"] {
        let mut caller = gateway.wire().await;
        let answer = caller.ask(request).await.expect("an answer after the interim one");
        assert_eq!(answer.status, 502, "{answer:?}");
    }
    let lines = until("both audit lines", || async {
        let mut lines = gateway.audit();
        lines.retain(|line| line["event"] == "request");
        (lines.len() >= 2).then_some(lines)
    })
    .await;
    assert!(lines.iter().all(|line| line["status"] == 502), "{lines:?}");
}

#[tokio::test]
async fn a_caller_of_http_1_0_gets_neither_chunks_nor_interim_answers() {
    for said in [
        &b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\nall of it\r\n0\r\n\r\n"[..],
        b"HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\nHTTP/1.1 200 OK\r\n\r\nall of it",
    ] {
        let server = Scripted::saying(said, Then::Closes).await;
        let gateway = server.gateway().await;
        for request in [
            "GET / HTTP/1.0\r\nhost: a.test\r\nconnection: keep-alive\r\n\r\n",
            "POST / HTTP/1.0\r\nhost: a.test\r\ncontent-length: 4\r\n\r\n\r\n\r\n",
        ] {
            let answer = gateway.wire().await.ask(request).await.unwrap();
            assert_eq!((answer.status, answer.text().as_str()), (200, "all of it"));
            assert_eq!(answer.header("transfer-encoding"), None, "{answer:?}");
            assert_eq!(answer.header("connection"), Some("close"), "{answer:?}");
        }
    }
}

#[tokio::test]
async fn the_last_answer_on_a_connection_says_that_it_is_the_last() {
    let server =
        Scripted::saying(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", Then::Stays).await;
    let gateway = server.setup().set("limits.requests_per_connection", "2").start().await;
    let request = "GET / HTTP/1.1\r\nhost: a.test\r\nconnection: keep-alive\r\n\r\n";
    let mut caller = gateway.wire().await;
    for connection in [None, Some("close")] {
        let answer = caller.ask(request).await.unwrap();
        assert_eq!((answer.status, answer.text().as_str()), (200, "ok"));
        let said = answer.header("connection").filter(|said| *said != "keep-alive");
        assert_eq!(said, connection, "{answer:?}");
    }
    assert!(caller.closed().await.is_empty());
}

#[tokio::test]
async fn a_caller_whose_answer_is_cut_still_hears_something() {
    let cut = format!("HTTP/1.1 200 OK\r\ncontent-length: 5000\r\n\r\n{}", "x".repeat(3000));
    let server = Scripted::saying(cut.leak().as_bytes(), Then::Closes).await;
    let gateway = server.gateway().await;
    for request in [GET, "POST / HTTP/1.1\r\nhost: a.test\r\ncontent-length: 4\r\n\r\n\r\n\r\n"] {
        for _ in 0..20 {
            let mut caller = gateway.wire().await;
            caller.send(request).await;
            let head = caller.head().await.expect("an answer, whole or cut");
            assert!([200, 502].contains(&head.status), "{head:?}");
        }
    }
}

#[tokio::test]
async fn what_a_server_says_to_the_next_hop_goes_no_further() {
    let said = b"HTTP/1.1 200 OK\r\nconnection: x-internal, upgrade\r\nx-internal: secret\r\n\
        upgrade: h2c\r\nkeep-alive: timeout=5\r\nx-own: mine\r\ncontent-length: 2\r\n\r\nok";
    let server = Scripted::saying(said, Then::Stays).await;
    let gateway = server.gateway().await;
    let answer = gateway.wire().await.ask(GET).await.unwrap();
    assert_eq!((answer.status, answer.header("x-own")), (200, Some("mine")));
    for name in ["x-internal", "upgrade"] {
        assert_eq!(answer.header(name), None, "{answer:?}");
    }
    assert_ne!(answer.header("connection"), Some("x-internal, upgrade"));
}

#[tokio::test]
async fn an_answer_that_breaks_before_anything_has_left_is_a_502() {
    let broken = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nno size\r\n";
    let server = Scripted::saying(broken, Then::Stays).await;
    let gateway = server.gateway().await;
    let answer = gateway.wire().await.ask(GET).await.unwrap();
    assert_eq!(answer.status, 502, "{answer:?}");
}
