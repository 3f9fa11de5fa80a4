//! The forwarded request: the fields that may be forwarded, the canonical form as its target, and the identity
//! headers of the permit, written last.

use std::net::IpAddr;
use std::time::Duration;

use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Uri, Version, header};
use pingora_core::upstreams::peer::HttpPeer;
use pingora_core::{Error, ErrorType, Result};
use pingora_http::RequestHeader;
use pingora_proxy::Session;

use super::context::{AuthorizedRequest, RequestContext};
use super::{request_id, response};
use crate::connection::ConnectionInfo;
use crate::snapshot::{RouteTarget, Snapshot};
use crate::upstream::UpstreamAttempt;
use guarita_auth::access::Permit;
use guarita_auth::assertion::Assertions;
use guarita_core::http::credentials::is_credential;
use guarita_core::http::{IdentityHeaders, PreservedHeaders, cookies, forwarded};
use guarita_core::{Code, Identity, Principal, Source, time};

/// Number of fields that are added to the forwarded ones.
const EXTRA_HEADERS: usize = 12;

/// Selects the next server. Returns the rest of the route's time-out, if it has one.
pub(crate) fn select_server(context: &mut RequestContext) -> Result<Option<Duration>> {
    // Without a permit there is no way to an upstream.
    let Some(passage) = context.passage() else {
        return Err(response::refusal(Code::Internal));
    };
    let left = context.time_left();
    if left.is_some_and(|left| left.is_zero()) {
        // Another server would be asked in vain, and be blamed for it.
        return Err(response::refusal(Code::GatewayTimeout));
    }
    let pool = &passage.route.upstream;
    let attempt = pool
        .select_server(&context.tried(), context.started)
        .map_err(|_| response::refusal(Code::Unavailable))?;
    context.attempts.push(attempt);
    Ok(left)
}

/// The address, TLS settings and time-outs of the selected server.
pub(crate) fn peer(
    session: &mut Session,
    context: &RequestContext,
    left: Option<Duration>,
) -> Result<Box<HttpPeer>> {
    let attempt = context.attempts.last();
    let (peer, left) = match &context.websocket {
        Some(websocket) => {
            (attempt.and_then(|attempt| attempt.upgrade_peer(websocket.opening(), left)), None)
        }
        None => (attempt.and_then(UpstreamAttempt::peer), left),
    };
    let mut peer = peer.ok_or_else(|| response::refusal(Code::Unavailable))?;
    if let Some(left) = left {
        peer.options.read_timeout =
            Some(peer.options.read_timeout.map_or(left, |timeout| timeout.min(left)));
    }
    if session.is_body_empty() {
        // A head always fits into the empty buffer of an idle connection.
        peer.options.write_timeout = None;
    }
    Ok(peer)
}

/// Yields, so that all requests that have arrived are authorized before the first is written: the upstream server
/// is woken once for several requests (docs/decisions/0006).
pub(crate) fn yield_before_write() -> impl Future<Output = ()> {
    tokio::task::yield_now()
}

/// Builds the request for the upstream. Header names are sent in lower case.
pub(crate) fn prepare(
    arrived: &RequestHeader,
    version: Version,
    context: &RequestContext,
    assertions: &Assertions,
) -> Result<RequestHeader> {
    let (Some(passage), Some(connection)) = (context.passage(), &context.connection) else {
        return Err(Error::explain(ErrorType::InternalError, "no permit"));
    };
    let snapshot = &context.snapshot;
    let assertion = assertion(assertions, snapshot, &passage.route, &passage.permit)?;
    let kept = PreservedHeaders {
        upgrade: passage.handshake,
        forwarding: forwarded::is_trusted(connection.peer.ip(), &snapshot.trusted_proxies),
    };
    let mut headers = forwarded_headers(&arrived.headers, snapshot, kept, passage);
    if kept.upgrade {
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    }
    if passage.route.upstream.settings().http2 && arrived.headers.contains_key(header::TE) {
        // Nothing but `trailers` was let in; gRPC servers ask for it.
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
    }
    let bodiless = [header::CONTENT_LENGTH, header::TRANSFER_ENCODING]
        .iter()
        .all(|name| !arrived.headers.contains_key(name));
    if bodiless || arrived.version == Version::HTTP_10 {
        // There is nothing to wait for, or nobody who would (RFC 9110 section 10.1.1).
        headers.remove(header::EXPECT);
    }
    write_host(&mut headers, passage);
    write_forwarded(&mut headers, arrived, connection, snapshot, passage);
    write_identity(&mut headers, &snapshot.identity_headers, &passage.permit, assertion);
    headers.insert(&request_id::HEADER, context.request_id.header().clone());
    let (mut parts, ()) = http::Request::new(()).into_parts();
    parts.method = arrived.method.clone();
    parts.uri = target(&arrived.uri, passage.canonical.path_and_query())?;
    parts.version = version;
    parts.headers = headers;
    Ok(parts.into())
}

