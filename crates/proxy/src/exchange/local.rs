//! The bridge to Guarita's own endpoints: the axum router, called in-process as a tower service.

use std::sync::Arc;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::{HeaderName, Request, Response, Uri, header};
use http_body_util::BodyExt as _;
use pingora_core::{Error, ErrorType, Result};
use pingora_http::ResponseHeader;
use pingora_proxy::Session;
use tower::ServiceExt as _;

use super::context::RequestContext;
use super::{forward, reject, request_id, route_and_authorize};
use guarita_auth::EndpointRequest;
use guarita_core::Code;
use guarita_core::http::CanonicalRequest;
use guarita_core::http::forwarded::is_trusted;

/// Maximum body of a request to an own endpoint, in bytes.
const MAX_BODY: u64 = 64 * 1024;

/// A call of an own endpoint.
pub(crate) struct Call {
    pub(crate) canonical: CanonicalRequest,
    /// The endpoint's path, aliases resolved.
    pub(crate) path: Box<str>,
    pub(crate) caller: route_and_authorize::Authentication,
}

/// Reads the body, calls the endpoint and writes its response. Returns the problem code of the response, if it is
/// one. The inner error is a rejection to be rendered by the caller.
pub(crate) async fn serve(
    endpoints: &axum::Router,
    session: &mut Session,
    context: &RequestContext,
    call: Call,
) -> Result<Result<Option<Code>, Code>> {
    let body = match read_body(session, context).await {
        Ok(body) => body,
        Err(code) => return Ok(Err(code)),
    };
    let Some(request) = build(session, context, call, body) else {
        return Ok(Err(Code::BadRequest));
    };
    let answer = endpoints.clone().oneshot(request).await;
    let response = answer.unwrap_or_else(|never| match never {});
    let refused = response.extensions().get::<Code>().copied();
    write(session, context, response).await.map(|()| Ok(refused))
}

/// The whole body, limited in size; pingora applies the body time-out to each read.
async fn read_body(session: &mut Session, context: &RequestContext) -> Result<Bytes, Code> {
    let length = route_and_authorize::announced_length(&session.req_header().headers);
    if length.is_some_and(|length| length > MAX_BODY) {
        return Err(Code::BodyTooLarge);
    }
    if session.is_body_done() {
        return Ok(Bytes::new());
    }
    if session.get_header(header::EXPECT).is_some() {
        session.write_continue_response().await.map_err(|_| Code::BadRequest)?;
    }
    let deadline = tokio::time::Instant::now() + context.snapshot.limits.body_timeout;
    let mut body = BytesMut::new();
    loop {
        let read = tokio::time::timeout_at(deadline, session.read_request_body()).await;
        match read {
            Err(_) => return Err(Code::RequestTimeout),
            Ok(Err(error)) if *error.etype() == ErrorType::ReadTimedout => {
                return Err(Code::RequestTimeout);
            }
            Ok(Err(_)) => return Err(Code::BadRequest),
            Ok(Ok(None)) => return Ok(body.freeze()),
            Ok(Ok(Some(part))) => {
                body.extend_from_slice(&part);
                if u64::try_from(body.len()).unwrap_or(u64::MAX) > MAX_BODY {
                    return Err(Code::BodyTooLarge);
                }
            }
        }
    }
}

fn build(
    session: &Session,
    context: &RequestContext,
    call: Call,
    body: Bytes,
) -> Option<Request<Body>> {
    let head = session.req_header();
    let target = match call.canonical.query() {
        Some(query) => format!("{}?{query}", call.path),
        None => call.path.into(),
    };
    let route_and_authorize::Authentication { presented, principal, half_proven, unknowable } =
        call.caller;
    let trusted = &context.snapshot.trusted_proxies;
    // A proxy's certificate is not its callers'.
    let direct = context.connection.as_ref().filter(|it| !is_trusted(it.peer.ip(), trusted));
    let common_name = direct.and_then(|it| it.client_cn());
    let mut request = Request::new(Body::from(body));
    *request.method_mut() = head.method.clone();
    *request.uri_mut() = Uri::try_from(target).ok()?;
    *request.headers_mut() = head.headers.clone();
    request.extensions_mut().insert(EndpointRequest {
        request_id: Arc::from(context.request_id.as_str()),
        host: Arc::from(call.canonical.host()),
        client: forward::client_address(head, context)?,
        common_name: common_name.map(Arc::from),
        presented,
        principal,
        half_proven,
        unknowable,
        snapshot: Arc::clone(&context.snapshot.auth),
    });
    Some(request)
}

async fn write(
    session: &mut Session,
    context: &RequestContext,
    response: Response<Body>,
) -> Result<()> {
    reject::drain_or_close(session);
    let (parts, body) = response.into_parts();
    let mut head = ResponseHeader::build(parts.status, Some(parts.headers.len() + 2))?;
    for (name, value) in &parts.headers {
        head.append_header(name, value)?;
    }
    head.insert_header(&request_id::HEADER, context.request_id.header())?;
    let bytes = body
        .collect()
        .await
        .map_err(|error| Error::because(ErrorType::InternalError, "own endpoint", error))?
        .to_bytes();
    let bodiless = session.req_header().method == http::Method::HEAD
        || parts.status == http::StatusCode::NO_CONTENT;
    if parts.status == http::StatusCode::NO_CONTENT {
        head.remove_header(&HeaderName::from_static("content-length"));
    } else {
        head.insert_header(header::CONTENT_LENGTH, bytes.len())?;
    }
    session.write_response_header(Box::new(head), bodiless).await?;
    if !bodiless {
        session.write_response_body(Some(bytes), true).await?;
    }
    Ok(())
}
