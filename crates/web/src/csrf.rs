//! The CSRF token: `GET /auth/csrf`, and the hidden field of the forms of pages.

use axum::Router;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::HeaderMap;
use serde::Serialize;

use super::cookie::{self, Cookie};
use super::error::Rejection;
use super::exposed_secret::ExposedSecret;
use super::request_info::RequestInfo;
use super::router::no_store;
use guarita_auth::access::csrf::Bound;
use guarita_core::http::cookies;
use guarita_core::jose::session_cookie;
use guarita_core::{Code, Secret, random};

pub(super) fn routes() -> Router {
    Router::new().route("/auth/csrf", get(token))
}

/// The seed of a browser's CSRF tokens.
#[derive(Debug)]
pub(super) struct Seed {
    value: Secret,
    /// Whether the browser already has it.
    kept: bool,
}

impl Seed {
    /// The browser's seed, or a new one.
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, random::RandomFault> {
        let kept = cookies::read(headers, cookies::CSRF).value();
        match kept.filter(|seed| session_cookie::is_secret(seed)) {
            Some(seed) => Ok(Self { value: Secret::new(seed), kept: true }),
            None => Ok(Self { value: random::token()?, kept: false }),
        }
    }

    /// The token for the session of the browser that sent these fields; without a session for none.
    pub(super) fn token(&self, headers: &HeaderMap, bound: Bound) -> Secret {
        let session = bound.session(headers).unwrap_or_default();
        session_cookie::csrf_token(self.value.expose(), session)
    }

    /// Sets the seed cookie with this response, unless the browser already has it.
    pub(super) fn keep(&self, response: &mut Response) {
        if self.kept {
            return;
        }
        // `Strict` would keep it back where a link elsewhere leads here, and the answer would replace
        // it: every page that is open would be stale.
        cookie::set(response, Cookie::new(cookies::CSRF).field(self.value.expose()));
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Issued {
    csrf_token: ExposedSecret,
}

async fn token(arrival: RequestInfo, headers: HeaderMap) -> Result<Response, Rejection> {
    let seed = Seed::of(&headers).map_err(|_| arrival.refuse(Code::Internal))?;
    let csrf_token = ExposedSecret(seed.token(&headers, Bound::ToSession));
    let mut response = no_store(axum::Json(Issued { csrf_token }).into_response());
    seed.keep(&mut response);
    Ok(response)
}