/// The fields that are forwarded.
fn forwarded_headers(
    arrived: &HeaderMap,
    snapshot: &Snapshot,
    kept: PreservedHeaders,
    passage: &AuthorizedRequest,
) -> HeaderMap {
    let sieve = snapshot.families.sieve(arrived, kept);
    let goes_on = |name: &HeaderName| {
        !sieve.strips(name) && (passage.route.forward_credentials || !is_credential(name))
    };
    let mut headers = HeaderMap::with_capacity(arrived.keys_len() + EXTRA_HEADERS);
    let mut crumbs = false;
    for (name, value) in arrived {
        if !goes_on(name) {
            continue;
        }
        let is_cookie = *name == header::COOKIE;
        let without_own = if is_cookie && !passage.route.forward_credentials {
            cookies::without_own(value)
        } else {
            None
        };
        let value = without_own.unwrap_or_else(|| value.clone());
        if !is_cookie || !value.is_empty() {
            crumbs |= headers.append(name, value) && is_cookie;
        }
    }
    if crumbs {
        join_cookies(&mut headers);
    }
    headers
}

/// Joins the cookie fields: HTTP/2 may send each cookie in its own field, but HTTP/1.1 servers expect one (RFC 9113
/// section 8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    let crumbs: Vec<_> =
        headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if let Ok(joined) = HeaderValue::from_bytes(&crumbs.join(&b"; "[..])) {
        headers.insert(header::COOKIE, joined);
    }
}

/// The canonical path with the query, in origin-form; the original if it already is canonical.
fn target(arrived: &Uri, canonical: &PathAndQuery) -> Result<Uri> {
    if arrived.authority().is_none() && arrived.path_and_query() == Some(canonical) {
        return Ok(arrived.clone());
    }
    let target = Uri::builder().path_and_query(canonical.clone()).build();
    target.map_err(|_| Error::explain(ErrorType::InternalError, "canonical form"))
}

/// Writes the canonical authority, or the configured `host` of the upstream.
fn write_host(headers: &mut HeaderMap, passage: &AuthorizedRequest) {
    let configured = passage.route.upstream.settings().host.as_ref();
    let host = configured.unwrap_or_else(|| passage.canonical.authority_header());
    headers.insert(header::HOST, host.clone());
}

/// Writes the `X-Forwarded-*` fields; only trusted proxies are believed about earlier hops.
fn write_forwarded(
    headers: &mut HeaderMap,
    arrived: &RequestHeader,
    connection: &ConnectionInfo,
    snapshot: &Snapshot,
    passage: &AuthorizedRequest,
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

/// Sets or removes every identity header: the upstream receives values from the permit or none.
pub(crate) fn write_identity(
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

/// The value of the subject header, with the prefix if there is one.
fn subject(names: &IdentityHeaders, identity: &Identity) -> Option<HeaderValue> {
    let ready = identity.subject_header();
    match names.subject_prefix {
        "" => Some(ready.clone()),
        prefix => HeaderValue::from_bytes(&[prefix.as_bytes(), ready.as_bytes()].concat()).ok(),
    }
}

/// The assertion for the upstream of a route; [`None`] if there is no caller, or assertions are disabled. It is
/// issued with the current time, because the request may have waited for another server.
pub(crate) fn assertion(
    assertions: &Assertions,
    snapshot: &Snapshot,
    route: &RouteTarget,
    permit: &Permit,
) -> Result<Option<HeaderValue>> {
    let (Some(keys), Some(audience), Some(principal)) =
        (&snapshot.auth.assertion, &route.audience, permit.principal())
    else {
        return Ok(None);
    };
    match assertions.find_or_issue(keys, principal, audience, time::now()) {
        Ok(assertion) => Ok(Some(assertion)),
        Err(fault) => {
            tracing::error!(error = %fault, "signing an assertion failed");
            Err(Error::explain(ErrorType::InternalError, "no assertion"))
        }
    }
}

const fn source_header(source: Source) -> HeaderValue {
    HeaderValue::from_static(source.as_str())
}

/// The client address for limits and logs: the peer of the socket, or the address that a trusted proxy forwards.
pub(crate) fn client_address(arrived: &RequestHeader, context: &RequestContext) -> Option<IpAddr> {
    let peer = context.connection.as_ref()?.peer.ip();
    Some(forwarded::client(peer, &arrived.headers, &context.snapshot.trusted_proxies))
}
