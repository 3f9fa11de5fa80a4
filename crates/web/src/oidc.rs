//! `GET /auth/oidc/{provider}/start` and `/callback`: login with a provider, in a browser.

use std::sync::Arc;

use axum::Router;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Deserialize;

use super::cookie::{self, Cookie};
use super::error::Rejection;
use super::login;
use super::rate_limit::RateLimitGuard;
use super::request_info::RequestInfo;
use super::router::no_store;
use super::sessions;
use guarita_auth::federation::{
    Callback, FederatedLoginError, PENDING_TTL, PendingCookie, ProviderLogin,
};
use guarita_auth::login::{FederatedSession, Login};
use guarita_auth::rate_limit::Purpose;
use guarita_auth::snapshot::Provider;
use guarita_core::http::{ReturnTo, cookies};
use guarita_core::{Code, Secret, SessionId, time};
use guarita_telemetry::Telemetry;
use guarita_telemetry::events::{LoginSucceeded, ProviderLinked, ProviderLoginFailed};

/// Maximum number of pending logins in one browser; the oldest are dropped.
const MAX_PENDING: usize = 5;
/// Maximum size of their cookies before another one is added: with its at most 3 KiB they stay below the 8 KiB that
/// proxies in front of Guarita allow for a header line.
const MAX_PENDING_BYTES: usize = 4_096;
/// Maximum number of cookies dropped at once.
const MAX_DISPLACED: usize = 32;

/// The state of the provider login endpoints.
#[derive(Clone)]
pub(super) struct OidcState {
    /// Where a browser is redirected to without a `return_to`.
    pub(super) home: &'static str,
    pub(super) logins: Arc<ProviderLogin>,
    pub(super) login: Arc<Login>,
    pub(super) sessions: sessions::SessionsState,
    pub(super) turnstile: RateLimitGuard,
    pub(super) telemetry: Telemetry,
}

/// The logout at a provider.
pub(super) struct LogoutTarget {
    pub(super) target: String,
    /// The displayed name of the provider.
    pub(super) label: Box<str>,
}

pub(super) fn routes(desk: OidcState) -> Router {
    Router::new()
        .route("/auth/oidc/{provider}/start", get(start))
        .route("/auth/oidc/{provider}/callback", get(callback))
        .with_state(desk)
}

#[derive(Deserialize)]
struct Begin {
    return_to: Option<String>,
}

