//! What an upstream answers.

use std::fmt::Write as _;
use std::sync::Arc;

use bytes::BytesMut;
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::{Mutex, mpsc, watch};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::Recorded;
use crate::harness::raw::Duplex;

/// An answer of the upstream.
#[derive(Clone)]
pub enum Answer {
    /// JSON that shows the request.
    Echo,
    /// A well-formed response.
    Reply(u16, Vec<(String, String)>, Vec<u8>),
    /// These bytes; the connection stays open.
    Bytes(Vec<u8>),
    /// These bytes, then the end of the connection.
    BytesThenClose(Vec<u8>),
    /// The end of the connection.
    Close,
    /// Nothing, for as long as the other side waits.
    Silence,
    /// The answer, once the value is true.
    Once(watch::Receiver<bool>, Box<Self>),
    /// So many zero bytes.
    Zeros(u64),
    /// Server-sent events: each text becomes one chunk, as soon as it is sent.
    Events(Arc<Mutex<mpsc::UnboundedReceiver<String>>>),
    /// A WebSocket that says back what it hears.
    WebSocket,
    /// The same, with a greeting in the very bytes that take the handshake.
    Greeting,
}

impl Answer {
    pub fn status(status: u16) -> Self {
        Self::Reply(status, Vec::new(), Vec::new())
    }

    pub fn with_headers(headers: &[(&str, &str)]) -> Self {
        let headers =
            headers.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        Self::Reply(200, headers, b"ok".to_vec())
    }

    /// Server-sent events, with the end where they are put in.
    pub fn events() -> (Self, mpsc::UnboundedSender<String>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self::Events(Arc::new(Mutex::new(receiver))), sender)
    }

    /// An answer that waits, with the switch that lets it go.
    pub fn held(self) -> (Self, watch::Sender<bool>) {
        let (sender, receiver) = watch::channel(false);
        (Self::Once(receiver, Box::new(self)), sender)
    }
}

/// Writes the answer; the stream, where it can carry another request.
pub(super) async fn serve(
    answer: Answer,
    request: &Recorded,
    mut stream: Box<dyn Duplex>,
    input: &mut BytesMut,
) -> Option<Box<dyn Duplex>> {
    let mut answer = answer;
    while let Answer::Once(mut gate, held) = answer {
        gate.wait_for(|open| *open).await.ok()?;
        answer = *held;
    }
    match answer {
        Answer::Echo => write(&mut stream, &echo(request)).await?,
        Answer::Reply(status, headers, body) => {
            write(&mut stream, &reply(status, &headers, &body, request)).await?;
        }
        Answer::Bytes(bytes) => write(&mut stream, &bytes).await?,
        Answer::BytesThenClose(bytes) => {
            write(&mut stream, &bytes).await?;
            drop(stream.shutdown().await);
            return None;
        }
        Answer::Close | Answer::Once(..) => return None,
        Answer::Silence => {
            while stream.read_buf(input).await.ok()? > 0 {}
            return None;
        }
        Answer::Zeros(length) => zeros(&mut stream, length).await?,
        Answer::Events(events) => {
            write(
                &mut stream,
                b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\
                  transfer-encoding: chunked\r\n\r\n",
            )
            .await?;
            while let Some(event) = events.lock().await.recv().await {
                write(&mut stream, format!("{:x}\r\n{event}\r\n", event.len()).as_bytes()).await?;
            }
            write(&mut stream, b"0\r\n\r\n").await?;
        }
        Answer::WebSocket => {
            web_socket(stream, request, input, b"").await;
            return None;
        }
        Answer::Greeting => {
            web_socket(stream, request, input, b"\x81\x05hello").await;
            return None;
        }
    }
    Some(stream)
}

async fn write(stream: &mut Box<dyn Duplex>, bytes: &[u8]) -> Option<()> {
    stream.write_all(bytes).await.ok()?;
    stream.flush().await.ok()
}

fn reply(status: u16, headers: &[(String, String)], body: &[u8], request: &Recorded) -> Vec<u8> {
    let mut head = format!("HTTP/1.1 {status} Reply\r\n");
    for (name, value) in headers {
        write!(head, "{name}: {value}\r\n").unwrap();
    }
    if !matches!(status, 204 | 304) {
        write!(head, "content-length: {}\r\n", body.len()).unwrap();
    }
    head.push_str("\r\n");
    let mut bytes = head.into_bytes();
    if request.method() != "HEAD" {
        bytes.extend_from_slice(body);
    }
    bytes
}

fn echo(request: &Recorded) -> Vec<u8> {
    let body = json!({
        "method": request.method(),
        "target": request.target(),
        "fields": request.fields(),
        "length": request.length,
        "sub": request.all("sub"),
        "app_roles": request.all("app_roles"),
    });
    let headers = [("content-type".to_owned(), "application/json".to_owned())];
    reply(200, &headers, body.to_string().as_bytes(), request)
}

async fn zeros(stream: &mut Box<dyn Duplex>, length: u64) -> Option<()> {
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n");
    write(stream, head.as_bytes()).await?;
    let block = vec![0; 256 * 1024];
    let mut left = length;
    while left > 0 {
        let part = usize::try_from(left).unwrap().min(block.len());
        stream.write_all(&block[..part]).await.ok()?;
        left -= u64::try_from(part).unwrap();
    }
    stream.flush().await.ok()
}

/// The head that takes a handshake.
pub fn switch(request: &Recorded) -> String {
    let key = request.one("sec-websocket-key").unwrap_or_default();
    let accept = derive_accept_key(key.as_bytes());
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\n\
         sec-websocket-accept: {accept}\r\n\r\n"
    )
}

async fn web_socket(
    mut stream: Box<dyn Duplex>,
    request: &Recorded,
    input: &mut BytesMut,
    greeting: &[u8],
) {
    let head = [switch(request).as_bytes(), greeting].concat();
    if write(&mut stream, &head).await.is_none() {
        return;
    }
    let early = input.split().to_vec();
    let mut socket = WebSocketStream::from_partially_read(stream, early, Role::Server, None).await;
    while let Some(Ok(message)) = socket.next().await {
        if (message.is_text() || message.is_binary()) && socket.send(message).await.is_err() {
            return;
        }
    }
}
