//! The upstream's response: filtering of its fields, and problem responses for failures.

use std::io;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Version, header, response};
use pingora_core::{Error, ErrorSource, ErrorType, Result};
use pingora_http::ResponseHeader;
use pingora_proxy::Session;

use super::context::RequestContext;
use super::{request_id, websocket};
use guarita_core::Code;
use guarita_core::http::{PreservedHeaders, cookies};

/// Checks the time-out of the route during a response; it does not apply to a WebSocket.
pub(crate) fn check_time(context: &RequestContext) -> Result<()> {
    match context.time_left() {
        Some(left) if left.is_zero() && context.websocket.is_none() => {
            Err(refusal(Code::GatewayTimeout))
        }
        Some(_) | None => Ok(()),
    }
}

/// Filters the head of a response.
pub(crate) fn filter_answer(
    session: &mut Session,
    response: &mut ResponseHeader,
    context: &mut RequestContext,
) -> Result<()> {
    if response.status == StatusCode::SWITCHING_PROTOCOLS {
        // Nothing but the WebSocket that was asked for opens a tunnel.
        let accepted = websocket::is_accepted(session.req_header(), response);
        match &mut context.websocket {
            Some(websocket) if accepted => websocket.open(),
            Some(_) | None => return Err(unexpected_upgrade()),
        }
    } else if session.is_process_shutting_down() {
        // Where the request came before the drain, too: its caller must not send another here.
        session.set_keepalive(None);
    }
    check_framing(response)?;
    answered(response, context);
    rewrite_answer(response, context);
    if session.req_header().version == Version::HTTP_10 {
        remove_chunked(session, response);
    }
    Ok(())
}

/// Adapts a response for an HTTP/1.0 client, which supports neither chunked bodies nor interim responses: a body
/// without a length ends with the connection (RFC 9112 section 6.1).
fn remove_chunked(session: &mut Session, response: &mut ResponseHeader) {
    session.set_ignore_info_resp(true);
    response.remove_header(&header::TRANSFER_ENCODING);
    if !response.headers.contains_key(header::CONTENT_LENGTH) {
        session.set_keepalive(None);
    }
}

/// The status of the response that was sent; [`None`] if nothing or only interim responses were written.
pub(crate) fn final_status(session: &Session) -> Option<StatusCode> {
    let status = session.response_written()?.status;
    let interim = status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS;
    (!interim).then_some(status)
}

/// Whether the server did not respond because the client has not sent the whole body; that is not a failure of
/// the server.
pub(crate) fn is_client_body_timeout(error: &Error, session: &mut Session) -> bool {
    *error.etype() == ErrorType::ReadTimedout && !session.downstream_session.is_body_done()
}

/// The error of an unexpected 101.
fn unexpected_upgrade() -> Box<Error> {
    Error::explain(ErrorType::InvalidHTTPHeader, "unexpected 101 response").into_up()
}

/// Checks that the framing of a response is unambiguous (RFC 9112 section 6): no coding but `chunked`, and only in
/// HTTP/1.1; a single valid length; never both.
fn check_framing(response: &ResponseHeader) -> Result<()> {
    let malformed = || {
        Error::explain(ErrorType::InvalidHTTPHeader, "response with ambiguous framing").into_up()
    };
    let mut lengths = response.headers.get_all(header::CONTENT_LENGTH).iter();
    let length = lengths.next();
    let mut codings = response.headers.get_all(header::TRANSFER_ENCODING).iter();
    if let Some(coding) = codings.next() {
        let chunked = coding.as_bytes().eq_ignore_ascii_case(b"chunked");
        let known = response.version == Version::HTTP_11 && codings.next().is_none();
        if !chunked || !known || length.is_some() {
            return Err(malformed());
        }
    }
    let plain = |length: &HeaderValue| length.as_bytes().iter().all(u8::is_ascii_digit);
    if length.is_some_and(|length| length.is_empty() || !plain(length)) || lengths.next().is_some()
    {
        return Err(malformed());
    }
    Ok(())
}

/// The error that ends a request with a problem response; `fail_to_proxy` renders it.
pub(crate) fn refusal(code: Code) -> Box<Error> {
    Error::explain(ErrorType::HTTPStatus(code.status()), code.as_str())
}

