//! Connections for WebSocket handshakes.
//!
//! pingora tells the upstream half of a request that the caller's body has ended, and that half may
//! read a 101 before it hears so: it then takes the end of the request for the end of the tunnel
//! (cloudflare/pingora issue 946). On these connections the first look for an answer after a write
//! finds none yet, so that what was sent to that half is always heard first.

use std::io;
use std::pin::Pin;
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

/// Connects within a time.
#[derive(Debug)]
pub(super) struct Upgrade(pub(super) Duration);

#[async_trait]
impl Connect for Upgrade {
    async fn connect(&self, address: &SocketAddr) -> Result<Stream> {
        let Some(address) = address.as_inet() else {
            return Error::e_explain(ErrorType::ConnectError, "not an address of the internet");
        };
        let connected = tokio::time::timeout(self.0, TcpStream::connect(address)).await;
        let tcp = connected
            .map_err(|_| Error::explain(ErrorType::ConnectTimedout, "connecting"))?
            .map_err(|error| Error::because(ErrorType::ConnectError, "connecting", error))?;
        let nodelay = tcp.set_nodelay(true);
        nodelay.map_err(|error| Error::because(ErrorType::ConnectError, "connecting", error))?;
        Ok(VirtualSocketStream::new(Box::new(Socket { tcp, wrote: false })).into())
    }
}

#[derive(Debug)]
struct Socket {
    tcp: TcpStream,
    /// Whether something was written since the last look for an answer.
    wrote: bool,
}

impl VirtualSocket for Socket {
    fn set_socket_option(&self, _option: VirtualSockOpt) -> io::Result<()> {
        // Delay was turned off when it connected, and no keep-alive probes are asked for.
        Ok(())
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if std::mem::take(&mut self.wrote) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        Pin::new(&mut self.tcp).poll_read(context, buffer)
    }
}

impl AsyncWrite for Socket {
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

    use tokio::io::AsyncWriteExt as _;
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn an_answer_that_is_there_already_is_found_at_the_second_look() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (tcp, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
        let mut socket = Socket { tcp: tcp.unwrap(), wrote: false };
        let mut other = accepted.unwrap().0;
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
