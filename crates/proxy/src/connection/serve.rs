//! A client connection: its requests, sequential (HTTP/1.1) or concurrent (HTTP/2).

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use pingora_core::apps::HttpServerApp as _;
use pingora_core::protocols::http::ServerSession;
use pingora_core::protocols::http::v1::server::HttpSession;
use pingora_core::protocols::http::v2::server::{self as http2, H2Accept, H2Options};
use pingora_core::protocols::{Digest, Stream};
use pingora_core::server::ShutdownWatch;
use pingora_proxy::HttpProxy;
use tokio::sync::Notify;
use tokio::time::timeout;

use super::http1::{End, HeadBounds, Http1Stream, RequestProgress};
use super::idle_timer::IdleTimer;
use crate::connection::ConnectionInfo;
use crate::exchange::Gateway;
use crate::exchange::request_id::RequestId;
use crate::revocation::{InFlightRequests, RequestHandle};
use crate::snapshot::Limits;
use guarita_core::Code;
use guarita_core::http::HeadLimits;
use guarita_core::http::canonical::MAX_TARGET;
use guarita_core::http::head::Framing;
use guarita_core::problem_body;
use guarita_telemetry::Metrics;

/// Malformed requests on an HTTP/2 connection until it is closed.
const MAX_MALFORMED_STREAMS: usize = 32;

/// How long a connection still accepts a request while the gateway drains. The client may have sent one that has
/// not arrived yet; closing at once would lose it.
const DRAIN_GRACE: Duration = Duration::from_secs(1);

/// The context that all connections share.
#[derive(Clone)]
pub struct Service {
    pub proxy: Arc<HttpProxy<Gateway>>,
    pub metrics: Arc<Metrics>,
    pub shutdown: ShutdownWatch,
    pub tethers: Arc<InFlightRequests>,
}

impl Service {
    /// Serves a connection to its end.
    pub(crate) async fn serve(
        self,
        mut stream: Http1Stream,
        connection: ConnectionInfo,
        tether: Arc<RequestHandle>,
        limits: &Limits,
    ) {
        let connection = Arc::new(connection);
        if stream.is_http2() {
            self.serve_http2(stream, connection, limits).await;
        } else {
            stream.tie(Arc::clone(&tether));
            connection.serve(tether, self.serve_http1(stream, limits)).await;
        }
    }

    async fn serve_http1(self, stream: Http1Stream, limits: &Limits) {
        let bounds = HeadBounds {
            limits: HeadLimits {
                bytes: limits.header_bytes,
                fields: limits.header_count,
                target: MAX_TARGET.min(limits.header_bytes),
            },
            idle: limits.idle_timeout,
            total: limits.header_timeout,
        };
        // One of each for the whole connection: they cost nothing between two requests.
        let mut alarm = IdleTimer::new(bounds.idle);
        let mut shutdown = self.shutdown.clone();
        let mut shutdown = pin!(shutdown.changed());
        let mut stream = Box::new(stream);
        for left in (0..limits.requests_per_connection).rev() {
            let next = {
                let mut next = pin!(stream.next_request(&bounds, &mut alarm));
                tokio::select! {
                    biased;
                    next = &mut next => next,
                    // It is the last one: its answer says so, and nothing is read after it.
                    _ = &mut shutdown => match timeout(DRAIN_GRACE, next).await {
                        Ok(next) => next,
                        Err(_) => return,
                    },
                }
            };
            let RequestProgress { head, bytes } = match next {
                Ok(request) => request,
                Err(End::Quiet) => return,
                Err(End::Refused(code)) => return self.refuse(&mut stream, code).await,
            };
            let mut session = HttpSession::new(stream);
            session.set_pipelined_prefix(bytes);
            let mut session = ServerSession::H1(session);
            let last = left == 0 || *self.shutdown.borrow();
            // Silence between requests, and a caller that takes nothing, are the stream's affair.
            session.set_keepalive((!last).then_some(0));
            // The caller's own `Connection` field cannot ask for more.
            session.set_keepalive_reuses_remaining(last.then_some(0));
            let has_body = !matches!(head.framing, Framing::None);
            session.set_read_timeout(has_body.then_some(limits.body_timeout));
            let reused = self.proxy.process_new_http(session, &self.shutdown).await;
            let Some(kept) = reused.map(|reused| reused.consume().0).and_then(downcast) else {
                return;
            };
            if last {
                return;
            }
            stream = kept;
        }
    }

