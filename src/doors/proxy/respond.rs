//! Refusals, rendered from the same table as the endpoints' (contract section 5.5).

use std::time::Duration;

use http::{HeaderValue, Method, StatusCode, header};
use pingora_core::Result;
use pingora_http::ResponseHeader;
use pingora_proxy::Session;

use super::context::Denied;
use super::request_id::{self, RequestId};
use crate::doors::endpoints::problem;
use crate::model::Code;

/// Largest request body that is read to the end so that the connection can live on after an answer
/// that did not need it, in bytes.
const MAX_DRAINED: u64 = 64 * 1024;
/// Longest time that reading it may take.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// A refusal with what its header fields say.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) code: Code,
    /// Whether a credential was presented: the challenge then names `invalid_token`.
    pub(super) presented: bool,
    /// For 405.
    pub(super) allow: Option<HeaderValue>,
    /// Where a person is sent instead of being told 401.
    pub(super) sign_in: Option<String>,
    /// What is written down of a WebSocket.
    pub(super) denied: Option<Box<Denied>>,
}

impl From<Code> for Refusal {
    fn from(code: Code) -> Self {
        Self { code, presented: false, allow: None, sign_in: None, denied: None }
    }
}

/// Answers with a problem body. The connection lives on only if what is left of the request is
/// small enough to be read.
pub(super) async fn refuse(
    session: &mut Session,
    refusal: &Refusal,
    request_id: &RequestId,
) -> Result<()> {
    settle_body(session);
    if let Some(target) = &refusal.sign_in {
        return redirect(session, target, request_id).await;
    }
    let body = problem::body(refusal.code, request_id.as_str());
    let status =
        StatusCode::from_u16(refusal.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut head = ResponseHeader::build(status, Some(8))?;
    head.insert_header(header::CONTENT_TYPE, "application/problem+json")?;
    head.insert_header(header::CONTENT_LENGTH, body.len())?;
    head.insert_header(header::CACHE_CONTROL, "no-store")?;
    head.insert_header(&request_id::HEADER, request_id.header())?;
    if let Some(challenge) = problem::challenge(refusal.code, refusal.presented) {
        head.insert_header(header::WWW_AUTHENTICATE, challenge)?;
    }
    if let Some(seconds) = problem::retry_after(refusal.code) {
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

/// Decides whether the rest of the request is read or the connection closed, before an answer that
/// does not wait for the body.
pub(super) fn settle_body(session: &mut Session) {
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
