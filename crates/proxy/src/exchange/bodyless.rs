//! The fast path for requests without a body: the request is written to a server, then the response is relayed
//! to the client. Most requests are of this kind, and do not need pingora's machinery for reading and writing
//! at the same time (docs/decisions/0014).

use std::time::Duration;

use http::{HeaderValue, Method, StatusCode, Version, header};
use pingora_core::protocols::http::HttpTask;
use pingora_core::protocols::http::v1::client::HttpSession;
use pingora_core::{Error, ErrorType, Result};
use pingora_http::ResponseHeader;
use pingora_proxy::Session;

use super::context::{AuthorizedRequest, RequestContext};
use super::{forward, response};
use crate::Gateway;
use crate::upstream::UpstreamAttempt;
use guarita_core::Code;

/// Maximum number of idle connections to all servers; the fast path and pingora have a pool each.
pub const MAX_IDLE_CONNECTIONS: usize = 8 * 1024;
/// Maximum number of attempts per request. The configured retries are fewer; this is only an upper bound.
pub const MAX_ATTEMPTS: usize = 8;
/// Maximum number of parts of a response that are written at once.
const PARTS: usize = 4;

/// Whether the fast path can be used for a request.
pub(crate) fn is_for(passage: &AuthorizedRequest, session: &mut Session) -> bool {
    !passage.handshake
        && !passage.route.upstream.settings().http2
        && session.downstream_session.is_body_empty()
}

impl Gateway {
    /// Sends the request to a server, retries on another if allowed, and relays the response to the client.
    pub(crate) async fn exchange(
        &self,
        session: &mut Session,
        context: &mut RequestContext,
    ) -> Result<()> {
        let mut tries = 1;
        loop {
            let left = forward::select_server(context)?;
            let error = match self.connect(context).await {
                Ok((server, reused)) => match self.send(session, server, context, left).await {
                    Ok(()) => return Ok(()),
                    Err(error) => self.on_exchange_error(error, session, context, reused),
                },
                Err(error) => self.on_connect_error(error.into_up(), context),
            };
            if tries == MAX_ATTEMPTS || !error.retry() {
                return Err(error);
            }
            tries += 1;
        }
    }

    /// A connection to the selected server, and whether it was reused.
    async fn connect(&self, context: &RequestContext) -> Result<(HttpSession, bool)> {
        let attempt = chosen(context)?;
        if let Some(stream) = self.connections.take(attempt.way()) {
            return Ok((HttpSession::new(stream), true));
        }
        let peer = attempt.peer().ok_or_else(|| response::refusal(Code::Unavailable))?;
        // Boxed: this is rare, and its size would be paid on every request.
        let stream = Box::pin(self.connections.connect(&peer)).await?;
        Ok((HttpSession::new(stream), false))
    }

    /// One attempt. A failure closes the connection to the server.
    async fn send(
        &self,
        session: &mut Session,
        mut server: HttpSession,
        context: &mut RequestContext,
        left: Option<Duration>,
    ) -> Result<()> {
        let attempt = chosen(context)?;
        let (way, settings) = (attempt.way(), attempt.settings());
        let (silence, rest) = (settings.read_timeout, settings.idle_timeout);
        server.read_timeout = Some(left.map_or(silence, |left| left.min(silence)));
        // No bound for the write: a head always fits into the empty buffer of an idle connection.
        let arrived = session.req_header();
        let request = forward::prepare(arrived, Version::HTTP_11, context, &self.assertions)?;
        forward::yield_before_write().await;
        server.write_request_header(Box::new(request)).await.map_err(Error::into_up)?;
        server.finish_body().await.map_err(Error::into_up)?;
        let whole = relay_response(session, &mut server, context).await?;
        if whole {
            server.respect_keepalive();
            if let Some(stream) = server.reuse().await {
                self.connections.keep(way, stream, rest);
            }
        }
        Ok(())
    }
}

/// The last attempt.
fn chosen(context: &RequestContext) -> Result<&UpstreamAttempt> {
    context.attempts.last().ok_or_else(|| response::refusal(Code::Internal))
}

/// Relays the response to the client until it is complete or the client closes. Returns whether the response is
/// complete.
async fn relay_response(
    session: &mut Session,
    server: &mut HttpSession,
    context: &mut RequestContext,
) -> Result<bool> {
    loop {
        let mut part = tokio::select! {
            biased;
            part = server.read_response_task() => part,
            left = session.downstream_session.read_body_or_idle(true) => return Err(client_disconnected(left.err())),
        };
        let mut parts = Vec::with_capacity(PARTS);
        let whole = loop {
            let read = match part {
                Ok(read) => filter(session, read, context)?,
                Err(error) => HttpTask::Failed(error.into_up()),
            };
            if response::final_status(session).is_none()
                && let HttpTask::Failed(error) = read
            {
                // Nothing has left yet, so another server may be asked, or the failure be told.
                return Err(error);
            }
            let (ends, failed) = (read.is_end(), matches!(read, HttpTask::Failed(_)));
            parts.push(read);
            if ends || failed || parts.len() == PARTS {
                break ends && !failed;
            }
            // Head and body often arrive as one, and then leave as one.
            part = tokio::select! {
                biased;
                part = server.read_response_task() => part,
                () = std::future::ready(()) => break false,
            };
        };
        let written = session.write_response_tasks(parts).await?;
        if whole || written {
            return Ok(whole);
        }
    }
}

/// The client disconnected before the response was complete, or sent bytes that belong to no request.
fn client_disconnected(error: Option<Box<Error>>) -> Box<Error> {
    error.unwrap_or_else(|| Error::new(ErrorType::ConnectionClosed)).into_down()
}

/// Filters a part of a response.
fn filter(session: &mut Session, part: HttpTask, context: &mut RequestContext) -> Result<HttpTask> {
    match part {
        HttpTask::Header(mut head, ends) => {
            if !ends && !has_no_body(&session.req_header().method, head.status) {
                ensure_framing(&mut head)?;
            }
            response::filter_answer(session, &mut head, context)?;
            Ok(HttpTask::Header(head, ends))
        }
        part @ (HttpTask::Body(..) | HttpTask::UpgradedBody(..)) => {
            response::check_time(context)?;
            Ok(part)
        }
        part @ (HttpTask::Trailer(_) | HttpTask::Done | HttpTask::Failed(_)) => Ok(part),
    }
}

/// Whether a response has no body (RFC 9110 section 6.4.1).
fn has_no_body(method: &Method, status: StatusCode) -> bool {
    *method == Method::HEAD
        || status.is_informational()
        || [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED].contains(&status)
}

/// Makes a response chunked if its body is delimited by the end of the server's connection, so that the client's
/// connection can stay open and a truncated body can be detected.
fn ensure_framing(head: &mut ResponseHeader) -> Result<()> {
    let framed = [header::TRANSFER_ENCODING, header::CONTENT_LENGTH];
    if framed.iter().any(|name| head.headers.contains_key(name)) {
        return Ok(());
    }
    head.set_version(Version::HTTP_11);
    head.insert_header(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"))
}
