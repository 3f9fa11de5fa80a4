//! `/login` and `/mfa`.

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use http::{HeaderMap, StatusCode, Uri, header};

use super::super::cookie::{self, Cookie};
use super::super::error::Rejection;
use super::super::request_info::RequestInfo;
use super::super::{login, mfa};
use super::form::{Form, FormFields};
use super::page::{Page, Pages};
use guarita_auth::login::{Identifier, LoggedIn, SecondFactorCode, SessionKind, TICKET_TTL};
use guarita_auth::snapshot::Provider;
use guarita_core::http::{CookieValue, cookies};
use guarita_core::{Code, Secret};

/// Where a browser is redirected to without a `return_to`.
const HOME: &str = "/account";
/// The cookie of the login ticket; valid as long as the ticket.
const TICKET: Cookie<'static> =
    Cookie { same_site: "Strict", lifetime: Some(TICKET_TTL), ..Cookie::new(cookies::TICKET) };
/// Number of digits of a TOTP code.
const DIGITS: usize = 6;

/// The state of the sign-in pages.
#[derive(Clone)]
pub(super) struct SignInPageState {
    pub(super) pages: Pages,
    /// Whether there are local passwords.
    pub(super) passwords: bool,
    pub(super) login: login::LoginState,
    pub(super) factor: mfa::MfaState,
}

/// With `mode = "external"`: only the links to the providers.
pub(super) fn routes_to_providers(desk: SignInPageState) -> Router {
    Router::new().route("/login", get(show)).with_state(desk)
}

pub(super) fn routes(desk: SignInPageState) -> Router {
    Router::new()
        .route("/login", get(show).post(sign_in))
        .route("/mfa", get(show_second).post(second))
        .with_state(desk)
}

#[derive(Template)]
#[template(path = "pages/login.html")]
struct LoginPage<'a> {
    page: &'a Page,
    username: &'a str,
    unverified: bool,
    passwords: bool,
    providers: Vec<Button>,
}

/// The link to a provider.
struct Button {
    name: Box<str>,
    label: Box<str>,
}

#[derive(Template)]
#[template(path = "pages/mfa.html")]
struct Second<'a> {
    page: &'a Page,
}