/// Removes fields that an upstream must not send (identity and hop-by-hop) and adds the request id. Header names are
/// sent in lower case.
fn rewrite_answer(response: &mut ResponseHeader, context: &RequestContext) {
    // `Connection` and `Upgrade` belong to the answer that opens a tunnel.
    let tunnel = response.status == StatusCode::SWITCHING_PROTOCOLS;
    let kept = PreservedHeaders { upgrade: tunnel, forwarding: false };
    let nothing = http::Response::new(()).into_parts().0.into();
    let mut parts = response::Parts::from(std::mem::replace(response, nothing));
    let sieve = context.snapshot.families.sieve(&parts.headers, kept);
    let stripped: Vec<HeaderName> = parts
        .headers
        .keys()
        .filter(|name| sieve.strips(name) && !(tunnel && **name == header::CONNECTION))
        .cloned()
        .collect();
    for name in stripped {
        parts.headers.remove(name);
    }
    keep_own_cookies(&mut parts.headers);
    parts.headers.insert(&request_id::HEADER, context.request_id.header().clone());
    *response = parts.into();
}

/// Removes `Set-Cookie` fields of the gateway's own cookies.
fn keep_own_cookies(headers: &mut HeaderMap) {
    let fields = || headers.get_all(header::SET_COOKIE).iter();
    if !fields().any(cookies::sets_own) {
        return;
    }
    let kept: Vec<_> = fields().filter(|field| !cookies::sets_own(field)).cloned().collect();
    headers.remove(header::SET_COOKIE);
    headers.extend(kept.into_iter().map(|field| (header::SET_COOKIE, field)));
}

/// The current server responded.
fn answered(response: &ResponseHeader, context: &RequestContext) {
    if response.status.is_informational() {
        return;
    }
    if let Some(attempt) = context.attempts.last() {
        attempt.succeeded();
    }
}

/// The current server failed. Returns whether another may be tried.
pub(crate) fn failed(context: &RequestContext) -> bool {
    let Some(attempt) = context.attempts.last() else { return false };
    attempt.failed();
    let Some(passage) = context.passage() else { return false };
    let pool = &passage.route.upstream;
    context.attempts.len() <= usize::from(pool.settings().retries)
        && pool.has_other(&context.tried())
}

/// The problem code for a failure of forwarding; [`None`] if the client has disconnected.
#[expect(clippy::wildcard_enum_match_arm, reason = "pingora's list of errors is open")]
pub(crate) fn code_of(error: &Error) -> Option<Code> {
    if let ErrorType::HTTPStatus(status) = error.etype() {
        return Some(Code::of_status(*status));
    }
    match error.esource() {
        ErrorSource::Upstream => Some(match error.etype() {
            ErrorType::ConnectTimedout
            | ErrorType::TLSHandshakeTimedout
            | ErrorType::ReadTimedout
            | ErrorType::WriteTimedout => Code::GatewayTimeout,
            // The upstream's connection itself gave up waiting, as those of handshakes do.
            ErrorType::ReadError if is_of_kind(error, io::ErrorKind::TimedOut) => {
                Code::GatewayTimeout
            }
            _ => Code::BadGateway,
        }),
        ErrorSource::Downstream => match error.etype() {
            ErrorType::ReadTimedout => Some(Code::RequestTimeout),
            ErrorType::ReadError if is_of_kind(error, io::ErrorKind::InvalidData) => {
                Some(Code::BadRequest)
            }
            ErrorType::ReadError
            | ErrorType::WriteError
            | ErrorType::ConnectionClosed
            | ErrorType::H2Error => None,
            _ => Some(Code::BadRequest),
        },
        ErrorSource::Internal | ErrorSource::Unset => Some(Code::Internal),
    }
}

/// Whether the error is an I/O error of this kind.
fn is_of_kind(error: &Error, kind: io::ErrorKind) -> bool {
    let cause = error.cause.as_ref().and_then(|cause| cause.downcast_ref::<io::Error>());
    cause.is_some_and(|cause| cause.kind() == kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_becomes_the_refusal_that_names_its_side() {
        let code = |kind, source: ErrorSource| {
            let mut error = Error::new(kind);
            error.esource = source;
            code_of(&error)
        };
        assert_eq!(code(ErrorType::ConnectRefused, ErrorSource::Upstream), Some(Code::BadGateway));
        assert_eq!(
            code(ErrorType::ReadTimedout, ErrorSource::Upstream),
            Some(Code::GatewayTimeout)
        );
        assert_eq!(
            code(ErrorType::ReadTimedout, ErrorSource::Downstream),
            Some(Code::RequestTimeout)
        );
        for left in [ErrorType::ReadError, ErrorType::WriteError, ErrorType::H2Error] {
            assert_eq!(code(left, ErrorSource::Downstream), None);
        }
        assert_eq!(code(ErrorType::HTTPStatus(413), ErrorSource::Unset), Some(Code::BodyTooLarge));
    }
}
