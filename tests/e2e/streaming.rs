//! Streams through the gateway: events, large bodies in constant memory, gRPC with trailers.

use std::net::SocketAddr;

use bytes::Bytes;
use h2::{RecvStream, SendStream};
use http::{HeaderMap, Request, Response};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::harness::{Answer, Gateway, HOST, Http2, Setup, Upstream, within};

const MIB: u64 = 1024 * 1024;
/// Memory that a body may cost on top, in KiB: buffers, not bodies.
const GROWTH: u64 = 64 * 1024;

fn setup(upstream: &str, more: &str) -> Setup {
    Setup::new()
        .upstream_with("u", &[upstream], more)
        .route("path = \"/{*rest}\"\naccess = \"public\"")
}

/// The most memory that the gateway has had so far, in KiB.
fn resident(gateway: &Gateway) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{}/status", gateway.process)).unwrap();
    let line = text.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Sends as many bytes as the path says; counts the bytes it receives.
async fn bulk() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut head = vec![];
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(socket.read_u8().await.unwrap());
                }
                let head = String::from_utf8(head).unwrap();
                let length = |name: &str| {
                    let line = head.lines().find(|line| line.to_lowercase().starts_with(name))?;
                    line.rsplit(' ').next()?.parse::<u64>().ok()
                };
                let mut upload = (&mut socket).take(length("content-length:").unwrap_or(0));
                let received = tokio::io::copy(&mut upload, &mut tokio::io::sink()).await.unwrap();
                let size: u64 = head.split([' ', '/']).find_map(|word| word.parse().ok()).unwrap();
                let answer = format!(
                    "HTTP/1.1 200 OK\r\ncontent-length: {size}\r\nconnection: close\r\nreceived: {received}\r\n\r\n"
                );
                socket.write_all(answer.as_bytes()).await.unwrap();
                let block = vec![b'x'; 64 * 1024];
                let mut left = size;
                while left > 0 {
                    let part = usize::try_from(left.min(block.len() as u64)).unwrap();
                    if socket.write_all(&block[..part]).await.is_err() {
                        return;
                    }
                    left -= part as u64;
                }
                // The caller reads to the end; the gateway closes.
                let _ = socket.read(&mut [0; 1]).await;
            });
        }
    });
    format!("http://{address}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_body_comes_down_in_constant_memory() {
    comes_down_in_constant_memory(200 * MIB).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "much of one thing: make faults"]
async fn a_gibibyte_comes_down_in_constant_memory() {
    comes_down_in_constant_memory(1024 * MIB).await;
}

async fn comes_down_in_constant_memory(length: u64) {
    let gateway = setup(&bulk().await, "").start().await;
    assert_eq!(gateway.anonymous().get("/1000").await.status, 200);
    let before = resident(&gateway);
    let (_, mut parts) = open(&gateway, Request::get(format!("https://{HOST}/{length}"))).await;
    let mut received = 0;
    while let Some(part) = within("the next part", parts.data()).await {
        let part = part.unwrap();
        parts.flow_control().release_capacity(part.len()).unwrap();
        received += part.len() as u64;
    }
    assert_eq!(received, length);
    assert!(resident(&gateway) < before + GROWTH, "{before} to {} KiB", resident(&gateway));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_body_goes_up_in_constant_memory() {
    goes_up_in_constant_memory(200 * MIB).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "much of one thing: make faults"]
async fn a_gibibyte_goes_up_in_constant_memory() {
    goes_up_in_constant_memory(1024 * MIB).await;
}

async fn goes_up_in_constant_memory(length: u64) {
    let gateway = setup(&bulk().await, "").start().await;
    assert_eq!(gateway.anonymous().get("/1000").await.status, 200);
    let before = resident(&gateway);
    let mut wire = gateway.secure_wire().await;
    wire.send(format!("POST /0 HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: {length}\r\n\r\n"))
        .await;
    let block = vec![b'x'; 64 * 1024];
    for _ in 0..length / block.len() as u64 {
        wire.try_send(&block).await.unwrap();
    }
    let answer = wire.head().await.unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("received"), Some(&*length.to_string()));
    assert!(resident(&gateway) < before + GROWTH, "{before} to {} KiB", resident(&gateway));
}

#[tokio::test]
async fn each_event_arrives_before_the_next_is_made() {
    let (events, next) = Answer::events();
    let upstream = Upstream::answering(move |_| events.clone()).await;
    let gateway = setup(&upstream.url(), "").start().await;
    let (head, mut events) = open(&gateway, Request::get(format!("https://{HOST}/events"))).await;
    assert_eq!(head.headers["content-type"], "text/event-stream");
    for number in 0..5 {
        let event = format!("data: {number}\n\n");
        next.send(event.clone()).unwrap();
        let part = within("the event", events.data()).await.unwrap().unwrap();
        assert_eq!(part, event);
    }
    drop(next);
    while let Some(part) = within("the end", events.data()).await {
        assert!(part.unwrap().is_empty());
    }
}

/// Asks over HTTP/2; what comes after the head of the answer is left.
async fn open(
    gateway: &Gateway,
    request: http::request::Builder,
) -> (http::response::Parts, RecvStream) {
    let (head, _, body) = call(gateway, request, true).await;
    (head, body)
}

async fn call(
    gateway: &Gateway,
    request: http::request::Builder,
    is_whole: bool,
) -> (http::response::Parts, SendStream<Bytes>, RecvStream) {
    let http2 = Http2::connect(gateway.https(), &gateway.tls()).await;
    let mut client = within("the connection", http2.sender().ready()).await.unwrap();
    let (response, send) = client.send_request(request.body(()).unwrap(), is_whole).unwrap();
    let (head, body) = within("the answer's head", response).await.unwrap().into_parts();
    assert_eq!(head.status, 200);
    (head, send, body)
}

/// Echoes each message of a gRPC-like stream and ends with trailers.
async fn grpc() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut connection = h2::server::handshake(socket).await.unwrap();
                while let Some(Ok((request, mut respond))) = connection.accept().await {
                    tokio::spawn(async move {
                        assert_eq!(request.headers()["te"], "trailers");
                        let response =
                            Response::builder().header("content-type", "application/grpc");
                        let mut send =
                            respond.send_response(response.body(()).unwrap(), false).unwrap();
                        let mut body = request.into_body();
                        while let Some(part) = body.data().await {
                            let part = part.unwrap();
                            body.flow_control().release_capacity(part.len()).unwrap();
                            send.send_data(part, false).unwrap();
                        }
                        let mut trailers = HeaderMap::new();
                        trailers.insert("grpc-status", "0".parse().unwrap());
                        send.send_trailers(trailers).unwrap();
                    });
                }
            });
        }
    });
    address
}

#[tokio::test]
async fn a_grpc_call_streams_both_ways_and_ends_with_trailers() {
    let gateway = setup(&format!("http://{}", grpc().await), "http2 = true").start().await;
    let request = Request::post(format!("https://{HOST}/service/Method"))
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    let (_, mut send, mut receive) = call(&gateway, request, false).await;
    for number in 0..3 {
        let message = Bytes::from(format!("message {number}"));
        send.send_data(message.clone(), false).unwrap();
        let echoed = within("the echo", receive.data()).await.unwrap().unwrap();
        assert_eq!(echoed, message);
    }
    send.send_data(Bytes::new(), true).unwrap();
    while let Some(part) = within("the end", receive.data()).await {
        assert!(part.unwrap().is_empty());
    }
    let trailers = within("the trailers", receive.trailers()).await.unwrap().unwrap();
    assert_eq!(trailers["grpc-status"], "0");
}
