//! `/login` and `/mfa`.

use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Router, routing::MethodRouter};
use http::{HeaderMap, HeaderValue, StatusCode, Uri, header};

use super::super::arrival::Arrival;
use super::super::cookie::Cookie;
use super::super::refusal::Refused;
use super::super::{login, mfa};
use super::form::{Bound, Fields, Form, Stale};
use super::page::{Page, Visit, set_cookie};
use super::settings::Settings;
use super::words::Words;
use crate::model::{Code, Secret};
use crate::rules::request::{Brought, cookies};
use crate::services::login::{Answer, Identifier, Opens, Tokens};

/// Where a person goes who did not come from anywhere.
const HOME: &str = "/account";
/// As long as the ticket holds.
const TICKET: Cookie = Cookie {
    same_site: "Strict",
    lifetime: Some(Duration::from_secs(300)),
    ..Cookie::new(cookies::TICKET)
};
/// Digits of a code of an authenticator.
const DIGITS: usize = 6;

/// What signing in takes.
#[derive(Clone)]
pub(super) struct Desk {
    pub(super) settings: Arc<Settings>,
    pub(super) login: login::Desk,
    pub(super) factor: mfa::Desk,
}

pub(super) fn routes(desk: Desk) -> Router {
    let login: MethodRouter<Desk> = get(show).post(sign_in);
    Router::new()
        .route("/login", login)
        .route("/mfa", get(show_second).post(second))
        .with_state(desk)
}

#[derive(Template)]
#[template(path = "doors/endpoints/pages/login.html")]
struct Login<'a> {
    page: &'a Page,
    username: &'a str,
    unverified: bool,
}

#[derive(Template)]
#[template(path = "doors/endpoints/pages/mfa.html")]
struct Second<'a> {
    page: &'a Page,
}

impl Desk {
    fn page(
        &self,
        arrival: &Arrival,
        headers: &HeaderMap,
        path: &'static str,
        fields: &Fields,
    ) -> Result<Page, Refused> {
        let bound = Bound::ToBrowser;
        let visit = Visit { settings: &self.settings, headers, path, fields, bound };
        Page::new(&visit).map_err(|_| arrival.refuse(Code::Internal))
    }
}

