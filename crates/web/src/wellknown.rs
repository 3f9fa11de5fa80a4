//! Metadata for clients: `GET /.well-known/jwks.json` (RFC 7517),
//! `/.well-known/openid-configuration` and `/.well-known/oauth-authorization-server` (RFC 8414).

use std::sync::Arc;

use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use http::header;
use serde::Serialize;

use super::request_info::RequestInfo;
use guarita_core::time;

/// Metadata changes rarely and is requested often.
const CACHED: (http::HeaderName, &str) = (header::CACHE_CONTROL, "public, max-age=300");

pub(super) fn routes() -> Router {
    Router::new()
        .route("/.well-known/jwks.json", get(jwks))
        .route("/.well-known/openid-configuration", get(metadata))
        .route("/.well-known/oauth-authorization-server", get(metadata))
}

async fn jwks(arrival: RequestInfo) -> impl IntoResponse {
    let (snapshot, now) = (&arrival.snapshot, time::now());
    let keys = match &snapshot.assertion {
        Some(assertion) => assertion.jwks(now),
        None => snapshot.keyring.jwks(now),
    };
    let kind = http::HeaderValue::from_static("application/jwk-set+json");
    let caching = snapshot.jwks_caching.clone();
    ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, caching)], keys)
}

/// The metadata: only what is supported (RFC 8414 section 2).
#[derive(Serialize)]
struct ServerMetadata {
    issuer: Arc<str>,
    jwks_uri: String,
    introspection_endpoint: String,
    introspection_endpoint_auth_methods_supported: &'static [&'static str],
    revocation_endpoint: String,
    revocation_endpoint_auth_methods_supported: &'static [&'static str],
    /// There is no authorization endpoint yet.
    response_types_supported: [&'static str; 0],
    grant_types_supported: [&'static str; 0],
    ui_locales_supported: [&'static str; 3],
}

/// Client authentication methods: secret in the header, secret in the form, certificate (RFC 8705).
const METHODS: &[&str] = &["client_secret_basic", "client_secret_post", "tls_client_auth"];
const METHODS_WITHOUT_CERTIFICATE: &[&str] = &["client_secret_basic", "client_secret_post"];

async fn metadata(arrival: RequestInfo) -> impl IntoResponse {
    let snapshot = &arrival.snapshot;
    let at = |path: &str| format!("{}{path}", snapshot.public_url);
    let certificates = snapshot.introspection.takes_certificates();
    let methods = if certificates { METHODS } else { METHODS_WITHOUT_CERTIFICATE };
    let metadata = ServerMetadata {
        issuer: Arc::clone(&snapshot.expectations.issuer),
        jwks_uri: at("/.well-known/jwks.json"),
        introspection_endpoint: at("/oauth2/introspect"),
        introspection_endpoint_auth_methods_supported: methods,
        revocation_endpoint: at("/oauth2/revoke"),
        revocation_endpoint_auth_methods_supported: methods,
        response_types_supported: [],
        grant_types_supported: [],
        ui_locales_supported: ["pt-BR", "es", "en"],
    };
    ([CACHED], Json(metadata))
}
