//! `/oauth2/auth`: forward authentication for another proxy (nginx `auth_request`, Traefik `forwardAuth`,
//! Caddy `forward_auth`; with the path appended, Envoy `ext_authz`). The same authentication and the same
//! canonical form as for forwarded requests, but nothing is forwarded.

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version, header};
use pingora_core::Result;
use pingora_http::{RequestHeader, ResponseHeader};
use pingora_proxy::Session;

use super::context::RequestContext;
use super::{forward, reject, request_id};
use crate::connection::ConnectionInfo;
use crate::snapshot::{RouteTarget, Snapshot};
use guarita_auth::access::Permit;
use guarita_auth::assertion::Assertions;
use guarita_core::Code;
use guarita_core::http::{CanonicalRequest, RawRequest, forwarded};

const PATH: &str = "/oauth2/auth";
const METHOD: HeaderName = HeaderName::from_static("x-forwarded-method");
const TARGET: HeaderName = HeaderName::from_static("x-forwarded-uri");

/// The request to authenticate.
pub(crate) struct Question {
    pub(crate) method: Method,
    pub(crate) canonical: CanonicalRequest,
}

/// Whether an own path is that of forward authentication.
pub(crate) fn is_asked_at(path: &str) -> bool {
    path.strip_prefix(PATH).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Reads it from `X-Forwarded-Method`, `-Host` and `-Uri` or, if a path is appended, from the request itself.
/// Each of the three must be present exactly once: a guessed value could differ from the request that is
/// forwarded. Only trusted proxies are accepted.
pub(crate) fn read(
    snapshot: &Snapshot,
    connection: &ConnectionInfo,
    request: &RequestHeader,
    asking: &CanonicalRequest,
) -> Result<Question, Code> {
    if !forwarded::is_trusted(connection.peer.ip(), &snapshot.trusted_proxies) {
        tracing::debug!(peer = %connection.peer.ip(), "forward auth request from a peer that is not a trusted proxy");
        return Err(Code::Forbidden);
    }
    let appended = asking.path_and_query().as_str().strip_prefix(PATH);
    let appended = appended.filter(|rest| rest.starts_with('/'));
    let (method, host, target) = match appended {
        Some(target) => (request.method.clone(), asking.authority_header(), target.as_bytes()),
        None => {
            let method = Method::from_bytes(said(request, &METHOD)?.as_bytes());
            let method = method.map_err(|_| Code::BadRequest)?;
            (method, said(request, &forwarded::HOST)?, said(request, &TARGET)?.as_bytes())
        }
    };
    let mut headers = HeaderMap::with_capacity(1);
    headers.insert(header::HOST, host.clone());
    let arrived = RawRequest {
        version: Version::HTTP_11,
        method: &method,
        target,
        authority: None,
        headers: &headers,
    };
    let canonical = CanonicalRequest::parse(&arrived).map_err(|ambiguity| {
        tracing::debug!(reason = %ambiguity, "forward auth request for an ambiguous request");
        ambiguity.code()
    })?;
    Ok(Question { method, canonical })
}

/// The value of a field that must occur exactly once.
fn said<'a>(request: &'a RequestHeader, name: &HeaderName) -> Result<&'a HeaderValue, Code> {
    let mut values = request.headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => Ok(value),
        (None | Some(_), _) => Err(Code::BadRequest),
    }
}

/// Writes a 200 with the identity headers that the upstream of the route would receive.
pub(crate) async fn forward_auth_response(
    session: &mut Session,
    context: &RequestContext,
    assertions: &Assertions,
    route: &RouteTarget,
    permit: &Permit,
) -> Result<()> {
    let snapshot = &context.snapshot;
    let assertion = forward::assertion(assertions, snapshot, route, permit)?;
    reject::drain_or_close(session);
    let mut identity = HeaderMap::with_capacity(8);
    forward::write_identity(&mut identity, &snapshot.identity_headers, permit, assertion);
    let mut head = ResponseHeader::build(StatusCode::OK, Some(identity.len() + 3))?;
    for (name, value) in &identity {
        head.insert_header(name, value)?;
    }
    head.insert_header(header::CONTENT_LENGTH, 0)?;
    head.insert_header(header::CACHE_CONTROL, "no-store")?;
    head.insert_header(&request_id::HEADER, context.request_id.header())?;
    session.write_response_header(Box::new(head), true).await
}
