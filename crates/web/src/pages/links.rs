//! `/recover`, `/reset` and `/verify-email`: requesting a mailed link, and following it.
//!
//! A GET does not use up a link, because mail programs fetch links before their users do.

use askama::Template;
use axum::Router;
use axum::extract::{FromRequest as _, Request, State};
use axum::response::Response;
use axum::routing::get;
use http::{HeaderMap, StatusCode, Uri};

use super::super::error::Rejection;
use super::super::links::{self as mailed, LinkKind};
use super::super::request_info::RequestInfo;
use super::form::{Form, FormFields};
use super::page::{Page, Pages};
use guarita_core::Code;
use guarita_core::http::local_paths::takes_form;

/// The state of the link pages.
#[derive(Clone)]
pub(super) struct LinksPageState {
    pub(super) pages: Pages,
    pub(super) mailed: mailed::LinksState,
}

pub(super) fn routes(desk: LinksPageState) -> Router {
    Router::new()
        .route("/recover", get(show_recover).post(recover))
        .route("/reset", get(show_reset).post(reset))
        .route("/verify-email", get(show_verify).post(verify))
        .with_state(desk)
}

/// The form for an e-mail address.
#[derive(Template)]
#[template(path = "pages/recover.html")]
struct Ask<'a> {
    page: &'a Page,
    heading: &'a str,
    text: &'a str,
    action: &'static str,
}

#[derive(Template)]
#[template(path = "pages/reset.html")]
struct Reset<'a> {
    page: &'a Page,
    token: &'a str,
}

#[derive(Template)]
#[template(path = "pages/verify.html")]
struct Verify<'a> {
    page: &'a Page,
    token: &'a str,
}

/// A message, and the link to continue.
#[derive(Template)]
#[template(path = "pages/message.html")]
pub(super) struct MessagePage<'a> {
    pub(super) page: &'a Page,
    pub(super) heading: &'a str,
    pub(super) text: &'a str,
    pub(super) target: &'a str,
    pub(super) label: &'a str,
}

impl LinksPageState {
    async fn submitted(
        &self,
        arrival: &RequestInfo,
        path: &'static str,
        request: Request,
    ) -> Result<(Page, Option<FormFields>), Rejection> {
        let headers = request.headers().clone();
        let form = Form::from_request(request, &()).await?;
        self.pages.submitted(arrival, &headers, path, form)
    }
}