async fn show(
    State(desk): State<Desk>,
    arrival: Arrival,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Refused> {
    let fields = Fields::of_query(&uri).map_err(|_| arrival.refuse(Code::BadRequest))?;
    let page = desk.page(&arrival, &headers, "/login", &fields)?;
    if arrival.enrolling().is_some() {
        return Ok(page.redirect(home(&page)));
    }
    let login = Login { page: &page, username: "", unverified: false };
    let mut response = page.render(StatusCode::OK, &login);
    // Whatever cookie did not count is in the way of the next.
    if cookies::read(&headers, cookies::SESSION) != Brought::Nothing && !arrival.unknowable {
        set_cookie(&mut response, Cookie::new(cookies::SESSION).removal());
    }
    Ok(response)
}

async fn sign_in(
    State(desk): State<Desk>,
    arrival: Arrival,
    headers: HeaderMap,
    form: Form,
) -> Result<Response, Refused> {
    let fields = match form.open(&headers, Bound::ToBrowser) {
        Ok(fields) => fields,
        Err(Stale) => return desk.stale(&arrival, &headers),
    };
    let page = desk.page(&arrival, &headers, "/login", &fields)?;
    let username = fields.text("username").trim();
    let identifier = Identifier::Either(username.to_owned());
    let password = fields.secret("password");
    let attempted = desk.login.attempt(&arrival, &headers, identifier, password, Opens::Cookie);
    match attempted.await {
        Ok(tokens) => Ok(opened(&page, &tokens)),
        Err(refused) => Ok(not_opened(page, username, &refused)),
    }
}

/// Signed in: on to where the person wanted to go.
fn opened(page: &Page, tokens: &Tokens) -> Response {
    let mut response = page.redirect(home(page));
    for field in login::cookies(tokens) {
        set_cookie(&mut response, Some(field));
    }
    set_cookie(&mut response, TICKET.removal());
    response
}

fn home(page: &Page) -> &str {
    page.return_to.as_ref().map_or(HOME, |way| way.as_str())
}

fn not_opened(page: Page, username: &str, refused: &Refused) -> Response {
    if let Some(ticket) = refused.ticket() {
        let mut response = page.redirect(&format!("/mfa{}", page.way_back()));
        set_cookie(&mut response, TICKET.field(ticket.expose()));
        return response;
    }
    let alert = alert(page.words, refused.code());
    let page = page.alerting(alert);
    let unverified = refused.code() == Code::EmailUnverified;
    let login = Login { page: &page, username, unverified };
    refused.onto(page.render(refused.status(), &login))
}

async fn show_second(
    State(desk): State<Desk>,
    arrival: Arrival,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Refused> {
    let fields = Fields::of_query(&uri).map_err(|_| arrival.refuse(Code::BadRequest))?;
    let page = desk.page(&arrival, &headers, "/mfa", &fields)?;
    if cookies::read(&headers, cookies::TICKET).value().is_none() {
        return Ok(page.redirect(&format!("/login{}", page.way_back())));
    }
    Ok(page.render(StatusCode::OK, &Second { page: &page }))
}

async fn second(
    State(desk): State<Desk>,
    arrival: Arrival,
    headers: HeaderMap,
    form: Form,
) -> Result<Response, Refused> {
    let fields = match form.open(&headers, Bound::ToBrowser) {
        Ok(fields) => fields,
        Err(Stale) => return desk.stale(&arrival, &headers),
    };
    let page = desk.page(&arrival, &headers, "/mfa", &fields)?;
    let ticket = Secret::new(cookies::read(&headers, cookies::TICKET).value().unwrap_or_default());
    match desk.factor.complete(&arrival, &ticket, &answer(fields.text("code"))).await {
        Ok(tokens) => Ok(opened(&page, &tokens)),
        Err(refused) if refused.code() == Code::InvalidMfaToken => {
            let page = desk.page(&arrival, &headers, "/login", &fields)?;
            let alert = page.words.begin_again;
            let page = page.alerting(alert);
            let login = Login { page: &page, username: "", unverified: false };
            let mut response = page.render(refused.status(), &login);
            set_cookie(&mut response, TICKET.removal());
            Ok(response)
        }
        Err(refused) => {
            let alert = alert(page.words, refused.code());
            let page = page.alerting(alert);
            Ok(refused.onto(page.render(refused.status(), &Second { page: &page })))
        }
    }
}

impl Desk {
    /// Another site's form, or a page that lay open for long: nothing of it is used.
    fn stale(&self, arrival: &Arrival, headers: &HeaderMap) -> Result<Response, Refused> {
        let page = self.page(arrival, headers, "/login", &Fields::default())?;
        let has_cookies = headers.contains_key(header::COOKIE);
        let alert = if has_cookies { page.words.stale } else { page.words.needs_cookies };
        let page = page.alerting(alert);
        let login = Login { page: &page, username: "", unverified: false };
        Ok(page.render(StatusCode::FORBIDDEN, &login))
    }
}

/// Digits are of the app, all else is a recovery code. Spaces are typed for reading.
pub(super) fn answer(code: &str) -> Answer {
    let code: String = code.chars().filter(|letter| !letter.is_whitespace()).collect();
    let is_totp = code.len() == DIGITS && code.bytes().all(|byte| byte.is_ascii_digit());
    let code = Secret::new(code);
    if is_totp { Answer::Totp(code) } else { Answer::RecoveryCode(code) }
}

/// What a person is told of a refusal.
#[expect(clippy::wildcard_enum_match_arm, reason = "what people cannot mend is one thing to them")]
pub(super) fn alert(words: &Words, code: Code) -> &'static str {
    match code {
        Code::InvalidCredentials => words.wrong_credentials,
        Code::InvalidCode => words.wrong_code,
        Code::Locked | Code::RateLimited => words.locked,
        Code::InvalidMfaToken => words.begin_again,
        Code::CsrfFailed => words.stale,
        Code::MfaUnavailable => words.factor_is_unavailable,
        Code::ProofRequired => words.proof_needed,
        Code::EmailUnverified => words.unverified,
        Code::InvalidToken => words.link_void,
        Code::WeakPassword => words.weak_password,
        _ => words.unavailable,
    }
}

impl Refused {
    pub(super) fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.code().status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// A page that tells this refusal, with what goes with it.
    pub(super) fn onto(&self, mut response: Response) -> Response {
        if let Some(wait) = self.wait() {
            let seconds = HeaderValue::from(wait.as_secs().max(1));
            response.headers_mut().insert(header::RETRY_AFTER, seconds);
        }
        response.extensions_mut().insert(self.code());
        response.into_response()
    }
}
