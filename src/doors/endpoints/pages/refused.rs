//! The page for a rejected login with a provider: the user returns from the provider in a browser.

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use http::{HeaderMap, StatusCode, header};

use super::super::arrival::RequestInfo;
use super::form::Fields;
use super::page::{Page, Pages};
use super::settings::Settings;
use super::words::Words;
use crate::model::Code;
use crate::rules::request::is_navigation;
use crate::services::access::forgery::Bound;

#[derive(Template)]
#[template(path = "doors/endpoints/pages/refused.html")]
struct Refusal<'a> {
    page: &'a Page,
    text: &'static str,
    code: &'static str,
    request_id: &'a str,
}

/// The same endpoints, whose refusals a browser shows as a page. All others get the problem body.
pub fn with_pages(endpoints: Router, settings: Arc<Settings>) -> Router {
    let pages = Pages::new(settings, Bound::ToBrowser);
    endpoints.layer(from_fn_with_state(pages, error_page))
}

async fn error_page(
    State(pages): State<Pages>,
    arrival: RequestInfo,
    request: Request,
    next: Next,
) -> Response {
    let is_person = is_navigation(request.method(), request.headers());
    let headers = if is_person { request.headers().clone() } else { HeaderMap::new() };
    let answer = next.run(request).await;
    match answer.extensions().get::<Code>() {
        Some(code) if is_person => page(&pages, &arrival, &headers, *code, answer),
        Some(_) | None => answer,
    }
}

fn page(
    pages: &Pages,
    arrival: &RequestInfo,
    headers: &HeaderMap,
    code: Code,
    refusal: Response,
) -> Response {
    let Ok(page) = pages.page(arrival, headers, "/login", &Fields::default()) else {
        return refusal;
    };
    let status = StatusCode::from_u16(code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let text = text(page.words, code);
    let request_id = &*arrival.request_id;
    let mut response =
        page.render(status, &Refusal { page: &page, text, code: code.as_str(), request_id });
    // What the browser is to keep or forget, and when it may come again.
    for name in [header::SET_COOKIE, header::RETRY_AFTER] {
        for value in refusal.headers().get_all(&name) {
            response.headers_mut().append(&name, value.clone());
        }
    }
    response.extensions_mut().insert(code);
    response
}

#[expect(clippy::wildcard_enum_match_arm, reason = "what people cannot mend is one thing to them")]
const fn text(words: &Words, code: Code) -> &'static str {
    match code {
        Code::BadRequest => words.provider_login_over,
        Code::InvalidCredentials => words.provider_refused,
        Code::Locked | Code::RateLimited => words.locked,
        _ => words.unavailable,
    }
}
