//! `GET /auth/oidc/{provider}/start` and `/callback` (contract section 6): login through a provider, in a
//! browser.

use std::sync::Arc;

use axum::Router;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Deserialize;

use super::arrival::Arrival;
use super::cookie::{self, Cookie};
use super::login;
use super::refusal::Refused;
use super::router::no_store;
use super::sessions;
use super::turnstile::Turnstile;
use crate::adapters::telemetry::{Audit, Event, Metrics, Name};
use crate::live::{Live, Provider};
use crate::model::{Code, Secret, clock, random};
use crate::rules::request::{ReturnTo, cookies};
use crate::services::federation::{Callback, Failure, PENDING_TTL, ProviderLogin};
use crate::services::limit::Purpose;
use crate::services::login::{Login, VouchedSession};

/// Length of the secret that a browser keeps while it is at the provider: a random token's.
const BROWSER_LENGTH: usize = 43;
const BROWSER: Cookie =
    Cookie { lifetime: Some(PENDING_TTL), ..Cookie::new(cookies::PROVIDER_LOGIN) };

/// What logging in at a provider takes.
#[derive(Clone)]
pub(super) struct Desk {
    /// Where a person goes who did not come from anywhere.
    pub(super) home: &'static str,
    pub(super) logins: Arc<ProviderLogin>,
    pub(super) login: Arc<Login>,
    pub(super) sessions: sessions::Desk,
    pub(super) live: Arc<Live>,
    pub(super) turnstile: Turnstile,
    pub(super) metrics: Arc<Metrics>,
    pub(super) audit: Audit,
}

pub(super) fn routes(desk: Desk) -> Router {
    Router::new()
        .route("/auth/oidc/{provider}/start", get(start))
        .route("/auth/oidc/{provider}/callback", get(callback))
        .with_state(desk)
}

#[derive(Deserialize)]
struct Begin {
    return_to: Option<String>,
}

/// Off to the provider. All that it is asked comes from the configuration (oidc-client-010).
async fn start(
    State(desk): State<Desk>,
    arrival: Arrival,
    headers: HeaderMap,
    Path(name): Path<String>,
    begin: Result<Query<Begin>, QueryRejection>,
) -> Result<Response, Refused> {
    let Query(begin) = begin.map_err(|_| arrival.refuse(Code::BadRequest))?;
    desk.turnstile.admit(&arrival, Purpose::Login, None).await?;
    let provider = desk.provider(&arrival, &name)?;
    // A second tab goes on under the secret of the first.
    let known = cookies::read(&headers, cookies::PROVIDER_LOGIN).value();
    let browser = match known.filter(|known| known.len() == BROWSER_LENGTH) {
        Some(known) => Secret::new(known),
        None => random::token().map_err(|fault| arrival.failed("no randomness", &fault))?,
    };
    let return_to = begin.return_to.as_deref().and_then(ReturnTo::parse);
    let started = desk.logins.start(&provider, &browser, return_to, clock::now()).await;
    let target = started.map_err(|failure| desk.refused(&arrival, &name, &failure))?;
    let mut response = redirect(&arrival, &target)?;
    cookie::set(&mut response, BROWSER.field(browser.expose()));
    Ok(response)
}

#[derive(Deserialize)]
struct Answer {
    code: Option<Secret>,
    state: Option<Secret>,
    iss: Option<String>,
}

