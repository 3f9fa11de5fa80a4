//! The stream that pingora reads. It passes on one request at a time, and only after the request's head has been
//! received completely, in time, and has passed the checks.

use std::io;
use std::os::fd::RawFd;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt, ReadBuf};

use super::idle_timer::IdleTimer;
use crate::listener::connection_limit::ConnectionPermit;
use crate::listener::transport::Transport;
use crate::revocation::RequestHandle;
use guarita_core::Code;
use guarita_core::http::head;
use guarita_core::http::head::Framing;
use guarita_core::http::{Chunks, Head, HeadError, HeadLimits};

mod body_limit;
mod pingora;
mod websocket_close;

use body_limit::BodyLimit;
use websocket_close::WebSocketTunnel;

/// Initial size of the input buffer, in bytes; most heads fit.
const INPUT: usize = 1024;
/// Responses up to this size are sent in one write, in bytes.
const OUTPUT: usize = 8 * 1024;
/// How long a closed connection is still read, so that the client can receive the response (lingering close).
const LINGER: Duration = Duration::from_secs(5);

/// A request whose complete head was received and checked.
pub(crate) struct RequestProgress {
    pub(crate) head: Head,
    /// The bytes that were checked, to be parsed.
    pub(crate) bytes: BytesMut,
}

/// Why no further request is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The client closed the connection, or was idle for too long: no response.
    Quiet,
    /// The head is rejected.
    Refused(Code),
}

/// Time-outs and size limits of a request head.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HeadBounds {
    pub(crate) limits: HeadLimits,
    /// Idle time before the first byte.
    pub(crate) idle: Duration,
    /// From the first byte to the last byte.
    pub(crate) total: Duration,
}

/// A client connection that passes on one checked request at a time.
pub(crate) struct Http1Stream {
    transport: Option<Transport>,
    descriptor: RawFd,
    http2: bool,
    input: BytesMut,
    allowance: BodyLimit,
    output: BytesMut,
    /// Write time-out: how long the client may accept no bytes.
    patience: Duration,
    /// Runs while the client accepts no bytes.
    stalled: Option<IdleTimer>,
    place: Option<ConnectionPermit>,
    /// Its handle for revocation, once known.
    tether: Option<Arc<RequestHandle>>,
    /// Set while a WebSocket is opening or open.
    tunnel: Option<Box<WebSocketTunnel>>,
}

impl Http1Stream {
    /// Wraps a transport. `patience` is the write time-out. The permit of the connection is released when
    /// it is dropped.
    pub(crate) fn new(
        transport: Transport,
        http2: bool,
        patience: Duration,
        place: ConnectionPermit,
    ) -> Self {
        Self {
            descriptor: transport.descriptor(),
            transport: Some(transport),
            http2,
            input: BytesMut::new(),
            allowance: if http2 { BodyLimit::Unbounded } else { BodyLimit::Bytes(0) },
            output: BytesMut::new(),
            patience,
            stalled: None,
            place: Some(place),
            tether: None,
            tunnel: None,
        }
    }

    /// Sets the handle by which revocation closes a WebSocket on this connection.
    pub(crate) fn tie(&mut self, tether: Arc<RequestHandle>) {
        self.tether = Some(tether);
    }

    /// Whether HTTP/2 was negotiated.
    pub(crate) const fn is_http2(&self) -> bool {
        self.http2
    }

    /// Waits for the next head, checks it, and passes on exactly this request.
    pub(crate) async fn next_request(
        &mut self,
        bounds: &HeadBounds,
        alarm: &mut IdleTimer,
    ) -> Result<RequestProgress, End> {
        self.allowance = BodyLimit::Bytes(0);
        if self.input.is_empty() {
            let first = tokio::select! {
                biased;
                first = self.fill() => first,
                () = alarm.after(bounds.idle) => return Err(End::Quiet),
            };
            if !matches!(first, Ok(1..)) {
                return Err(End::Quiet);
            }
        }
        if let Some(request) = self.inspect(bounds, 0)? {
            return Ok(request);
        }
        pingora_timeout::timeout(bounds.total, self.rest_of_head(bounds))
            .await
            .unwrap_or(Err(End::Refused(Code::RequestTimeout)))
    }

