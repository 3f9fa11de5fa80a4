//! The anti-forgery token: `GET /auth/csrf` (contract section 6), and what pages put in their forms.

use axum::Router;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{HeaderMap, header};
use serde::Serialize;

use super::arrival::Arrival;
use super::cookie::Cookie;
use super::refusal::Refused;
use super::router::no_store;
use super::told::Told;
use crate::model::{Code, Secret, random};
use crate::rules::request::cookies;
use crate::rules::token::browser;

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

    /// The token for a session's cookie; for nobody's session where it is empty.
    pub(super) fn token(&self, session_cookie: &str) -> Secret {
        browser::csrf_token(self.value.expose(), session_cookie)
    }

    /// Gives the seed to the browser with this answer, unless it has it.
    pub(super) fn keep(&self, response: &mut Response) {
        if self.kept {
            return;
        }
        let cookie = Cookie { same_site: "Strict", ..Cookie::new(cookies::CSRF) };
        if let Some(field) = cookie.field(self.value.expose()) {
            response.headers_mut().append(header::SET_COOKIE, field);
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Issued {
    csrf_token: Told,
}

async fn token(arrival: Arrival, headers: HeaderMap) -> Result<Response, Refused> {
    let seed = Seed::of(&headers).map_err(|_| arrival.refuse(Code::Internal))?;
    let session = cookies::read(&headers, cookies::SESSION).value().unwrap_or_default();
    let csrf_token = Told(seed.token(session));
    let mut response = no_store(axum::Json(Issued { csrf_token }).into_response());
    seed.keep(&mut response);
    Ok(response)
}
