//! `POST /recover`, `POST /recover/confirm` (contract section 6).

use std::sync::Arc;

use axum::response::Response;
use axum::routing::post;
use axum::{Router, extract::State};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;

use super::arrival::Arrival;
use super::extract::Json;
use super::refusal::Refused;
use super::router::{empty, language};
use super::turnstile::Turnstile;
use crate::adapters::telemetry::{Audit, Event, Name};
use crate::model::{Code, EmailAddress, Secret, UserId, clock};
use crate::services::account::{Recovery, Unrecovered};
use crate::services::limit::{Account, Purpose};

/// What recovery takes.
#[derive(Clone)]
pub(super) struct Desk {
    pub(super) recovery: Arc<Recovery>,
    pub(super) audit: Audit,
    pub(super) turnstile: Turnstile,
}

pub(super) fn routes(desk: Desk) -> Router {
    Router::new()
        .route("/recover", post(recover))
        .route("/recover/confirm", post(confirm))
        .with_state(desk)
}

#[derive(Deserialize)]
struct Request {
    email: Secret,
}

#[derive(Deserialize)]
struct Confirmation {
    token: Secret,
    password: Secret,
}

async fn recover(
    State(desk): State<Desk>,
    arrival: Arrival,
    headers: HeaderMap,
    Json(request): Json<Request>,
) -> Result<Response, Refused> {
    let email = request.email.expose();
    let folded = EmailAddress::fold(email);
    desk.turnstile.admit(&arrival, Purpose::Recover, Some(Account::Name(&folded)))?;
    match desk.recovery.request(email, language(&headers), clock::now()).await {
        Ok(Ok(user)) => {
            desk.record(&arrival, Name::RecoveryRequested, user, None);
            Ok(empty(StatusCode::ACCEPTED))
        }
        Ok(Err(_busy)) => Err(arrival.refuse(Code::RateLimited)),
        Err(fault) => Err(broken(&arrival, &fault)),
    }
}

async fn confirm(
    State(desk): State<Desk>,
    arrival: Arrival,
    headers: HeaderMap,
    Json(given): Json<Confirmation>,
) -> Result<Response, Refused> {
    desk.turnstile.admit(&arrival, Purpose::Recover, None)?;
    let (language, now) = (language(&headers), clock::now());
    match desk.recovery.confirm(&given.token, &given.password, language, now).await {
        Ok(Ok(user)) => {
            desk.record(&arrival, Name::RecoveryCompleted, Some(user), None);
            Ok(empty(StatusCode::NO_CONTENT))
        }
        Ok(Err(unrecovered)) => Err(desk.refused(&arrival, unrecovered)),
        Err(fault) => Err(broken(&arrival, &fault)),
    }
}

fn broken(arrival: &Arrival, fault: &dyn std::fmt::Display) -> Refused {
    tracing::error!(requestId = &*arrival.request_id, %fault, "recovery failed");
    arrival.refuse(Code::Unavailable)
}

impl Desk {
    fn refused(&self, arrival: &Arrival, unrecovered: Unrecovered) -> Refused {
        let (user, reason, code) = match unrecovered {
            Unrecovered::InvalidToken => (None, "invalid_token", Code::InvalidToken),
            Unrecovered::WeakPassword(user, _) => (Some(user), "weak_password", Code::WeakPassword),
            Unrecovered::Busy => (None, "busy", Code::RateLimited),
        };
        self.record(arrival, Name::RecoveryFailed, user, Some(reason));
        arrival.refuse(code)
    }

    fn record(&self, arrival: &Arrival, name: Name, user: Option<UserId>, reason: Option<&str>) {
        let event = Event {
            request_id: Some(&arrival.request_id),
            user,
            address: Some(arrival.client),
            reason,
            ..Event::new(name)
        };
        self.audit.record(&event, clock::now());
    }
}
