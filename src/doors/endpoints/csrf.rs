//! The anti-forgery token: `GET /auth/csrf` (contract section 6), and what pages put in their forms.

use axum::Router;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::HeaderMap;
use serde::Serialize;

use super::arrival::Arrival;
use super::cookie::{self, Cookie};
use super::refusal::Refused;
use super::router::no_store;
use super::told::Told;
use crate::model::{Code, Secret, random};
use crate::rules::request::cookies;
use crate::rules::token::browser;
use crate::services::access::forgery::Bound;

pub(super) fn routes() -> Router {
    Router::new().route("/auth/csrf", get(token))
}

/// What a browser proves with that it meant a request.
#[derive(Debug)]
pub(super) struct Seed {
    value: Secret,
    /// Whether the browser has it already.
    kept: bool,
}

impl Seed {
    /// The browser's own, or a new one.
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, random::RandomFault> {
        let kept = cookies::read(headers, cookies::CSRF).value();
        match kept.filter(|seed| browser::is_secret(seed)) {
            Some(seed) => Ok(Self { value: Secret::new(seed), kept: true }),
            None => Ok(Self { value: random::token()?, kept: false }),
        }
    }

    /// The token for the browser that sent these fields; for nobody's session where it has none.
    pub(super) fn token(&self, headers: &HeaderMap, bound: Bound) -> Secret {
        let session = bound.session(headers).unwrap_or_default();
        browser::csrf_token(self.value.expose(), session)
    }

    /// Gives the seed to the browser with this answer, unless it has it.
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
    csrf_token: Told,
}

async fn token(arrival: Arrival, headers: HeaderMap) -> Result<Response, Refused> {
    let seed = Seed::of(&headers).map_err(|_| arrival.refuse(Code::Internal))?;
    let csrf_token = Told(seed.token(&headers, Bound::ToSession));
    let mut response = no_store(axum::Json(Issued { csrf_token }).into_response());
    seed.keep(&mut response);
    Ok(response)
}
