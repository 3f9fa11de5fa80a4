//! The forwarded request: strip the families, write the identity from the permit, send the one
//! canonical form.

use std::net::IpAddr;
use std::time::Duration;

use http::{HeaderName, HeaderValue, Version, header};
use pingora_core::{Error, ErrorSource, ErrorType, Result};
use pingora_http::{RequestHeader, ResponseHeader};

use super::context::{Context, Passage};
use super::request_id;
use crate::model::{Code, Source};
use crate::rules::request::credentials::is_credential;
use crate::rules::request::{IdentityHeaders, Kept, forwarded, own_cookies};
use crate::services::access::Permit;

/// Turns the copy of the caller's request into what the upstream receives.
pub(super) fn prepare(
    arrived: &RequestHeader,
    request: &mut RequestHeader,
    context: &Context,
) -> Result<()> {
    let Some(passage) = context.passage() else {
        return Err(Error::explain(ErrorType::InternalError, "no permit"));
    };
    let peer = context.connection.as_ref().map(|connection| connection.peer.ip());
    let trusted = &context.snapshot.trusted_proxies;
    let kept = Kept {
        upgrade: is_websocket(arrived),
        forwarding: peer.is_some_and(|peer| forwarded::is_trusted(peer, trusted)),
    };
    for name in context.snapshot.families.find_except(&request.headers, kept) {
        request.remove_header(&name);
    }
    if kept.upgrade {
        request.insert_header(header::CONNECTION, HeaderValue::from_static("upgrade"))?;
    }
    if passage.route.upstream.settings().http2 && arrived.headers.contains_key(header::TE) {
        // Nothing but `trailers` was let in; gRPC servers ask for it.
        request.insert_header(header::TE, HeaderValue::from_static("trailers"))?;
    }
    if !passage.route.forward_credentials {
        let carried: Vec<HeaderName> =
            request.headers.keys().filter(|name| is_credential(name)).cloned().collect();
        for name in carried {
            request.remove_header(&name);
        }
        remove_own_cookies(request)?;
    }
    write_target(request, passage)?;
    write_host(request, passage)?;
    write_forwarded(arrived, request, context, passage)?;
    write_identity(request, &context.snapshot.identity_headers, &passage.permit)?;
    request.insert_header(&request_id::HEADER, context.request_id.header())?;
    Ok(())
}

/// Leaves the caller's other cookies as they are.
fn remove_own_cookies(request: &mut RequestHeader) -> Result<()> {
    let fields = request.headers.get_all(header::COOKIE);
    if !fields.iter().any(|field| own_cookies::without_own(field).is_some()) {
        return Ok(());
    }
    let kept: Vec<HeaderValue> = fields
        .iter()
        .map(|field| own_cookies::without_own(field).unwrap_or_else(|| field.clone()))
        .filter(|field| !field.is_empty())
        .collect();
    request.remove_header(&header::COOKIE);
    for field in kept {
        request.append_header(header::COOKIE, field)?;
    }
    Ok(())
}

/// The canonical path with the query, in origin-form; left alone where it is that already.
fn write_target(request: &mut RequestHeader, passage: &Passage) -> Result<()> {
    let canonical = passage.canonical.path_and_query();
    let is_canonical = request.uri.authority().is_none()
        && request.raw_path() == canonical.as_str().as_bytes()
        && request.uri.path_and_query() == Some(canonical);
    if !is_canonical {
        let target = http::Uri::builder().path_and_query(canonical.clone()).build();
        request.set_uri(
            target.map_err(|_| Error::explain(ErrorType::InternalError, "canonical form"))?,
        );
    }
    Ok(())
}

/// The canonical authority, or what the operator put in its place.
fn write_host(request: &mut RequestHeader, passage: &Passage) -> Result<()> {
    let sent = request.headers.get(header::HOST);
    match passage.route.upstream.settings().host.as_deref() {
        Some(configured) => request.insert_header(header::HOST, configured),
        // Two of them were refused.
        None if sent == Some(passage.canonical.authority_header()) => Ok(()),
        None => request.insert_header(header::HOST, passage.canonical.authority_header()),
    }
}

/// Says who the caller is and how it came, believing only trusted proxies about the way before.
fn write_forwarded(
    arrived: &RequestHeader,
    request: &mut RequestHeader,
    context: &Context,
    passage: &Passage,
) -> Result<()> {
    let Some(connection) = &context.connection else { return Ok(()) };
    let peer = connection.peer.ip();
    let (headers, trusted) = (&arrived.headers, &context.snapshot.trusted_proxies);
    if trusted.is_empty() {
        request.insert_header(&forwarded::FOR, connection.forwarded_for.clone())?;
    } else {
        let way = forwarded::forwarded_for(peer, headers, trusted);
        request.insert_header(&forwarded::FOR, way)?;
    }
    let scheme = forwarded::forwarded_proto(connection.secure, peer, headers, trusted);
    request.insert_header(&forwarded::PROTO, scheme)?;
    // What was asked for, also where the upstream is given another `Host`.
    request.insert_header(&forwarded::HOST, passage.canonical.authority_header())
}

/// A WebSocket handshake (RFC 6455 section 4.1): the one upgrade that is forwarded.
fn is_websocket(arrived: &RequestHeader) -> bool {
    let named = |value: &HeaderValue| {
        value.to_str().is_ok_and(|value| {
            value.split(',').any(|option| option.trim().eq_ignore_ascii_case("upgrade"))
        })
    };
    arrived.version == Version::HTTP_11
        && arrived
            .headers
            .get(header::UPGRADE)
            .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"))
        && arrived.headers.get_all(header::CONNECTION).iter().any(named)
}

/// Inserts or removes every identity header, always: what a name carries upstream is from the
/// permit or it is not there.
fn write_identity(
    request: &mut RequestHeader,
    names: &IdentityHeaders,
    permit: &Permit,
) -> Result<()> {
    let principal = permit.principal();
    let identity = principal.map(crate::model::Principal::identity);
    let source = identity.map(|identity| source_header(identity.source()));
    let values: [(&HeaderName, Option<&HeaderValue>); 5] = [
        (&names.subject, identity.map(crate::model::Identity::subject_header)),
        (&names.roles, principal.map(|principal| principal.roles().header())),
        (&names.user, identity.and_then(crate::model::Identity::user_header)),
        (&names.session, identity.and_then(crate::model::Identity::session_header)),
        (&names.source, source.as_ref()),
    ];
    for (name, value) in values {
        match value {
            Some(value) => request.insert_header(name, value)?,
            None => {
                request.remove_header(name);
            }
        }
    }
    Ok(())
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

/// Takes from an answer what an upstream may not say: identity, and what is only for the next hop.
pub(super) fn strip_answer(response: &mut ResponseHeader, context: &Context) {
    // What frames the message and what opens a tunnel is the proxy's own affair.
    const KEPT: [HeaderName; 3] = [header::TRANSFER_ENCODING, header::CONNECTION, header::UPGRADE];
    let families = &context.snapshot.families;
    let stripped: Vec<HeaderName> = response
        .headers
        .keys()
        .filter(|name| families.contains(name) && !KEPT.contains(name))
        .cloned()
        .collect();
    for name in stripped {
        response.remove_header(&name);
    }
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
