//! WebSockets as a caller opens them.

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{Error, Message};

use super::gateway::Gateway;
use super::setup::HOST;
use super::wait::within;

/// An open WebSocket.
pub struct Socket(pub WebSocketStream<TcpStream>);

impl Socket {
    /// Opens one on the plain listener; the status of the refusal where it is refused.
    pub async fn open(
        gateway: &Gateway,
        target: &str,
        fields: &[(&str, &str)],
    ) -> Result<Self, u16> {
        let mut request = format!("ws://{HOST}{target}").into_client_request().unwrap();
        for (name, value) in fields {
            let name = name.parse::<http::HeaderName>().unwrap();
            request.headers_mut().append(name, value.parse().unwrap());
        }
        let tcp = within("TCP connection", TcpStream::connect(gateway.http())).await.unwrap();
        tcp.set_nodelay(true).unwrap();
        match within("a handshake", tokio_tungstenite::client_async(request, tcp)).await {
            Ok((socket, _)) => Ok(Self(socket)),
            Err(Error::Http(refusal)) => Err(refusal.status().as_u16()),
            Err(error) => panic!("{target}: {error}"),
        }
    }

    /// As [`Self::open`], under a bearer token.
    pub async fn under(gateway: &Gateway, target: &str, token: &str) -> Result<Self, u16> {
        Self::open(gateway, target, &[("authorization", &format!("Bearer {token}"))]).await
    }

    /// The next message.
    pub async fn next(&mut self) -> Message {
        let next = within("a message", self.0.next()).await;
        next.expect("the WebSocket ended").unwrap()
    }

    /// Fails the test unless what is said comes back.
    pub async fn echoes(&mut self, text: &str) {
        self.0.send(Message::text(text)).await.unwrap();
        assert_eq!(self.next().await, Message::text(text));
    }

    /// Reads to the end: the code of the close frame, where one comes. Frames that are no frames fail
    /// the test.
    pub async fn closed(&mut self) -> Option<u16> {
        let mut code = None;
        let read = async {
            loop {
                match self.0.next().await {
                    Some(Ok(Message::Close(frame))) => {
                        code = frame.map(|frame| u16::from(frame.code));
                    }
                    Some(Ok(_)) => assert_eq!(code, None, "a message after the close frame"),
                    Some(Err(Error::Protocol(error))) if code.is_some() => panic!("{error}"),
                    Some(Err(_)) | None => return,
                }
            }
        };
        within("the end of the WebSocket", read).await;
        code
    }
}