async fn show(
    State(desk): State<SignInPageState>,
    arrival: RequestInfo,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Rejection> {
    let (page, _) = desk.pages.visited(&arrival, &headers, "/login", &uri)?;
    if arrival.principal_or_pending().is_some() {
        return Ok(page.redirect(home(&page)));
    }
    let login = desk.form(&arrival, &page, "", false);
    if !login.passwords && login.providers.is_empty() {
        return Err(arrival.refuse(Code::NotFound));
    }
    let mut response = page.render(StatusCode::OK, &login);
    // Whatever cookie did not count is in the way of the next.
    if cookies::read(&headers, cookies::SESSION) != CookieValue::Nothing && !arrival.unknowable {
        cookie::set(&mut response, Cookie::new(cookies::SESSION).removal());
    }
    Ok(response)
}

async fn sign_in(
    State(desk): State<SignInPageState>,
    arrival: RequestInfo,
    headers: HeaderMap,
    form: Form,
) -> Result<Response, Rejection> {
    let (page, fields) = desk.pages.submitted(&arrival, &headers, "/login", form)?;
    let Some(fields) = fields else { return desk.stale(&arrival, &headers) };
    let username = fields.text("username").trim();
    let identifier = Identifier::Username(username.to_owned());
    let password = fields.secret("password");
    let attempted =
        desk.login.attempt(&arrival, &headers, identifier, password, SessionKind::Cookie);
    match attempted.await {
        Ok(logged_in) => Ok(signed_in_response(&page, &logged_in)),
        Err(refused) => Ok(desk.not_opened(&arrival, page, username, &refused)),
    }
}

/// Signed in: redirects to the target.
fn signed_in_response(page: &Page, logged_in: &LoggedIn) -> Response {
    let mut response = page.redirect(home(page));
    login::set_cookies(&mut response, logged_in.cookie(), logged_in.device.as_ref());
    cookie::set(&mut response, TICKET.removal());
    response
}

fn home(page: &Page) -> &str {
    page.return_to.as_ref().map_or(HOME, |way| way.as_str())
}

async fn show_second(
    State(desk): State<SignInPageState>,
    arrival: RequestInfo,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Rejection> {
    let (page, _) = desk.pages.visited(&arrival, &headers, "/mfa", &uri)?;
    if cookies::read(&headers, cookies::TICKET).value().is_none() {
        return Ok(page.redirect(&format!("/login{}", page.return_to_query())));
    }
    Ok(page.render(StatusCode::OK, &Second { page: &page }))
}

async fn second(
    State(desk): State<SignInPageState>,
    arrival: RequestInfo,
    headers: HeaderMap,
    form: Form,
) -> Result<Response, Rejection> {
    let (page, fields) = desk.pages.submitted(&arrival, &headers, "/mfa", form)?;
    let Some(fields) = fields else { return desk.stale(&arrival, &headers) };
    let ticket = Secret::new(cookies::read(&headers, cookies::TICKET).value().unwrap_or_default());
    match desk.factor.complete(&arrival, &ticket, &answer(fields.text("code"))).await {
        Ok(logged_in) => Ok(signed_in_response(&page, &logged_in)),
        Err(refused) if refused.code() == Code::InvalidMfaToken => {
            let page = desk.pages.page(&arrival, &headers, "/login", &fields)?.telling(&refused);
            let mut response =
                page.render(refused.status(), &desk.form(&arrival, &page, "", false));
            cookie::set(&mut response, TICKET.removal());
            Ok(response)
        }
        Err(refused) => {
            let page = page.telling(&refused);
            Ok(refused.decorate(page.render(refused.status(), &Second { page: &page })))
        }
    }
}

impl SignInPageState {
    /// The response to a form with an invalid CSRF token; its fields are ignored.
    fn stale(&self, arrival: &RequestInfo, headers: &HeaderMap) -> Result<Response, Rejection> {
        let page = self.pages.page(arrival, headers, "/login", &FormFields::default())?;
        let has_cookies = headers.contains_key(header::COOKIE);
        let alert = if has_cookies { page.words.stale } else { page.words.needs_cookies };
        let page = page.alerting(alert);
        Ok(page.render(StatusCode::FORBIDDEN, &self.form(arrival, &page, "", false)))
    }

    fn form<'a>(
        &self,
        arrival: &RequestInfo,
        page: &'a Page,
        username: &'a str,
        unverified: bool,
    ) -> LoginPage<'a> {
        let button = |provider: &Arc<Provider>| {
            let settings = provider.settings();
            let label = settings.client.as_ref()?.label.clone();
            Some(Button { name: settings.name.clone(), label })
        };
        let providers = arrival.snapshot.providers.iter().filter_map(button).collect();
        LoginPage { page, username, unverified, passwords: self.passwords, providers }
    }

    fn not_opened(
        &self,
        arrival: &RequestInfo,
        page: Page,
        username: &str,
        refused: &Rejection,
    ) -> Response {
        if let Some(ticket) = refused.ticket() {
            let mut response = page.redirect(&format!("/mfa{}", page.return_to_query()));
            cookie::set(&mut response, TICKET.field(ticket.expose()));
            return response;
        }
        let page = page.telling(refused);
        let unverified = refused.code() == Code::EmailUnverified;
        let login = self.form(arrival, &page, username, unverified);
        refused.decorate(page.render(refused.status(), &login))
    }
}

/// Six digits are a TOTP code, everything else is a recovery code.
pub(super) fn answer(code: &str) -> SecondFactorCode {
    let code = normalize_code(code);
    let digits = code.expose().as_bytes();
    let is_totp = digits.len() == DIGITS && digits.iter().all(u8::is_ascii_digit);
    if is_totp { SecondFactorCode::Totp(code) } else { SecondFactorCode::RecoveryCode(code) }
}

/// A code without the spaces that users type.
pub(super) fn normalize_code(code: &str) -> Secret {
    Secret::new(code.chars().filter(|letter| !letter.is_whitespace()).collect::<String>())
}
