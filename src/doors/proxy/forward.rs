//! The forwarded request: built from what may go on, with the identity from the permit written last
//! and the one canonical form as its target.

use std::net::IpAddr;
use std::time::Duration;

use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Uri, header, request, response};
use pingora_core::{Error, ErrorSource, ErrorType, Result};
use pingora_http::{RequestHeader, ResponseHeader};

use super::context::{Context, Passage};
use super::{Connection, request_id};
use crate::live::{RouteTarget, Snapshot};
use crate::model::{Code, Identity, Principal, Source, clock};
use crate::rules::request::credentials::is_credential;
use crate::rules::request::{IdentityHeaders, Kept, cookies, forwarded};
use crate::services::access::Permit;
use crate::services::assertion::Assertions;

/// How many fields are written beside those that go on.
const WRITTEN: usize = 12;

/// Turns the copy of the caller's request into what the upstream receives. Names are sent in lower
/// case, whatever the caller's: pingora's record of their case is left behind.
pub(super) fn prepare(
    arrived: &RequestHeader,
    request: &mut RequestHeader,
    context: &Context,
    assertions: &Assertions,
) -> Result<()> {
    let (Some(passage), Some(connection)) = (context.passage(), &context.connection) else {
        return Err(Error::explain(ErrorType::InternalError, "no permit"));
    };
    let snapshot = &context.snapshot;
    let assertion = assertion(assertions, snapshot, &passage.route, &passage.permit)?;
    let kept = Kept {
        upgrade: passage.handshake,
        forwarding: forwarded::is_trusted(connection.peer.ip(), &snapshot.trusted_proxies),
    };
    let mut parts = request::Parts::from(std::mem::replace(request, nothing()));
    let mut headers = carry_on(arrived, &mut parts.headers, snapshot, kept, passage);
    if kept.upgrade {
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    }
    if passage.route.upstream.settings().http2 && arrived.headers.contains_key(header::TE) {
        // Nothing but `trailers` was let in; gRPC servers ask for it.
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
    }
    write_host(&mut headers, passage);
    write_forwarded(&mut headers, arrived, connection, snapshot, passage);
    write_identity(&mut headers, &snapshot.identity_headers, &passage.permit, assertion);
    headers.insert(&request_id::HEADER, context.request_id.header().clone());
    parts.headers = headers;
    write_target(&mut parts.uri, passage.canonical.path_and_query())?;
    *request = parts.into();
    Ok(())
}

/// A head that says nothing.
fn nothing() -> RequestHeader {
    http::Request::new(()).into_parts().0.into()
}

/// The fields that go on.
fn carry_on(
    arrived: &RequestHeader,
    copied: &mut HeaderMap,
    snapshot: &Snapshot,
    kept: Kept,
    passage: &Passage,
) -> HeaderMap {
    let sieve = snapshot.families.sieve(&arrived.headers, kept);
    let goes_on = |name: &HeaderName| {
        !sieve.strips(name) && (passage.route.forward_credentials || !is_credential(name))
    };
    let mut headers = HeaderMap::with_capacity(copied.len() + WRITTEN);
    let mut current = None;
    let mut crumbs = false;
    for (name, value) in copied.drain() {
        // Further values of a name come without it.
        if let Some(name) = name {
            current = goes_on(&name).then_some(name);
        }
        let Some(name) = &current else { continue };
        let is_cookie = *name == header::COOKIE;
        let value = if is_cookie && !passage.route.forward_credentials {
            cookies::without_own(&value).unwrap_or(value)
        } else {
            value
        };
        if !is_cookie || !value.is_empty() {
            crumbs |= headers.append(name, value) && is_cookie;
        }
    }
    if crumbs {
        join_cookies(&mut headers);
    }
    headers
}

/// HTTP/2 may send each cookie in a field of its own; of several, HTTP/1.1 servers read one (RFC 9113
/// section 8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    let crumbs: Vec<_> =
        headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if let Ok(joined) = HeaderValue::from_bytes(&crumbs.join(&b"; "[..])) {
        headers.insert(header::COOKIE, joined);
    }
}

