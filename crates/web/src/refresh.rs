//! `POST /auth/refresh`.

use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Router, extract::State};
use serde::Deserialize;

use super::error::Rejection;
use super::extract::Json;
use super::login::Pair;
use super::rate_limit::RateLimitGuard;
use super::request_info::RequestInfo;
use super::router::no_store;
use guarita_auth::grant::{InvalidRefreshToken, Refresh, Refreshed};
use guarita_auth::rate_limit::Purpose;
use guarita_core::{Code, Secret, time};
use guarita_telemetry::Telemetry;
use guarita_telemetry::events::{RefreshFailed, RefreshReused, RefreshSucceeded};

/// The state of the refresh endpoint.
#[derive(Clone)]
pub(super) struct RefreshState {
    pub(super) refresh: Arc<Refresh>,
    pub(super) telemetry: Telemetry,
    pub(super) turnstile: RateLimitGuard,
}

pub(super) fn routes(desk: RefreshState) -> Router {
    Router::new().route("/auth/refresh", post(refresh)).with_state(desk)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Presented {
    refresh_token: Secret,
}

async fn refresh(
    State(desk): State<RefreshState>,
    arrival: RequestInfo,
    Json(presented): Json<Presented>,
) -> Result<Response, Rejection> {
    desk.turnstile.check(&arrival, Purpose::Refresh, None).await?;
    let (token, snapshot) = (&presented.refresh_token, &arrival.snapshot);
    match desk.refresh.refresh(token, snapshot, time::now()).await {
        Ok(Ok(Refreshed { tokens, repeated })) => {
            let (user, session) = (tokens.user, tokens.session);
            RefreshSucceeded { request_id: &arrival.request_id, user, session, repeated }
                .emit(&desk.telemetry, time::now());
            Ok(no_store(axum::Json(Pair::from(tokens)).into_response()))
        }
        Ok(Err(invalid)) => {
            desk.refused(&arrival, invalid);
            Err(arrival.refuse(Code::InvalidRefreshToken))
        }
        Err(fault) => Err(arrival.failed("refresh failed", &fault)),
    }
}

impl RefreshState {
    fn refused(&self, arrival: &RequestInfo, invalid: InvalidRefreshToken) {
        let request_id = &*arrival.request_id;
        let reason = match invalid {
            InvalidRefreshToken::Reused { session, user } => {
                let reused = RefreshReused { request_id, user, session };
                return reused.emit(&self.telemetry, time::now());
            }
            InvalidRefreshToken::Unknown => "unknown",
            InvalidRefreshToken::Expired => "expired",
            InvalidRefreshToken::Revoked => "revoked",
        };
        RefreshFailed { request_id, reason }.emit(&self.telemetry, time::now());
    }
}
