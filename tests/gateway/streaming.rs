//! Streams through the gateway: events, large bodies in constant memory, gRPC with trailers,
//! WebSockets.

use std::net::SocketAddr;

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use h2::{RecvStream, SendStream};
use http::{HeaderMap, Request, Response};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_tungstenite::tungstenite::Message;

use crate::harness::{Gateway, Setup, Wire, loopback, within};

/// One GiB.
const LARGE: u64 = 1024 * 1024 * 1024;
/// Memory that a body may cost on top, in KiB: buffers, not bodies.
const GROWTH: u64 = 64 * 1024;

fn setup(upstream: SocketAddr, more: &str) -> Setup {
    Setup::new(format!(
        "[[upstreams]]\nname = \"app\"\nservers = [\"http://{upstream}\"]\n{more}\n\n\
         [[routes]]\npath = \"/{{*rest}}\"\nupstream = \"app\"\naccess = \"public\"\n"
    ))
}

/// Resident memory of the gateway, in KiB.
fn resident(gateway: &Gateway) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{}/status", gateway.pid())).unwrap();
    let line = text.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Sends as many bytes as the path says; counts the bytes it receives.
async fn bulk() -> SocketAddr {
    let listener = TcpListener::bind((loopback(), 9400)).await.unwrap();
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
    address
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gibibyte_comes_down_in_constant_memory() {
    let gateway = setup(bulk().await, "").start().await;
    let anonymous = gateway.anonymous();
    assert_eq!(anonymous.status("/1000").await, 200);
    let before = resident(&gateway);
    let request = anonymous.request(reqwest::Method::GET, &format!("/{LARGE}"));
    let answer = request.timeout(std::time::Duration::from_secs(300)).send().await.unwrap();
    let mut parts = answer.bytes_stream();
    let mut received = 0;
    while let Some(part) = parts.next().await {
        received += part.unwrap().len() as u64;
    }
    assert_eq!(received, LARGE);
    assert!(resident(&gateway) < before + GROWTH, "{before} to {} KiB", resident(&gateway));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gibibyte_goes_up_in_constant_memory() {
    let gateway = setup(bulk().await, "").start().await;
    assert_eq!(gateway.anonymous().status("/1000").await, 200);
    let before = resident(&gateway);
    let mut socket = Wire::tls(&gateway, None).await.into_socket();
    let head =
        format!("POST /0 HTTP/1.1\r\nHost: app.example.test\r\nContent-Length: {LARGE}\r\n\r\n");
    socket.write_all(head.as_bytes()).await.unwrap();
    let block = vec![b'x'; 64 * 1024];
    for _ in 0..LARGE / block.len() as u64 {
        socket.write_all(&block).await.unwrap();
    }
    socket.flush().await.unwrap();
    let mut answer = vec![0; 4096];
    let read = within("the answer", socket.read(&mut answer)).await.unwrap();
    let answer = String::from_utf8_lossy(&answer[..read]).into_owned();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.contains(&format!("received: {LARGE}")), "{answer}");
    assert!(resident(&gateway) < before + GROWTH, "{before} to {} KiB", resident(&gateway));
}

#[tokio::test]
async fn each_event_arrives_before_the_next_is_made() {
    let listener = TcpListener::bind((loopback(), 9500)).await.unwrap();
    let (next, mut wanted) = tokio::sync::mpsc::channel::<String>(1);
    let gateway = setup(listener.local_addr().unwrap(), "").start().await;
    tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let _ = socket.read(&mut [0; 4096]).await.unwrap();
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\
                    transfer-encoding: chunked\r\n\r\n";
        socket.write_all(head.as_bytes()).await.unwrap();
        while let Some(event) = wanted.recv().await {
            let chunk = format!("{:x}\r\n{event}\r\n", event.len());
            socket.write_all(chunk.as_bytes()).await.unwrap();
        }
        socket.write_all(b"0\r\n\r\n").await.unwrap();
    });
    let answer = gateway.anonymous().get("/events").await;
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    let mut events = answer.bytes_stream();
    for number in 0..5 {
        let event = format!("data: {number}\n\n");
        next.send(event.clone()).await.unwrap();
        let part = within("the event", events.next()).await.unwrap().unwrap();
        assert_eq!(part, event);
    }
    drop(next);
    while let Some(part) = within("the end", events.next()).await {
        assert!(part.unwrap().is_empty());
    }
}

/// Echoes each message of a gRPC-like stream and ends with trailers.
async fn grpc() -> SocketAddr {
    let listener = TcpListener::bind((loopback(), 9600)).await.unwrap();
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

async fn http2(gateway: &Gateway, path: &str) -> (SendStream<Bytes>, RecvStream) {
    let wire = Wire::handshake(gateway, "app.example.test", None, &["h2"]).await.unwrap();
    let (mut client, connection) = h2::client::handshake(wire.into_socket()).await.unwrap();
    tokio::spawn(connection);
    let request = Request::post(format!("https://app.example.test{path}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    let (response, send) = client.send_request(request.body(()).unwrap(), false).unwrap();
    let response = within("the answer's head", response).await.unwrap();
    assert_eq!(response.status(), 200);
    (send, response.into_body())
}

#[tokio::test]
async fn a_grpc_call_streams_both_ways_and_ends_with_trailers() {
    let gateway = setup(grpc().await, "http2 = true").start().await;
    let (mut send, mut receive) = http2(&gateway, "/service/Method").await;
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

#[tokio::test]
async fn a_websocket_is_judged_and_then_left_alone() {
    let listener = TcpListener::bind((loopback(), 9700)).await.unwrap();
    let gateway = Setup::standard(listener.local_addr().unwrap()).start().await;
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut socket = tokio_tungstenite::accept_async(socket).await.unwrap();
                while let Some(Ok(message)) = socket.next().await {
                    let _ = socket.send(message).await;
                }
            });
        }
    });
    let connect = async |token: Option<&str>| {
        let socket = tokio::net::TcpStream::connect(gateway.http()).await.unwrap();
        let mut request =
            tokio_tungstenite::tungstenite::client::IntoClientRequest::into_client_request(
                "ws://app.example.test/api/socket",
            )
            .unwrap();
        if let Some(token) = token {
            let value = format!("Bearer {token}").parse().unwrap();
            request.headers_mut().insert("authorization", value);
        }
        within("the handshake", tokio_tungstenite::client_async(request, socket)).await
    };
    assert!(connect(None).await.is_err());
    let alice = gateway.bearer("alice").await;
    let (mut socket, _) = connect(Some(alice.access())).await.unwrap();
    for size in [0, 1, 125, 65_536, 1_000_000] {
        let message = Message::binary(vec![7; size]);
        socket.send(message.clone()).await.unwrap();
        assert_eq!(within("the echo", socket.next()).await.unwrap().unwrap(), message);
    }
}