    async fn rest_of_head(&mut self, bounds: &HeadBounds) -> Result<RequestProgress, End> {
        loop {
            let searched = self.input.len();
            match self.fill().await {
                Ok(1..) => {}
                Ok(0) | Err(_) => return Err(End::Quiet),
            }
            if let Some(request) = self.inspect(bounds, searched)? {
                return Ok(request);
            }
        }
    }

    fn inspect(
        &mut self,
        bounds: &HeadBounds,
        searched: usize,
    ) -> Result<Option<RequestProgress>, End> {
        let refused = |malformed: HeadError| {
            tracing::debug!(reason = %malformed, "request head rejected");
            End::Refused(malformed.code())
        };
        let Some(end) = head::find_end(&self.input, searched) else {
            return match head::overflow(&self.input, &bounds.limits) {
                Some(malformed) => Err(refused(malformed)),
                None => Ok(None),
            };
        };
        let bytes = self.input.get(..end).unwrap_or_default();
        let head = head::inspect(bytes, &bounds.limits).map_err(refused)?;
        let tether = self.tether.as_ref().filter(|_| head.upgrade);
        self.tunnel = tether.map(|tether| Box::new(WebSocketTunnel::new(Arc::clone(tether))));
        self.allowance = match head.framing {
            _ if head.upgrade => BodyLimit::Unbounded,
            Framing::None => BodyLimit::Bytes(0),
            Framing::Length(body) => BodyLimit::Bytes(body),
            Framing::Chunked => BodyLimit::Chunks(Chunks::default()),
        };
        Ok(Some(RequestProgress { head, bytes: self.take_head(end, head.leading) }))
    }

    /// The checked head, without the empty line that may precede it.
    fn take_head(&mut self, end: usize, leading: usize) -> BytesMut {
        // The usual case: nothing follows, and the buffer goes along whole.
        let mut bytes = if self.input.len() == end {
            std::mem::take(&mut self.input)
        } else {
            self.input.split_to(end)
        };
        bytes.advance(leading);
        bytes
    }

    async fn fill(&mut self) -> io::Result<usize> {
        self.input.reserve(INPUT);
        match &mut self.transport {
            Some(transport) => transport.read_buf(&mut self.input).await,
            None => Ok(0),
        }
    }

    /// Writes a response without pingora, and closes for writing.
    pub(crate) async fn answer_and_close(&mut self, answer: &[u8]) -> io::Result<()> {
        self.write_all(answer).await?;
        self.flush().await?;
        AsyncWriteExt::shutdown(self).await
    }

    /// The client sent more than was read: closing now could discard the response in transit.
    fn must_linger(&self) -> bool {
        match self.allowance {
            _ if self.http2 => false,
            BodyLimit::Bytes(0) => !self.input.is_empty(),
            BodyLimit::Bytes(_) | BodyLimit::Chunks(_) | BodyLimit::Unbounded => true,
        }
    }

    fn poll_transport_read(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.transport {
            Some(transport) => Pin::new(transport).poll_read(context, buffer),
            None => Poll::Ready(Ok(())),
        }
    }

