//! A WebSocket on a client connection: frame headers are parsed in both directions, so that the gateway can close
//! it at a frame boundary.
//!
//! To close it, the stream sends the client a close frame and lets the proxy read one as if the client had sent it,
//! followed by the end of the stream. So the upstream's side is closed as for any client that disconnects.

use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::BufMut as _;
use tokio::io::{AsyncWrite as _, ReadBuf};

use crate::connection::http1::Http1Stream;
use crate::revocation::{RequestHandle, WebSocketState};
use guarita_core::random;
use guarita_core::websocket::{Ending, Frames, ResponseProgress};

/// The state of an opening or open WebSocket.
pub(crate) struct WebSocketTunnel {
    tether: Arc<RequestHandle>,
    /// Frames sent to the client.
    sent: ResponseProgress,
    /// Frames received from the client.
    received: Frames,
    /// Set when it is open.
    socket: Option<Arc<WebSocketState>>,
    /// Whether it was closed and the client got a close frame.
    told: bool,
}

impl WebSocketTunnel {
    pub(crate) fn new(tether: Arc<RequestHandle>) -> Self {
        Self {
            tether,
            sent: ResponseProgress::default(),
            received: Frames::default(),
            socket: None,
            told: false,
        }
    }

    /// Bytes received from the client.
    pub(crate) fn received(&mut self, bytes: &[u8]) {
        self.received.follow(bytes);
        self.touch();
    }

    /// Bytes sent to the client.
    fn sent(&mut self, bytes: &[u8]) {
        self.sent.follow(bytes);
        if self.socket.is_none() && self.sent.frames().is_some() {
            self.socket = self.tether.socket();
        }
        self.touch();
    }

    fn touch(&self) {
        if let Some(socket) = &self.socket {
            socket.touch();
        }
    }

    /// Why it is being closed, if it is; otherwise the task is woken then.
    fn ending(&self, context: &Context<'_>) -> Option<Ending> {
        self.socket.as_ref()?.poll_ending(context)
    }

    /// How many of these bytes may still be sent before the close frame: up to the end of the current frame.
    fn room(&self, bytes: &[u8]) -> usize {
        let mut ahead = self.sent;
        ahead.follow_one(bytes)
    }
}

impl Http1Stream {
    /// Whether the WebSocket was closed and the client got the close frame. Pending while it is being closed and a
    /// frame is incomplete; ready and false if it stays open.
    pub(crate) fn poll_ended(&mut self, context: &mut Context<'_>) -> Poll<bool> {
        let Some(tunnel) = &mut self.tunnel else { return Poll::Ready(false) };
        let Some(ending) = tunnel.ending(context) else { return Poll::Ready(false) };
        if tunnel.told {
            return Poll::Ready(true);
        }
        let Some(frames) = tunnel.sent.frames() else { return Poll::Ready(false) };
        if frames.takes_close() {
            self.output.put_slice(&ending.for_caller());
        } else if !frames.is_closed() {
            // The rest of the frame wakes the task when it is there to be sent; there is a bound.
            return Poll::Pending;
        }
        tunnel.told = true;
        // The upstream hears the same, unless that would cut a frame of the caller.
        self.input.clear();
        if tunnel.received.takes_close()
            && let Ok(key) = random::bytes::<4>()
        {
            self.input.put_slice(&ending.for_upstream(key));
        }
        Poll::Ready(true)
    }

    /// What the proxy reads from a WebSocket that was closed: a close frame as if from the client, then the end; not
    /// before the client was sent its own close frame.
    pub(crate) fn poll_close_frame(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let flushed = ready!(std::pin::Pin::new(&mut *self).poll_flush(context));
        if flushed.is_ok() {
            let length = self.input.len().min(buffer.remaining());
            let words = self.input.split_to(length);
            buffer.put_slice(&words);
        }
        Poll::Ready(Ok(()))
    }

    /// Sends bytes of the upstream, up to the end of the frame if the WebSocket is being closed; later bytes are
    /// dropped.
    pub(crate) fn poll_write_frames(
        &mut self,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.poll_ended(context) == Poll::Ready(true) {
            return Poll::Ready(Ok(bytes.len()));
        }
        let ending = self.tunnel.as_ref().and_then(|tunnel| tunnel.ending(context));
        let room = match &self.tunnel {
            Some(tunnel) if ending.is_some() => tunnel.room(bytes),
            Some(_) | None => bytes.len(),
        };
        let some = bytes.get(..room).unwrap_or(bytes);
        let written = ready!(self.poll_accept(context, some))?;
        if let Some(tunnel) = &mut self.tunnel {
            tunnel.sent(some.get(..written).unwrap_or_default());
        }
        if ending.is_some() {
            // What waits to be read may be the end now.
            context.waker().wake_by_ref();
        }
        Poll::Ready(Ok(written))
    }
}
