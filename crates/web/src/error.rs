//! Problem responses of the endpoints, as axum responses.

use std::sync::Arc;
use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};

use guarita_core::problem_body;
use guarita_core::{Code, Secret};

/// A rejected request, rendered as a problem response.
#[derive(Debug)]
pub struct Rejection {
    code: Code,
    request_id: Arc<str>,
    retry_after: Option<Duration>,
    mfa_token: Option<Secret>,
}

impl Rejection {
    /// A rejection with a request id.
    pub fn new(code: Code, request_id: &Arc<str>) -> Self {
        Self { code, request_id: Arc::clone(request_id), retry_after: None, mfa_token: None }
    }

    /// Adds the ticket for the second factor.
    #[must_use]
    pub fn mfa_token(mut self, ticket: Secret) -> Self {
        self.mfa_token = Some(ticket);
        self
    }

    /// The problem code.
    pub(super) const fn code(&self) -> Code {
        self.code
    }

    /// The status.
    pub(super) fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// Adds the status and header fields of this rejection to a response with another body.
    pub(super) fn decorate(&self, mut response: Response) -> Response {
        let wait = match self.retry_after {
            Some(wait) => Some(wait.as_secs().max(1).into()),
            None => problem_body::retry_after(self.code).map(HeaderValue::from_static),
        };
        if let Some(wait) = wait {
            response.headers_mut().insert(header::RETRY_AFTER, wait);
        }
        // The proxy counts refusals; it finds the code here.
        response.extensions_mut().insert(self.code);
        response
    }

    /// The ticket for the second factor, if the password was right.
    pub(super) const fn ticket(&self) -> Option<&Secret> {
        self.mfa_token.as_ref()
    }

    fn body(&self) -> bytes::Bytes {
        let body = problem_body::body(self.code, &self.request_id);
        let Some(ticket) = &self.mfa_token else { return body };
        // A ticket is base64url: nothing in it needs escaping.
        let ticket = ticket.expose();
        let more = format!(r#","mfaToken":"{ticket}","methods":["totp","recovery_code"]}}"#);
        append_members(&body, &more)
    }

    /// The response for a client of `/oauth2` (RFC 6749 section 5.2), with the members of the problem.
    pub(super) fn for_client(self) -> Response {
        let (code, body) = (self.code, self.body());
        let error = problem_body::client_error(code);
        let mut response = self.into_response();
        *response.body_mut() = append_members(&body, &format!(r#","error":"{error}"}}"#)).into();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        // What it may not it may not with any scope.
        if code != Code::InvalidClient {
            headers.remove(header::WWW_AUTHENTICATE);
        }
        response
    }

    /// Sets `Retry-After`, in whole seconds, at least one.
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }
}

impl IntoResponse for Rejection {
    fn into_response(self) -> Response {
        let mut response = Response::new(self.body().into());
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(challenge) = problem_body::challenge(self.code, false) {
            headers.insert(header::WWW_AUTHENTICATE, challenge);
        }
        self.decorate(response)
    }
}

/// Appends members to a JSON body.
fn append_members(body: &[u8], more: &str) -> bytes::Bytes {
    let open = body.strip_suffix(b"}").unwrap_or(body);
    [open, more.as_bytes()].concat().into()
}
