//! `POST /auth/refresh`.

use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Router, extract::State};
use serde::Deserialize;

use super::arrival::Arrival;
use super::extract::Json;
use super::login::Pair;
use super::refusal::Refused;
use super::router::no_store;
use super::turnstile::Turnstile;
use crate::adapters::telemetry::{Audit, Event, Metrics, Name};
use crate::model::{Code, Secret, clock};
use crate::services::grant::{InvalidRefreshToken, Refresh, Refreshed};
use crate::services::limit::Purpose;

/// What refresh takes.
#[derive(Clone)]
pub(super) struct Desk {
    pub(super) refresh: Arc<Refresh>,
    pub(super) audit: Audit,
    pub(super) metrics: Arc<Metrics>,
    pub(super) turnstile: Turnstile,
}

pub(super) fn routes(desk: Desk) -> Router {
    Router::new().route("/auth/refresh", post(refresh)).with_state(desk)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Presented {
    refresh_token: Secret,
}

async fn refresh(
    State(desk): State<Desk>,
    arrival: Arrival,
    Json(presented): Json<Presented>,
) -> Result<Response, Refused> {
    desk.turnstile.admit(&arrival, Purpose::Refresh, None).await?;
    let event = Event { request_id: Some(&arrival.request_id), ..Event::new(Name::RefreshFailed) };
    match desk.refresh.refresh(&presented.refresh_token, clock::now()).await {
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

impl Desk {
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
        self.audit.record(&Event { reason: Some(result), ..*event }, clock::now());
    }
}