    fn poll_transport_write(
        &mut self,
        context: &mut Context<'_>,
        bytes: Option<&[u8]>,
    ) -> Poll<io::Result<usize>> {
        let bytes = bytes.unwrap_or(&self.output);
        let written = match &mut self.transport {
            Some(transport) => Pin::new(transport).poll_write(context, bytes),
            None => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        };
        if written.is_pending() {
            ready!(self.stalled.get_or_insert_with(|| IdleTimer::new(self.patience)).poll(context));
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        self.stalled = None;
        written
    }

    /// Writes some or all of the bytes.
    fn poll_accept(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.output.len() + bytes.len() > OUTPUT {
            ready!(self.poll_output(context))?;
            if bytes.len() > OUTPUT {
                return self.poll_transport_write(context, Some(bytes));
            }
        }
        self.output.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_output(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.output.is_empty() {
            let written = ready!(self.poll_transport_write(context, None))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.output.advance(written);
        }
        Poll::Ready(Ok(()))
    }

    /// The request is complete: further bytes belong to the next request and are buffered; only the end of the
    /// connection is passed on.
    fn poll_read_ahead(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.input.is_empty() {
            return Poll::Pending;
        }
        let mut bytes = [0; INPUT];
        let mut buffer = ReadBuf::new(&mut bytes);
        ready!(self.poll_transport_read(context, &mut buffer))?;
        if buffer.filled().is_empty() {
            return Poll::Ready(Ok(()));
        }
        self.input.extend_from_slice(buffer.filled());
        Poll::Pending
    }
}

impl AsyncRead for Http1Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let allowed = match self.allowance {
            BodyLimit::Bytes(0) => return self.poll_read_ahead(context),
            BodyLimit::Bytes(left) => usize::try_from(left).unwrap_or(usize::MAX),
            BodyLimit::Chunks(_) | BodyLimit::Unbounded => usize::MAX,
        };
        if ready!(self.poll_ended(context)) {
            return self.poll_close_frame(context, buffer);
        }
        let before = buffer.filled().len();
        let this = &mut *self;
        if !this.input.is_empty() {
            let length = this.input.len().min(allowed).min(buffer.remaining());
            let taken = this.allowance.take(this.input.get(..length).unwrap_or_default())?;
            buffer.put_slice(this.input.get(..taken).unwrap_or_default());
            this.input.advance(taken);
        } else {
            if allowed >= buffer.remaining() {
                ready!(this.poll_transport_read(context, buffer))?;
            } else {
                let mut limited = ReadBuf::new(buffer.initialize_unfilled_to(allowed));
                ready!(this.poll_transport_read(context, &mut limited))?;
                let length = limited.filled().len();
                buffer.advance(length);
            }
            let read = buffer.filled().get(before..).unwrap_or_default();
            let taken = this.allowance.take(read)?;
            this.input.extend_from_slice(read.get(taken..).unwrap_or_default());
            buffer.set_filled(before + taken);
        }
        if let Some(tunnel) = &mut this.tunnel {
            tunnel.received(buffer.filled().get(before..).unwrap_or_default());
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Http1Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.tunnel.is_some() {
            return self.poll_write_frames(context, bytes);
        }
        self.poll_accept(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_output(context))?;
        match &mut self.transport {
            Some(transport) => Pin::new(transport).poll_flush(context),
            None => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_output(context))?;
        match &mut self.transport {
            Some(transport) => Pin::new(transport).poll_shutdown(context),
            None => Poll::Ready(Ok(())),
        }
    }
}

impl Drop for Http1Stream {
    fn drop(&mut self) {
        if !self.must_linger() && self.output.is_empty() {
            return;
        }
        if let (Some(transport), Ok(runtime)) =
            (self.transport.take(), tokio::runtime::Handle::try_current())
        {
            let (place, output) = (self.place.take(), std::mem::take(&mut self.output));
            runtime.spawn(async move {
                lingering_close(transport, &output).await;
                drop(place);
            });
        }
    }
}

/// Lingering close: writes the rest of a response, shuts down writing, then reads and discards what the client still
/// sends, until it closes or the time is over.
async fn lingering_close(mut transport: Transport, output: &[u8]) {
    let drained = async {
        if transport.write_all(output).await.is_err() || transport.shutdown().await.is_err() {
            return;
        }
        let mut bytes = [0; 4096];
        loop {
            let read = transport.read(&mut bytes).await;
            if !matches!(read, Ok(1..)) {
                return;
            }
        }
    };
    // Time up is as good an end as the caller's.
    drop(tokio::time::timeout(LINGER, drained).await);
}
