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
use guarita_telemetry::{Audit, Event, Metrics, Name};

/// The state of the refresh endpoint.
#[derive(Clone)]
pub(super) struct RefreshState {
    pub(super) refresh: Arc<Refresh>,
    pub(super) audit: Audit,
    pub(super) metrics: Arc<Metrics>,
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
    let event = Event { request_id: Some(&arrival.request_id), ..Event::new(Name::RefreshFailed) };
    let (token, snapshot) = (&presented.refresh_token, &arrival.snapshot);
    match desk.refresh.refresh(token, snapshot, time::now()).await {
        Ok(Ok(Refreshed { tokens, repeated })) => {
            let (user, session) = (Some(tokens.user), Some(tokens.session));
            let event = Event { name: Name::RefreshSucceeded, user, session, ..event };
            desk.record(&event, if repeated { "repeated" } else { "succeeded" });
            Ok(no_store(axum::Json(Pair::from(tokens)).into_response()))
        }
        Ok(Err(invalid)) => {
            desk.refused(&event, invalid);
            Err(arrival.refuse(Code::InvalidRefreshToken))
        }
        Err(fault) => Err(arrival.failed("refresh failed", &fault)),
    }
}

impl RefreshState {
    fn refused(&self, event: &Event<'_>, invalid: InvalidRefreshToken) {
        match invalid {
            InvalidRefreshToken::Reused { session, user } => {
                let event = Event {
                    name: Name::RefreshReuse,
                    user: Some(user),
                    session: Some(session),
                    ..*event
                };
                self.record(&event, "reused");
            }
            InvalidRefreshToken::Unknown => self.record(event, "unknown"),
            InvalidRefreshToken::Expired => self.record(event, "expired"),
            InvalidRefreshToken::Revoked => self.record(event, "revoked"),
        }
    }

    fn record(&self, event: &Event<'_>, result: &str) {
        self.metrics.refresh(result);
        self.audit.record(&Event { reason: Some(result), ..*event }, time::now());
    }
}
