//! `GET /.well-known/jwks.json` (RFC 7517).

use std::sync::Arc;

use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Router, extract::State};
use http::header;

use crate::live::Live;

pub(super) fn routes(live: Arc<Live>) -> Router {
    Router::new().route("/.well-known/jwks.json", get(jwks)).with_state(live)
}

async fn jwks(State(live): State<Arc<Live>>) -> impl IntoResponse {
    let keys = live.read().keyring.jwks().clone();
    (
        [
            (header::CONTENT_TYPE, "application/jwk-set+json"),
            (header::CACHE_CONTROL, "public, max-age=300"),
        ],
        keys,
    )
}