/// The canonical path with the query, in origin-form; left alone where it is that already.
fn write_target(uri: &mut Uri, canonical: &PathAndQuery) -> Result<()> {
    if uri.authority().is_some() || uri.path_and_query() != Some(canonical) {
        let target = Uri::builder().path_and_query(canonical.clone()).build();
        *uri = target.map_err(|_| Error::explain(ErrorType::InternalError, "canonical form"))?;
    }
    Ok(())
}

/// The canonical authority, or what the operator put in its place.
fn write_host(headers: &mut HeaderMap, passage: &Passage) {
    let configured = passage.route.upstream.settings().host.as_ref();
    let host = configured.unwrap_or_else(|| passage.canonical.authority_header());
    headers.insert(header::HOST, host.clone());
}

/// Says who the caller is and how it came, believing only trusted proxies about the way before.
fn write_forwarded(
    headers: &mut HeaderMap,
    arrived: &RequestHeader,
    connection: &Connection,
    snapshot: &Snapshot,
    passage: &Passage,
) {
    let (peer, trusted) = (connection.peer.ip(), &snapshot.trusted_proxies);
    let way = if trusted.is_empty() {
        connection.forwarded_for.clone()
    } else {
        forwarded::forwarded_for(peer, &arrived.headers, trusted)
    };
    let scheme = forwarded::forwarded_proto(connection.secure, peer, &arrived.headers, trusted);
    headers.insert(&forwarded::FOR, way);
    headers.insert(&forwarded::PROTO, HeaderValue::from_static(scheme));
    // What was asked for, also where the upstream is given another `Host`.
    headers.insert(&forwarded::HOST, passage.canonical.authority_header().clone());
}

/// Inserts or removes every identity header, always: what a name carries upstream is from the
/// permit or it is not there.
pub(super) fn write_identity(
    headers: &mut HeaderMap,
    names: &IdentityHeaders,
    permit: &Permit,
    assertion: Option<HeaderValue>,
) {
    let principal = permit.principal();
    let identity = principal.map(Principal::identity);
    let values = [
        (&names.subject, identity.and_then(|identity| subject(names, identity))),
        (&names.roles, principal.map(|principal| principal.roles().header().clone())),
        (&names.user, identity.and_then(Identity::user_header).cloned()),
        (&names.session, identity.and_then(Identity::session_header).cloned()),
        (&names.source, identity.map(|identity| source_header(identity.source()))),
        (&names.assertion, assertion),
    ];
    for (name, value) in values {
        match value {
            Some(value) => headers.insert(name, value),
            None => headers.remove(name),
        };
    }
}

/// The subject as the names have it: ready made, but where they put something before it.
fn subject(names: &IdentityHeaders, identity: &Identity) -> Option<HeaderValue> {
    let ready = identity.subject_header();
    match names.subject_prefix {
        "" => Some(ready.clone()),
        prefix => HeaderValue::from_bytes(&[prefix.as_bytes(), ready.as_bytes()].concat()).ok(),
    }
}

/// The signed statement about the caller for the upstream of a route; none where nobody is known, or
/// nobody asked for it. The time is that of now: a request may have waited for another server.
pub(super) fn assertion(
    assertions: &Assertions,
    snapshot: &Snapshot,
    route: &RouteTarget,
    permit: &Permit,
) -> Result<Option<HeaderValue>> {
    let (Some(keys), Some(audience), Some(principal)) =
        (&snapshot.assertion, &route.audience, permit.principal())
    else {
        return Ok(None);
    };
    match assertions.find_or_issue(keys, principal, audience, clock::now()) {
        Ok(assertion) => Ok(Some(assertion)),
        Err(fault) => {
            tracing::error!(error = %fault, "an assertion cannot be signed");
            Err(Error::explain(ErrorType::InternalError, "no assertion"))
        }
    }
}

const fn source_header(source: Source) -> HeaderValue {
    HeaderValue::from_static(source.as_str())
}

/// The client as limits and logs know it: the socket's other end, or what a trusted proxy says.
pub(super) fn client_address(arrived: &RequestHeader, context: &Context) -> Option<IpAddr> {
    let peer = context.connection.as_ref()?.peer.ip();
    Some(forwarded::client(peer, &arrived.headers, &context.snapshot.trusted_proxies))
}

