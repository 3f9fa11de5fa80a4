//! The page for a rejected login with a provider: the user returns from the provider in a browser.

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use http::{HeaderMap, StatusCode, header};

use super::super::request_info::RequestInfo;
use super::form::FormFields;
use super::page::{Page, Pages};
use super::settings::PageSettings;
use super::texts::Words;
use guarita_auth::access::csrf::Bound;
use guarita_core::Code;
use guarita_core::http::is_navigation;

#[derive(Template)]
#[template(path = "pages/refused.html")]
struct ErrorPage<'a> {
    page: &'a Page,
    text: &'static str,
    code: &'static str,
    request_id: &'a str,
}

/// Wraps endpoints so that browsers get their rejections as a page. Other clients get the problem body.
pub fn with_pages(endpoints: Router, settings: Arc<PageSettings>) -> Router {
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
    let Ok(page) = pages.page(arrival, headers, "/login", &FormFields::default()) else {
        return refusal;
    };
    let status = StatusCode::from_u16(code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let text = text(page.words, code);
    let request_id = &*arrival.request_id;
    let mut response =
        page.render(status, &ErrorPage { page: &page, text, code: code.as_str(), request_id });
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
