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
use crate::model::{Code, Secret, SessionId, clock};
use crate::rules::request::{ReturnTo, cookies};
use crate::services::federation::{Callback, Failure, Kept, PENDING_TTL, ProviderLogin};
use crate::services::limit::Purpose;
use crate::services::login::{Login, VouchedSession};

/// Logins under way in one browser; the oldest give way.
const MAX_PENDING: usize = 5;
/// Most bytes of their names and values that one more finds: with its own, of at most 3 KiB, they stay below the
/// 8 KiB that proxies in front of us allow a header line.
const MAX_PENDING_BYTES: usize = 4_096;
/// Most of them that give way at once.
const MAX_DISPLACED: usize = 32;

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

/// Where somebody signs out at a provider.
pub(super) struct WayOut {
    pub(super) target: String,
    /// What people know the provider by.
    pub(super) label: Box<str>,
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
    let return_to = begin.return_to.as_deref().and_then(ReturnTo::parse);
    let started = desk.logins.start(&provider, return_to, clock::now()).await;
    let started = started.map_err(|failure| desk.refused(&arrival, &name, &failure))?;
    let mut response = redirect(&arrival, &started.target)?;
    let name = cookie_name(&started.kept.name);
    let kept = Cookie { lifetime: Some(PENDING_TTL), ..Cookie::new(&name) };
    cookie::set(&mut response, kept.field(started.kept.value.expose()));
    for name in displaced(&headers) {
        cookie::set(&mut response, Cookie::new(&cookie_name(name)).removal());
    }
    Ok(response)
}

fn cookie_name(name: &str) -> String {
    format!("{}{name}", cookies::PROVIDER_LOGIN)
}

/// Those of the logins under way in this browser that give way to one more.
fn displaced(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let all = cookies::beginning_with(headers, cookies::PROVIDER_LOGIN);
    let mut kept: Vec<_> = all.filter(|(name, _)| Kept::is_name(name)).collect();
    // Browsers bring the older ones first (RFC 6265 section 5.4).
    kept.reverse();
    kept.sort_by_key(|(_, value)| std::cmp::Reverse(Kept::ends_at(value)));
    let mut bytes = 0_usize;
    let fits = kept.iter().take(MAX_PENDING - 1).take_while(|(name, value)| {
        bytes = bytes.saturating_add(cookies::PROVIDER_LOGIN.len() + name.len() + value.len());
        bytes <= MAX_PENDING_BYTES
    });
    let stay = fits.count();
    kept.into_iter().skip(stay).take(MAX_DISPLACED).map(|(name, _)| name)
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
    let kept_as = answer.state.as_ref().map(|state| cookie_name(&Kept::name(state)));
    let kept = kept_as.as_deref().and_then(|kept_as| cookies::read(&headers, kept_as).value());
    let (Some(state), Some(kept), Some(kept_as)) = (answer.state, kept, &kept_as) else {
        return Err(desk.refused(&arrival, &name, &Failure::Unknown));
    };
    // What has no code is the provider's error: the login ends all the same.
    let code = answer.code.unwrap_or_else(|| Secret::new(""));
    let callback = Callback { code, state, issuer: answer.iss };
    let ended = desk.finish(&arrival, &headers, &provider, kept, callback).await;
    let mut response = ended.unwrap_or_else(Refused::into_response);
    cookie::set(&mut response, Cookie::new(kept_as).removal());
    Ok(response)
}

fn redirect(arrival: &Arrival, target: &str) -> Result<Response, Refused> {
    let target = HeaderValue::from_str(target).map_err(|_| arrival.refuse(Code::Internal))?;
    let fields = [(header::LOCATION, target)];
    Ok(no_store((StatusCode::SEE_OTHER, fields).into_response()))
}