/// Back from the provider, with a code or an error.
async fn callback(
    State(desk): State<Desk>,
    arrival: Arrival,
    headers: HeaderMap,
    Path(name): Path<String>,
    answer: Result<Query<Answer>, QueryRejection>,
) -> Result<Response, Refused> {
    // What comes twice has no single meaning.
    let Query(answer) = answer.map_err(|_| arrival.refuse(Code::BadRequest))?;
    desk.turnstile.admit(&arrival, Purpose::Login, None).await?;
    let provider = desk.provider(&arrival, &name)?;
    let browser = cookies::read(&headers, cookies::PROVIDER_LOGIN).value();
    let (Some(state), Some(browser)) = (answer.state, browser) else {
        return Err(desk.refused(&arrival, &name, &Failure::Unknown));
    };
    // What has no code is the provider's error: the login ends all the same.
    let code = answer.code.unwrap_or_else(|| Secret::new(""));
    let callback = Callback { code, state, issuer: answer.iss };
    let now = clock::now();
    let finished = desk.logins.finish(&provider, &Secret::new(browser), callback, now).await;
    let vouched = finished.map_err(|failure| desk.refused(&arrival, &name, &failure))?;
    let user_agent = headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok());
    let visit = (Some(arrival.client), user_agent.map(str::to_owned));
    let settings = provider.settings();
    let Some(accounts) = &settings.accounts else {
        return Err(desk.refused(&arrival, &name, &Failure::NoClient));
    };
    let opened = desk.login.vouched(settings, accounts, &vouched.claims, visit, now).await;
    let opened =
        opened.map_err(|fault| arrival.failed("login through a provider failed", &fault))?;
    let Some(session) = opened else {
        let unknown = Failure::Refused("no account may be used".into());
        return Err(desk.refused(&arrival, &name, &unknown));
    };
    desk.record(&arrival, &session);
    desk.sessions.replace(&arrival, Some(&session.cookie)).await;
    let target = vouched.return_to.as_ref().map_or(desk.home, ReturnTo::as_str);
    let mut response = redirect(&arrival, target)?;
    login::remember(&mut response, Some(&session.cookie), None);
    Ok(response)
}

fn redirect(arrival: &Arrival, target: &str) -> Result<Response, Refused> {
    let target = HeaderValue::from_str(target).map_err(|_| arrival.refuse(Code::Internal))?;
    let fields = [(header::LOCATION, target)];
    Ok(no_store((StatusCode::SEE_OTHER, fields).into_response()))
}

impl Desk {
    fn provider(&self, arrival: &Arrival, name: &str) -> Result<Arc<Provider>, Refused> {
        let live = self.live.read();
        let provider = live.providers.named(name).filter(|it| it.settings().client.is_some());
        // Only the authenticated hear that there is nothing.
        let known = arrival.principal.is_some();
        let code = if known { Code::NotFound } else { Code::Unauthorized };
        provider.cloned().ok_or_else(|| arrival.refuse(code))
    }

    /// What a person hears says nothing of why; the log does.
    fn refused(&self, arrival: &Arrival, provider: &str, failure: &Failure) -> Refused {
        let (code, result) = match failure {
            Failure::NoClient => return arrival.refuse(Code::NotFound),
            Failure::Unknown => (Code::BadRequest, "unknown_state"),
            Failure::Refused(_) => (Code::InvalidCredentials, "provider_refused"),
            Failure::Full => (Code::RateLimited, "busy"),
            Failure::Unavailable(_) => (Code::Unavailable, "provider_unavailable"),
        };
        let request_id = &*arrival.request_id;
        tracing::warn!(requestId = request_id, provider, reason = %failure, "a login was refused");
        self.metrics.login(result);
        let event = Event { reason: Some(result), ..arrival.event(Name::LoginFailed) };
        self.audit.record(&event, clock::now());
        arrival.refuse(code)
    }

    fn record(&self, arrival: &Arrival, opened: &VouchedSession) {
        self.metrics.login("succeeded");
        let about = |name| Event {
            user: Some(opened.user),
            session: Some(opened.session),
            ..arrival.event(name)
        };
        if let Some(how) = opened.linked {
            let event = Event { reason: Some(how), ..about(Name::ProviderLinked) };
            self.audit.record(&event, clock::now());
        }
        let event = Event { reason: Some("provider"), ..about(Name::LoginSucceeded) };
        self.audit.record(&event, clock::now());
    }
}
