//! Connections for WebSocket handshakes.
//!
//! pingora notifies the upstream half of a request when the client's body has ended. If that half reads the
//! 101 before the notification, it mistakes the end of the request for the end of the tunnel
//! (cloudflare/pingora issue 946). On these connections the first read after a write returns no response yet,
//! so that the notification is always processed first.
//!
//! They also have their own time-out for the response: pingora has one time-out for the response and for the
//! idle tunnel, and the latter is handled by the gateway.

use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use pingora_core::connectors::l4::Connect;
use pingora_core::protocols::l4::socket::SocketAddr;
use pingora_core::protocols::l4::stream::Stream;
use pingora_core::protocols::l4::virt::{VirtualSockOpt, VirtualSocket, VirtualSocketStream};
use pingora_core::{Error, ErrorType, Result};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Sleep;

/// Connects with time-outs.
#[derive(Debug)]
pub(super) struct WebSocketConnector {
    /// Time-out of connecting.
    pub(super) connect: Duration,
    /// Time-out of the handshake's response.
    pub(super) answer: Duration,
    /// Whether the handshake was accepted.
    pub(super) open: Arc<AtomicBool>,
}

#[async_trait]
impl Connect for WebSocketConnector {
    async fn connect(&self, address: &SocketAddr) -> Result<Stream> {
        let Some(address) = address.as_inet() else {
            return Error::e_explain(ErrorType::ConnectError, "not an IP address");
        };
        let connected = tokio::time::timeout(self.connect, TcpStream::connect(address)).await;
        let tcp = connected
            .map_err(|_| Error::explain(ErrorType::ConnectTimedout, "connecting"))?
            .map_err(|error| Error::because(ErrorType::ConnectError, "connecting", error))?;
        let nodelay = tcp.set_nodelay(true);
        nodelay.map_err(|error| Error::because(ErrorType::ConnectError, "connecting", error))?;
        let (answer, open) = (self.answer, Arc::clone(&self.open));
        let socket = UpgradedStream { tcp, wrote: false, answer, open, silence: None };
        Ok(VirtualSocketStream::new(Box::new(socket)).into())
    }
}

#[derive(Debug)]
struct UpgradedStream {
    tcp: TcpStream,
    /// Whether data was written since the last read.
    wrote: bool,
    answer: Duration,
    open: Arc<AtomicBool>,
    /// Runs until the response to the handshake.
    silence: Option<Pin<Box<Sleep>>>,
}

impl UpgradedStream {
    /// Fires when the upstream did not respond in time.
    fn poll_silence(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.open.load(Ordering::Acquire) {
            self.silence = None;
            return Poll::Pending;
        }
        let answer = self.answer;
        let silence = self.silence.get_or_insert_with(|| Box::pin(tokio::time::sleep(answer)));
        silence.as_mut().poll(context).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl VirtualSocket for UpgradedStream {
    fn set_socket_option(&self, _option: VirtualSockOpt) -> io::Result<()> {
        // Delay was turned off when it connected, and no keep-alive probes are asked for.
        Ok(())
    }
}

impl AsyncRead for UpgradedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if std::mem::take(&mut self.wrote) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let read = Pin::new(&mut self.tcp).poll_read(context, buffer);
        if read.is_pending() {
            return self.poll_silence(context);
        }
        self.silence = None;
        read
    }
}

impl AsyncWrite for UpgradedStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.wrote = true;
        Pin::new(&mut self.tcp).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    /// Two ends of one connection, the first as towards an upstream that has so long to answer.
    async fn connected(answer: Duration) -> (UpgradedStream, TcpStream) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (tcp, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
        let tcp = tcp.unwrap();
        let socket =
            UpgradedStream { tcp, wrote: false, answer, open: Arc::default(), silence: None };
        (socket, accepted.unwrap().0)
    }

    #[tokio::test]
    async fn an_answer_is_awaited_for_a_time_and_a_tunnel_for_ever() {
        let (mut socket, mut other) = connected(Duration::from_millis(50)).await;
        let mut bytes = [0; 1];
        let silent = socket.read(&mut bytes).await.unwrap_err();
        assert_eq!(silent.kind(), io::ErrorKind::TimedOut);
        socket.open.store(true, Ordering::Release);
        let mut buffer = ReadBuf::new(&mut bytes);
        let waiting = poll_fn(|context| {
            Poll::Ready(Pin::new(&mut socket).poll_read(context, &mut buffer).is_pending())
        });
        assert!(waiting.await);
        assert!(socket.silence.is_none(), "nothing rings any more");
        other.write_all(b"x").await.unwrap();
        assert_eq!(socket.read(&mut bytes).await.unwrap(), 1);
    }

    #[tokio::test]
    async fn an_answer_that_is_there_already_is_found_at_the_second_look() {
        let (mut socket, mut other) = connected(Duration::from_secs(60)).await;
        socket.write_all(b"question").await.unwrap();
        other.write_all(b"answer").await.unwrap();
        socket.tcp.readable().await.unwrap();
        let mut bytes = [0; 16];
        let mut buffer = ReadBuf::new(&mut bytes);
        let mut looks = 0;
        poll_fn(|context| {
            looks += 1;
            Pin::new(&mut socket).poll_read(context, &mut buffer)
        })
        .await
        .unwrap();
        assert_eq!((looks, buffer.filled()), (2, &b"answer"[..]));
    }
}