impl Desk {
    /// Opens a session for the person whom the provider vouches for.
    async fn finish(
        &self,
        arrival: &Arrival,
        headers: &HeaderMap,
        provider: &Provider,
        kept: &str,
        callback: Callback,
    ) -> Result<Response, Refused> {
        let (settings, now) = (provider.settings(), clock::now());
        let refused = |failure: &Failure| self.refused(arrival, &settings.name, failure);
        let vouched = self.logins.finish(provider, kept, callback, now).await;
        let vouched = vouched.map_err(|failure| refused(&failure))?;
        let user_agent = headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok());
        let visit = (Some(arrival.client), user_agent.map(str::to_owned));
        let accounts = settings.accounts.as_ref().ok_or_else(|| refused(&Failure::NoClient))?;
        let opened = self.login.vouched(settings, accounts, &vouched.claims, visit, now).await;
        let opened =
            opened.map_err(|fault| arrival.failed("login through a provider failed", &fault))?;
        let unknown = || refused(&Failure::Refused("no account may be used".into()));
        let session = opened.ok_or_else(unknown)?;
        self.record(arrival, &session);
        self.sessions.replace(arrival, Some(&session.cookie)).await;
        let target = vouched.return_to.as_ref().map_or(self.home, ReturnTo::as_str);
        let mut response = redirect(arrival, target)?;
        login::remember(&mut response, Some(&session.cookie), None);
        Ok(response)
    }

    fn provider(&self, arrival: &Arrival, name: &str) -> Result<Arc<Provider>, Refused> {
        let live = self.live.read();
        let provider = live.providers.named(name).filter(|it| it.settings().client.is_some());
        // Only the authenticated hear that there is nothing.
        let known = arrival.principal.is_some();
        let code = if known { Code::NotFound } else { Code::Unauthorized };
        provider.cloned().ok_or_else(|| arrival.refuse(code))
    }

    /// Where the browser goes to sign out at the provider too by whose word its session was opened, if it is to.
    pub(super) async fn way_out(&self, session: SessionId) -> Option<WayOut> {
        let (issuer, subject) = self.sessions.sessions.find_issuer(session).await.ok()??;
        let live = self.live.read();
        let provider = live.providers.of_issuer(&issuer)?;
        let label = provider.settings().client.as_ref()?.label.clone();
        let target = self.logins.logout_target(provider, subject.as_deref()).await?;
        Some(WayOut { target, label })
    }

    /// What a person hears says nothing of why; the log does.
    fn refused(&self, arrival: &Arrival, provider: &str, failure: &Failure) -> Refused {
        let (code, result) = match failure {
            Failure::NoClient => return arrival.refuse(Code::NotFound),
            Failure::Unknown => (Code::BadRequest, "unknown_state"),
            Failure::Refused(_) => (Code::InvalidCredentials, "provider_refused"),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn name(number: usize) -> String {
        format!("{number:0>22}")
    }

    /// Logins under way with values of these lengths, each a second after the one before it.
    fn bringing(lengths: &[usize]) -> HeaderMap {
        let pair = |(number, length): (usize, &usize)| {
            let end = 1_800_000_000 + number;
            let value = format!("{end}.{:A<1$}", "", length.saturating_sub(11));
            format!("{}={value}", cookie_name(&name(number)))
        };
        let pairs: Vec<_> = lengths.iter().enumerate().map(pair).collect();
        let mut headers = HeaderMap::new();
        headers.insert(header::COOKIE, HeaderValue::from_str(&pairs.join("; ")).unwrap());
        headers
    }

    #[test]
    fn logins_under_way_are_bounded_in_number_and_in_bytes_and_the_oldest_give_way() {
        let most = MAX_PENDING_BYTES - cookie_name(&name(0)).len();
        for (lengths, gone) in [
            (&[][..], &[][..]),
            (&[200; 4], &[]),
            (&[200; 6], &[1, 0]),
            (&[most], &[]),
            (&[most + 1], &[0]),
            (&[200, most], &[0]),
            // As long as they come: one stays beside the new one.
            (&[2_900; 4], &[2, 1, 0]),
            // What is behind one that gives way does not stay instead.
            (&[200, 2_900, 2_900], &[1, 0]),
            (&[200, 2_900, 200], &[]),
        ] {
            let headers = bringing(lengths);
            let names: Vec<_> = gone.iter().map(|number| name(*number)).collect();
            assert_eq!(displaced(&headers).collect::<Vec<_>>(), names, "{lengths:?}");
        }
    }
}