    /// Rejects input that is not a valid request.
    async fn refuse(&self, stream: &mut Http1Stream, code: Code) {
        self.metrics.refused(code);
        let id = RequestId::fresh();
        let body = problem_body::body(code, id.as_str());
        let mut answer = format!(
            "HTTP/1.1 {} {}\r\ncontent-type: application/problem+json\r\ncontent-length: {}\r\n\
             cache-control: no-store\r\nx-request-id: {}\r\nconnection: close\r\n\r\n",
            code.status(),
            reason(code),
            body.len(),
            id.as_str(),
        )
        .into_bytes();
        answer.extend_from_slice(&body);
        if let Err(error) = stream.answer_and_close(&answer).await {
            tracing::debug!(%error, "the client disconnected before the response was written");
        }
    }

    async fn serve_http2(
        mut self,
        stream: Http1Stream,
        connection: Arc<ConnectionInfo>,
        limits: &Limits,
    ) {
        let handshake = http2::handshake(Box::new(stream), Some(http2_options(limits)));
        let Ok(Ok(mut streams)) = timeout(limits.header_timeout, handshake).await else {
            return;
        };
        let digest = Arc::new(Digest::default());
        let active = Arc::new(ActiveConnection::default());
        let mut malformed = 0;
        let mut draining = false;
        loop {
            let accepted = tokio::select! {
                biased;
                _ = self.shutdown.changed(), if !draining => {
                    streams.graceful_shutdown();
                    draining = true;
                    continue;
                }
                accepted = http2::HttpSession::from_h2_conn(&mut streams, Arc::clone(&digest)) => {
                    accepted
                }
                () = active.idle_for(limits.idle_timeout) => return,
            };
            match accepted {
                Ok(Some(H2Accept::Session(mut session))) => {
                    session.write_timeout = Some(limits.idle_timeout);
                    let guard = active.begin();
                    let service = self.clone();
                    let tied = self.tethers.tie();
                    let tether = Arc::clone(tied.tether());
                    let work = async move {
                        let session = ServerSession::new_http2(session);
                        service.proxy.process_new_http(session, &service.shutdown).await;
                        drop((guard, tied));
                    };
                    let serving = Arc::clone(&connection).serve(Arc::clone(&tether), work);
                    tether.bind(tokio::spawn(serving).abort_handle());
                }
                Ok(Some(H2Accept::Rejected)) => {
                    self.metrics.refused(Code::BadRequest);
                    malformed += 1;
                    if malformed >= MAX_MALFORMED_STREAMS {
                        return;
                    }
                }
                Ok(None) | Err(_) => return,
            }
        }
    }
}

fn downcast(stream: Stream) -> Option<Box<Http1Stream>> {
    stream.into_any().downcast().ok()
}

fn reason(code: Code) -> &'static str {
    http::StatusCode::from_u16(code.status())
        .ok()
        .and_then(|status| status.canonical_reason())
        .unwrap_or("Refused")
}

fn http2_options(limits: &Limits) -> H2Options {
    let mut options = H2Options::default();
    options
        .max_header_list_size(u32::try_from(limits.header_bytes).unwrap_or(u32::MAX))
        .max_concurrent_streams(limits.streams_per_connection)
        .initial_window_size(256 * 1024)
        .initial_connection_window_size(1024 * 1024);
    options
}

/// The number of open streams of an HTTP/2 connection.
#[derive(Default)]
struct ActiveConnection {
    streams: AtomicUsize,
    ended: Notify,
}

impl ActiveConnection {
    fn begin(self: &Arc<Self>) -> Guard {
        self.streams.fetch_add(1, Ordering::Relaxed);
        Guard(Arc::clone(self))
    }

    /// Returns when no stream has been open for `time`. Each stream restarts the wait.
    async fn idle_for(&self, time: Duration) {
        while self.streams.load(Ordering::Relaxed) > 0 {
            self.ended.notified().await;
        }
        tokio::time::sleep(time).await;
    }
}

struct Guard(Arc<ActiveConnection>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.streams.fetch_sub(1, Ordering::Relaxed);
        self.0.ended.notify_one();
    }
}
