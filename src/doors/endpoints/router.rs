//! All endpoints in one router.

use std::sync::Arc;

use axum::Router;
use axum::response::Response;
use http::{HeaderValue, header};

use super::arrival::Arrival;
use super::refusal::Refused;
use super::turnstile::Turnstile;
use super::{csrf, login, logout, mfa, pages, refresh, sessions, wellknown};
use crate::adapters::telemetry::{Audit, Metrics};
use crate::live::Live;
use crate::model::Code;
use crate::services::account::Overviews;
use crate::services::grant::Refresh;
use crate::services::login::{Challenge, Enrol, Login, SecondFactor};
use crate::services::session::Sessions;

/// The services that the endpoints serve; each file takes its own.
#[derive(Debug)]
pub struct Services {
    /// Login with a password.
    pub login: Arc<Login>,
    /// The beginning of second factors.
    pub enrol: Arc<Enrol>,
    /// Second factors.
    pub factor: Arc<SecondFactor>,
    /// The second step of a login.
    pub challenge: Arc<Challenge>,
    /// Refresh of tokens.
    pub refresh: Arc<Refresh>,
    /// The rates of all endpoints.
    pub turnstile: Turnstile,
    /// The end of sessions.
    pub sessions: Arc<Sessions>,
    /// What people see of their accounts.
    pub overviews: Arc<Overviews>,
    /// How the pages look.
    pub pages: Arc<pages::Settings>,
    /// For the published keys.
    pub live: Arc<Live>,
    /// Counted at the door.
    pub metrics: Arc<Metrics>,
    /// Recorded at the door.
    pub audit: Audit,
}

/// Builds the router, once.
pub fn router(services: Services) -> Router {
    let Services {
        login,
        enrol,
        factor,
        challenge,
        refresh,
        turnstile,
        sessions,
        overviews,
        pages,
        live,
        metrics,
        audit,
    } = services;
    let login = login::Desk {
        login,
        audit: audit.clone(),
        metrics: Arc::clone(&metrics),
        turnstile: turnstile.clone(),
    };
    let factor = mfa::Desk {
        enrol,
        factor,
        challenge,
        audit: audit.clone(),
        metrics: Arc::clone(&metrics),
        turnstile: turnstile.clone(),
    };
    let sessions = sessions::Desk { sessions, audit: audit.clone() };
    let pages = pages::routes(pages::Desks {
        settings: pages,
        login: login.clone(),
        factor: factor.clone(),
        sessions: sessions.clone(),
        overviews,
    });
    Router::new()
        .merge(login::routes(login))
        .merge(mfa::routes(factor))
        .merge(refresh::routes(refresh::Desk { refresh, audit, metrics, turnstile }))
        .merge(sessions::routes(sessions.clone()))
        .merge(logout::routes(sessions))
        .merge(pages)
        .merge(csrf::routes())
        .merge(wellknown::routes(live))
        .fallback(nothing)
        .method_not_allowed_fallback(other_method)
}

/// Only the authenticated hear that there is nothing.
async fn nothing(arrival: Arrival) -> Refused {
    let known = arrival.principal.is_some();
    arrival.refuse(if known { Code::NotFound } else { Code::Unauthorized })
}

async fn other_method(arrival: Arrival) -> Refused {
    arrival.refuse(Code::MethodNotAllowed)
}

/// Tokens are never kept on the way (RFC 6749 section 5.1).
pub(super) fn no_store(mut response: Response) -> Response {
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
