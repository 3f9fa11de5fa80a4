//! Problem responses of the proxy, from the same table as those of the endpoints.

use std::time::Duration;

use http::{HeaderValue, Method, StatusCode, header};
use pingora_core::Result;
use pingora_http::ResponseHeader;
use pingora_proxy::Session;

use super::context::RejectedHandshake;
use super::request_id::{self, RequestId};
use guarita_core::Code;
use guarita_core::problem_body;

/// Maximum size of an unread request body that is drained so that the connection can be reused, in bytes.
const MAX_DRAINED: u64 = 64 * 1024;
/// Time-out of draining.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// A problem response with the values of its header fields.
#[derive(Debug)]
pub(crate) struct RejectionResponse {
    pub(crate) code: Code,
    /// Whether a credential was presented: the challenge then names `invalid_token`.
    pub(crate) presented: bool,
    /// The value of `Allow`, for 405.
    pub(crate) allow: Option<HeaderValue>,
    /// Where a browser is redirected to instead of a 401.
    pub(crate) sign_in: Option<String>,
    /// For the telemetry of a WebSocket handshake.
    pub(crate) denied: Option<Box<RejectedHandshake>>,
}

impl From<Code> for RejectionResponse {
    fn from(code: Code) -> Self {
        Self { code, presented: false, allow: None, sign_in: None, denied: None }
    }
}

/// Writes a problem response. The connection is kept only if the rest of the request is small enough to be
/// drained.
pub(crate) async fn refuse(
    session: &mut Session,
    refusal: &RejectionResponse,
    request_id: &RequestId,
) -> Result<()> {
    drain_or_close(session);
    if let Some(target) = &refusal.sign_in {
        return redirect(session, target, request_id).await;
    }
    let body = problem_body::body(refusal.code, request_id.as_str());
    let status =
        StatusCode::from_u16(refusal.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut head = ResponseHeader::build(status, Some(8))?;
    head.insert_header(header::CONTENT_TYPE, "application/problem+json")?;
    head.insert_header(header::CONTENT_LENGTH, body.len())?;
    head.insert_header(header::CACHE_CONTROL, "no-store")?;
    head.insert_header(&request_id::HEADER, request_id.header())?;
    if let Some(challenge) = problem_body::challenge(refusal.code, refusal.presented) {
        head.insert_header(header::WWW_AUTHENTICATE, challenge)?;
    }
    if let Some(seconds) = problem_body::retry_after(refusal.code) {
        head.insert_header(header::RETRY_AFTER, seconds)?;
    }
    if let Some(allow) = &refusal.allow {
        head.insert_header(header::ALLOW, allow)?;
    }
    let bodiless = session.req_header().method == Method::HEAD;
    session.write_response_header(Box::new(head), bodiless).await?;
    if !bodiless {
        session.write_response_body(Some(body), true).await?;
    }
    Ok(())
}

async fn redirect(session: &mut Session, target: &str, request_id: &RequestId) -> Result<()> {
    let mut head = ResponseHeader::build(StatusCode::FOUND, Some(5))?;
    head.insert_header(header::LOCATION, target)?;
    head.insert_header(header::CONTENT_LENGTH, 0)?;
    head.insert_header(header::CACHE_CONTROL, "no-store")?;
    head.insert_header(header::VARY, "accept, cookie")?;
    head.insert_header(&request_id::HEADER, request_id.header())?;
    session.write_response_header(Box::new(head), true).await
}

/// Decides whether the rest of the request is drained or the connection closed, before a response that does not
/// wait for the body.
pub(crate) fn drain_or_close(session: &mut Session) {
    session.set_total_drain_timeout(Some(DRAIN_TIMEOUT));
    if session.is_body_done() {
        return;
    }
    let announced = session
        .get_header(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    let waits_for_continue = session.get_header(header::EXPECT).is_some();
    if waits_for_continue || announced.is_none_or(|length| length > MAX_DRAINED) {
        session.set_keepalive(None);
    }
}