/// Redirects to the provider. All parameters come from the configuration (oidc-client-010).
async fn start(
    State(desk): State<OidcState>,
    arrival: RequestInfo,
    headers: HeaderMap,
    Path(name): Path<String>,
    begin: Result<Query<Begin>, QueryRejection>,
) -> Result<Response, Rejection> {
    let Query(begin) = begin.map_err(|_| arrival.refuse(Code::BadRequest))?;
    desk.turnstile.check(&arrival, Purpose::Login, None).await?;
    let provider = desk.provider(&arrival, &name)?;
    let return_to = begin.return_to.as_deref().and_then(ReturnTo::parse);
    let keyring = &arrival.snapshot.keyring;
    let started = desk.logins.start(&provider, return_to, keyring, time::now()).await;
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

/// The pending logins of this browser that are dropped for another one.
fn displaced(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let all = cookies::beginning_with(headers, cookies::PROVIDER_LOGIN);
    let mut kept: Vec<_> = all.filter(|(name, _)| PendingCookie::is_name(name)).collect();
    // Browsers bring the older ones first (RFC 6265 section 5.4).
    kept.reverse();
    kept.sort_by_key(|(_, value)| std::cmp::Reverse(PendingCookie::ends_at(value)));
    let mut bytes = 0_usize;
    let fits = kept.iter().take(MAX_PENDING - 1).take_while(|(name, value)| {
        bytes = bytes.saturating_add(cookies::PROVIDER_LOGIN.len() + name.len() + value.len());
        bytes <= MAX_PENDING_BYTES
    });
    let stay = fits.count();
    kept.into_iter().skip(stay).take(MAX_DISPLACED).map(|(name, _)| name)
}

#[derive(Deserialize)]
struct AuthorizationResponse {
    code: Option<Secret>,
    state: Option<Secret>,
    iss: Option<String>,
}

/// The callback from the provider, with a code or an error.
async fn callback(
    State(desk): State<OidcState>,
    arrival: RequestInfo,
    headers: HeaderMap,
    Path(name): Path<String>,
    answer: Result<Query<AuthorizationResponse>, QueryRejection>,
) -> Result<Response, Rejection> {
    // What comes twice has no single meaning.
    let Query(answer) = answer.map_err(|_| arrival.refuse(Code::BadRequest))?;
    desk.turnstile.check(&arrival, Purpose::Login, None).await?;
    let provider = desk.provider(&arrival, &name)?;
    let kept_as = answer.state.as_ref().map(|state| cookie_name(&PendingCookie::name(state)));
    let kept = kept_as.as_deref().and_then(|kept_as| cookies::read(&headers, kept_as).value());
    let (Some(state), Some(kept), Some(kept_as)) = (answer.state, kept, &kept_as) else {
        return Err(desk.refused(&arrival, &name, &FederatedLoginError::Unknown));
    };
    // What has no code is the provider's error: the login ends all the same.
    let code = answer.code.unwrap_or_else(|| Secret::new(""));
    let callback = Callback { code, state, issuer: answer.iss };
    let ended = desk.finish(&arrival, &headers, &provider, kept, callback).await;
    let mut response = ended.unwrap_or_else(Rejection::into_response);
    cookie::set(&mut response, Cookie::new(kept_as).removal());
    Ok(response)
}

fn redirect(arrival: &RequestInfo, target: &str) -> Result<Response, Rejection> {
    let target = HeaderValue::from_str(target).map_err(|_| arrival.refuse(Code::Internal))?;
    let fields = [(header::LOCATION, target)];
    Ok(no_store((StatusCode::SEE_OTHER, fields).into_response()))
}

impl OidcState {
    /// Opens a session for the user that the provider authenticated.
    async fn finish(
        &self,
        arrival: &RequestInfo,
        headers: &HeaderMap,
        provider: &Provider,
        kept: &str,
        callback: Callback,
    ) -> Result<Response, Rejection> {
        let (settings, now) = (provider.settings(), time::now());
        let refused =
            |failure: &FederatedLoginError| self.refused(arrival, &settings.name, failure);
        let vouched =
            self.logins.finish(provider, kept, callback, &arrival.snapshot.keyring, now).await;
        let vouched = vouched.map_err(|failure| refused(&failure))?;
        let user_agent = headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok());
        let visit = (Some(arrival.client), user_agent.map(str::to_owned));
        let accounts =
            settings.accounts.as_ref().ok_or_else(|| refused(&FederatedLoginError::NoClient))?;
        let opened = self
            .login
            .open_federated_session(settings, accounts, &vouched.claims, visit, now)
            .await;
        let opened =
            opened.map_err(|fault| arrival.failed("login with a provider failed", &fault))?;
        let unknown = || refused(&FederatedLoginError::Refused("no account can be used".into()));
        let session = opened.ok_or_else(unknown)?;
        self.record(arrival, &session);
        self.sessions.replace(arrival, Some(&session.cookie)).await;
        let target = vouched.return_to.as_ref().map_or(self.home, ReturnTo::as_str);
        let mut response = redirect(arrival, target)?;
        login::set_cookies(&mut response, Some(&session.cookie), None);
        Ok(response)
    }

    fn provider(&self, arrival: &RequestInfo, name: &str) -> Result<Arc<Provider>, Rejection> {
        let provider =
            arrival.snapshot.providers.named(name).filter(|it| it.settings().client.is_some());
        // Only the authenticated hear that there is nothing.
        let known = arrival.principal.is_some();
        let code = if known { Code::NotFound } else { Code::Unauthorized };
        provider.cloned().ok_or_else(|| arrival.refuse(code))
    }

    /// The logout at the provider that the session was opened with, if it is configured.
    pub(super) async fn provider_logout(
        &self,
        arrival: &RequestInfo,
        session: SessionId,
    ) -> Option<LogoutTarget> {
        let (issuer, subject) = self.sessions.sessions.find_issuer(session).await.ok()??;
        let provider = arrival.snapshot.providers.of_issuer(&issuer)?;
        let label = provider.settings().client.as_ref()?.label.clone();
        let target = self.logins.logout_target(provider, subject.as_deref()).await?;
        Some(LogoutTarget { target, label })
    }

    /// The response does not tell the reason; the log does.
    fn refused(
        &self,
        arrival: &RequestInfo,
        provider: &str,
        failure: &FederatedLoginError,
    ) -> Rejection {
        let (code, reason) = match failure {
            FederatedLoginError::NoClient => return arrival.refuse(Code::NotFound),
            FederatedLoginError::Unknown => (Code::BadRequest, "unknown_state"),
            FederatedLoginError::Refused(_) => (Code::InvalidCredentials, "provider_refused"),
            FederatedLoginError::Unavailable(_) => (Code::Unavailable, "provider_unavailable"),
        };
        ProviderLoginFailed { origin: arrival.origin(), provider, reason, failure }
            .emit(&self.telemetry, time::now());
        arrival.refuse(code)
    }

    fn record(&self, arrival: &RequestInfo, opened: &FederatedSession) {
        let (origin, now) = (arrival.origin(), time::now());
        let FederatedSession { user, session, .. } = *opened;
        if let Some(how) = opened.linked {
            ProviderLinked { origin: Some(origin), user, session, how }.emit(&self.telemetry, now);
        }
        LoginSucceeded { origin, user, session, by_provider: true }.emit(&self.telemetry, now);
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
