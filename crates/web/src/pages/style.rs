//! The style sheet with the configured colours, and the logo.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};

use super::settings::PageSettings;

const STYLE: &str = include_str!("style.css");
/// Changes of colours take effect within five minutes.
const CACHE: &str = "public, max-age=300";
/// Content-Security-Policy of the logo: an SVG that is opened directly runs no scripts.
const PICTURE_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; sandbox";

pub(super) fn routes(settings: Arc<PageSettings>) -> Router {
    let style = Bytes::from(sheet(&settings));
    Router::new()
        .route("/auth/style.css", get(move || served(style, "text/css; charset=utf-8")))
        .route("/auth/logo", get(logo).with_state(settings))
}

fn sheet(settings: &PageSettings) -> String {
    let PageSettings { accent, accent_dark, .. } = settings;
    format!(
        ":root {{ --accent: {accent}; --accent-ink: {}; }}\n\
         @media (prefers-color-scheme: dark) {{\n  \
         :root {{ --accent: {accent_dark}; --accent-ink: {}; }}\n}}\n{STYLE}",
        accent.ink(),
        accent_dark.ink(),
    )
}

async fn logo(State(settings): State<Arc<PageSettings>>) -> Response {
    match &settings.logo {
        Some(logo) => served(logo.bytes.clone(), logo.media_type).await,
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn served(bytes: Bytes, media_type: &'static str) -> Response {
    let mut response = bytes.into_response();
    for (name, value) in [
        (header::CONTENT_TYPE, media_type),
        (header::CACHE_CONTROL, CACHE),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CONTENT_SECURITY_POLICY, PICTURE_POLICY),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}