async fn show_recover(
    State(desk): State<LinksPageState>,
    arrival: RequestInfo,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Rejection> {
    let (page, _) = desk.pages.visited(&arrival, &headers, "/recover", &uri)?;
    Ok(ask_recover(&page, StatusCode::OK))
}

fn ask_recover(page: &Page, status: StatusCode) -> Response {
    let (heading, text) = (page.words.recover, page.words.recover_text);
    page.render(status, &Ask { page, heading, text, action: "/recover" })
}

/// A form is handled by the page, everything else by the JSON endpoint.
async fn recover(
    State(desk): State<LinksPageState>,
    arrival: RequestInfo,
    request: Request,
) -> Result<Response, Rejection> {
    if !takes_form("/recover", request.headers()) {
        return desk.mailed.asked(&arrival, LinkKind::Reset, request).await;
    }
    let (page, fields) = desk.submitted(&arrival, "/recover", request).await?;
    let Some(fields) = fields else { return Ok(ask_recover(&page, StatusCode::FORBIDDEN)) };
    let language = Some(page.language);
    match desk.mailed.ask(&arrival, LinkKind::Reset, fields.text("email").trim(), language).await {
        Ok(()) => Ok(sent(&page, page.words.recover)),
        Err(refused) => Ok(refused_on(page, &refused, ask_recover)),
    }
}

/// Tells that a link is on its way, whether or not one was sent.
fn sent(page: &Page, heading: &str) -> Response {
    let (text, label) = (page.words.link_sent, page.words.back_to_sign_in);
    page.render(StatusCode::OK, &MessagePage { page, heading, text, target: "/login", label })
}

fn refused_on(
    page: Page,
    refused: &Rejection,
    again: impl FnOnce(&Page, StatusCode) -> Response,
) -> Response {
    let page = page.telling(refused);
    refused.decorate(again(&page, refused.status()))
}

async fn show_reset(
    State(desk): State<LinksPageState>,
    arrival: RequestInfo,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Rejection> {
    let (page, fields) = desk.pages.visited(&arrival, &headers, "/reset", &uri)?;
    let token = fields.text("token");
    if token.is_empty() {
        return Ok(page.redirect("/recover"));
    }
    Ok(page.render(StatusCode::OK, &Reset { page: &page, token }))
}

async fn reset(
    State(desk): State<LinksPageState>,
    arrival: RequestInfo,
    request: Request,
) -> Result<Response, Rejection> {
    let (page, fields) = desk.submitted(&arrival, "/reset", request).await?;
    let Some(fields) = fields else { return Ok(void(&page, StatusCode::FORBIDDEN)) };
    let (token, password) = (fields.secret("token"), fields.secret("password"));
    match desk.mailed.reset(&arrival, &token, &password, Some(page.language)).await {
        Ok(()) => {
            let (heading, text) = (page.words.reset, page.words.reset_done);
            let (target, label) = ("/login", page.words.sign_in);
            Ok(page
                .render(StatusCode::OK, &MessagePage { page: &page, heading, text, target, label }))
        }
        Err(refused) if refused.code() == Code::InvalidToken => Ok(void(&page, refused.status())),
        Err(refused) => Ok(refused_on(page, &refused, |page, status| {
            page.render(status, &Reset { page, token: token.expose() })
        })),
    }
}

/// The page for an invalid link; another one can be requested.
fn void(page: &Page, status: StatusCode) -> Response {
    let (heading, text) = (page.words.reset, page.words.link_void);
    let (target, label) = ("/recover", page.words.recover);
    page.render(status, &MessagePage { page, heading, text, target, label })
}

async fn show_verify(
    State(desk): State<LinksPageState>,
    arrival: RequestInfo,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Rejection> {
    let (page, fields) = desk.pages.visited(&arrival, &headers, "/verify-email", &uri)?;
    let token = fields.text("token");
    if token.is_empty() {
        return Ok(ask_verify(&page, StatusCode::OK));
    }
    Ok(page.render(StatusCode::OK, &Verify { page: &page, token }))
}

fn ask_verify(page: &Page, status: StatusCode) -> Response {
    let (heading, text) = (page.words.verify, page.words.verify_send_text);
    page.render(status, &Ask { page, heading, text, action: "/verify-email" })
}

async fn verify(
    State(desk): State<LinksPageState>,
    arrival: RequestInfo,
    request: Request,
) -> Result<Response, Rejection> {
    if !takes_form("/verify-email", request.headers()) {
        return desk.mailed.asked(&arrival, LinkKind::Verification, request).await;
    }
    let (page, fields) = desk.submitted(&arrival, "/verify-email", request).await?;
    let Some(fields) = fields else { return Ok(ask_verify(&page, StatusCode::FORBIDDEN)) };
    let token = fields.secret("token");
    if token.expose().is_empty() {
        let language = Some(page.language);
        let email = fields.text("email").trim();
        return match desk.mailed.ask(&arrival, LinkKind::Verification, email, language).await {
            Ok(()) => Ok(sent(&page, page.words.verify)),
            Err(refused) => Ok(refused_on(page, &refused, ask_verify)),
        };
    }
    match desk.mailed.verify(&arrival, &token).await {
        Ok(()) => {
            let (heading, text) = (page.words.verify, page.words.verify_done);
            let (target, label) = ("/login", page.words.sign_in);
            Ok(page
                .render(StatusCode::OK, &MessagePage { page: &page, heading, text, target, label }))
        }
        Err(refused) => Ok(refused_on(page, &refused, ask_verify)),
    }
}
