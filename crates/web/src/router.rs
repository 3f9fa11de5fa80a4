//! The router of all endpoints.

use std::sync::Arc;

use axum::Router;
use axum::response::Response;
use http::{HeaderMap, HeaderValue, StatusCode, header};

use super::error::Rejection;
use super::rate_limit::RateLimitGuard;
use super::request_info::RequestInfo;
use super::{
    absent, csrf, introspection, links, login, logout, mfa, oidc, pages, password, refresh,
    sessions, wellknown, ws_ticket,
};
use guarita_auth::access::Introspection;
use guarita_auth::account::{Overviews, PasswordChange, Recovery, Verification};
use guarita_auth::client;
use guarita_auth::federation::ProviderLogin;
use guarita_auth::grant::Refresh;
use guarita_auth::login::{Challenge, Login, SecondFactor, TotpEnrolment};
use guarita_auth::session::{Sessions, WsTickets};
use guarita_core::{Code, Language};
use guarita_telemetry::Telemetry;

/// The services that the endpoints serve; each file takes its own.
#[derive(Debug)]
pub struct Services {
    /// Whether there are local accounts.
    pub issues: bool,
    /// Login with a password.
    pub login: Arc<Login>,
    /// Enrolment of second factors.
    pub enrol: Arc<TotpEnrolment>,
    /// Second factors.
    pub factor: Arc<SecondFactor>,
    /// Login with providers.
    pub provider_login: Arc<ProviderLogin>,
    /// The second step of a login.
    pub challenge: Arc<Challenge>,
    /// Refreshing of tokens.
    pub refresh: Arc<Refresh>,
    /// Password recovery by mail.
    pub recovery: Arc<Recovery>,
    /// Verification of e-mail addresses.
    pub verification: Arc<Verification>,
    /// Rate limits of all endpoints.
    pub turnstile: RateLimitGuard,
    /// Token introspection.
    pub introspection: Arc<Introspection>,
    /// Clients in the database.
    pub clients: Arc<client::ClientCache>,
    /// Tickets for WebSockets.
    pub tickets: Arc<WsTickets>,
    /// Ending of sessions.
    pub sessions: Arc<Sessions>,
    /// Change of passwords.
    pub password: Arc<PasswordChange>,
    /// The account overview.
    pub overviews: Arc<Overviews>,
    /// The settings of pages.
    pub pages: Arc<pages::PageSettings>,
    /// Metrics and audit.
    pub telemetry: Telemetry,
}

/// Builds the router, once.
pub fn router(services: Services) -> Router {
    let Services {
        issues,
        login,
        enrol,
        factor,
        challenge,
        provider_login,
        refresh,
        recovery,
        verification,
        turnstile,
        introspection,
        clients,
        tickets,
        sessions,
        overviews,
        password,
        pages,
        telemetry,
    } = services;
    let sessions = sessions::SessionsState { sessions, telemetry: telemetry.clone() };
    let oidc = oidc::OidcState {
        home: if issues { "/account" } else { "/" },
        logins: provider_login,
        login: Arc::clone(&login),
        sessions: sessions.clone(),
        turnstile: turnstile.clone(),
        telemetry: telemetry.clone(),
    };
    let login = login::LoginState {
        login,
        telemetry: telemetry.clone(),
        turnstile: turnstile.clone(),
        sessions: sessions.clone(),
    };
    let factor = mfa::MfaState {
        enrol,
        factor,
        challenge,
        telemetry: telemetry.clone(),
        turnstile: turnstile.clone(),
        sessions: sessions.clone(),
    };
    let links = links::LinksState {
        recovery,
        verification,
        telemetry: telemetry.clone(),
        turnstile: turnstile.clone(),
    };
    let password = password::PasswordState {
        password,
        telemetry: telemetry.clone(),
        turnstile: turnstile.clone(),
    };
    let introspection = introspection::IntrospectionState {
        introspection,
        clients,
        sessions: Arc::clone(&sessions.sessions),
        telemetry: telemetry.clone(),
        turnstile: turnstile.clone(),
    };
    let oidc_routes = pages::with_pages(oidc::routes(oidc.clone()), Arc::clone(&pages));
    let desks = pages::PagesState {
        settings: pages,
        login: login.clone(),
        factor: factor.clone(),
        sessions: sessions.clone(),
        links: links.clone(),
        password: password.clone(),
        overviews,
        providers: oidc,
    };
    let accounts = if issues {
        Router::new()
            .merge(login::routes(login))
            .merge(mfa::routes(factor))
            .merge(links::routes(links))
            .merge(refresh::routes(refresh::RefreshState { refresh, telemetry, turnstile }))
            .merge(password::routes(password))
            .merge(pages::routes(desks))
    } else {
        absent::absent().merge(pages::routes_to_providers(desks))
    };
    Router::new()
        .merge(accounts)
        .merge(sessions::routes(sessions.clone()))
        .merge(logout::routes(sessions))
        .merge(introspection::routes(introspection))
        .merge(oidc_routes)
        .merge(ws_ticket::routes(tickets))
        .merge(csrf::routes())
        .merge(wellknown::routes())
        .fallback(nothing)
        .method_not_allowed_fallback(other_method)
}

/// 404 for authenticated callers, 401 for others.
async fn nothing(arrival: RequestInfo) -> Rejection {
    let known = arrival.principal.is_some();
    arrival.refuse(if known { Code::NotFound } else { Code::Unauthorized })
}

async fn other_method(arrival: RequestInfo) -> Rejection {
    arrival.refuse(Code::MethodNotAllowed)
}

/// Responses with tokens are never cached (RFC 6749 section 5.1).
pub(super) fn no_store(mut response: Response) -> Response {
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// A response without a body.
pub(super) fn empty(status: StatusCode) -> Response {
    let mut response = no_store(Response::default());
    *response.status_mut() = status;
    response
}

/// The language that the client requests, if any.
pub(super) fn language(headers: &HeaderMap) -> Option<Language> {
    let accepted = headers.get(header::ACCEPT_LANGUAGE)?.to_str().ok()?;
    Some(Language::negotiate(accepted))
}