/// What is left of the route's time; `None` where it has no bound.
pub(super) fn time_left(context: &Context) -> Option<Duration> {
    let timeout = context.passage()?.route.timeout?;
    Some(timeout.saturating_sub(context.started.elapsed()))
}

/// Takes from an answer what an upstream may not say (identity, and what is only for the next hop)
/// and names the request. Like the request's, names go on in lower case.
pub(super) fn rewrite_answer(response: &mut ResponseHeader, context: &Context) {
    // What frames the message and what opens a tunnel is the proxy's own affair.
    const KEPT: [HeaderName; 3] = [header::TRANSFER_ENCODING, header::CONNECTION, header::UPGRADE];
    let nothing = http::Response::new(()).into_parts().0.into();
    let mut parts = response::Parts::from(std::mem::replace(response, nothing));
    let families = &context.snapshot.families;
    let stripped: Vec<HeaderName> = parts
        .headers
        .keys()
        .filter(|name| families.contains(name) && !KEPT.contains(name))
        .cloned()
        .collect();
    for name in stripped {
        parts.headers.remove(name);
    }
    keep_own_cookies(&mut parts.headers);
    parts.headers.insert(&request_id::HEADER, context.request_id.header().clone());
    *response = parts.into();
}

/// No upstream gives a browser a session of ours, or takes it away.
fn keep_own_cookies(headers: &mut HeaderMap) {
    let fields = || headers.get_all(header::SET_COOKIE).iter();
    if !fields().any(cookies::sets_own) {
        return;
    }
    let kept: Vec<_> = fields().filter(|field| !cookies::sets_own(field)).cloned().collect();
    headers.remove(header::SET_COOKIE);
    headers.extend(kept.into_iter().map(|field| (header::SET_COOKIE, field)));
}

/// The current server answered.
pub(super) fn answered(response: &ResponseHeader, context: &Context) {
    if response.status.is_informational() {
        return;
    }
    if let Some(attempt) = context.attempts.last() {
        attempt.succeeded();
    }
}

/// The current server failed; whether another may be tried.
pub(super) fn failed(context: &Context) -> bool {
    let Some(attempt) = context.attempts.last() else { return false };
    attempt.failed();
    let Some(passage) = context.passage() else { return false };
    let pool = &passage.route.upstream;
    context.attempts.len() <= usize::from(pool.settings().retries)
        && pool.has_other(&context.tried())
}

/// The refusal that a failure of forwarding becomes; `None` when the caller is gone and nothing can
/// be said.
#[expect(clippy::wildcard_enum_match_arm, reason = "pingora's list of errors is open")]
pub(super) fn code_of(error: &Error) -> Option<Code> {
    if let ErrorType::HTTPStatus(status) = error.etype() {
        return Some(Code::of_status(*status));
    }
    match error.esource() {
        ErrorSource::Upstream => Some(match error.etype() {
            ErrorType::ConnectTimedout
            | ErrorType::TLSHandshakeTimedout
            | ErrorType::ReadTimedout
            | ErrorType::WriteTimedout => Code::GatewayTimeout,
            ErrorType::ReadError if took_too_long(error) => Code::GatewayTimeout,
            _ => Code::BadGateway,
        }),
        ErrorSource::Downstream => match error.etype() {
            ErrorType::ReadTimedout => Some(Code::RequestTimeout),
            ErrorType::ReadError | ErrorType::WriteError | ErrorType::ConnectionClosed => None,
            _ => Some(Code::BadRequest),
        },
        ErrorSource::Internal | ErrorSource::Unset => Some(Code::Internal),
    }
}

/// Whether the upstream's connection itself gave up waiting, as those of handshakes do.
fn took_too_long(error: &Error) -> bool {
    let cause = error.cause.as_ref().and_then(|cause| cause.downcast_ref::<std::io::Error>());
    cause.is_some_and(|cause| cause.kind() == std::io::ErrorKind::TimedOut)
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
        assert_eq!(code(ErrorType::WriteError, ErrorSource::Downstream), None);
        assert_eq!(code(ErrorType::HTTPStatus(413), ErrorSource::Unset), Some(Code::BodyTooLarge));
    }
}
