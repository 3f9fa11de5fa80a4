//! `POST /verify-email`, `POST /verify-email/confirm` (contract section 6).

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
use crate::services::account::{Unverified, Verification};
use crate::services::limit::{Account, Purpose};

/// What verification takes.
#[derive(Clone)]
pub(super) struct Desk {
    pub(super) verification: Arc<Verification>,
    pub(super) audit: Audit,
    pub(super) turnstile: Turnstile,
}

pub(super) fn routes(desk: Desk) -> Router {
    Router::new()
        .route("/verify-email", post(verify))
        .route("/verify-email/confirm", post(confirm))
        .with_state(desk)
}

#[derive(Deserialize)]
struct Request {
    email: Secret,
}

#[derive(Deserialize)]
struct Confirmation {
    token: Secret,
}

async fn verify(
    State(desk): State<Desk>,
    arrival: Arrival,
    headers: HeaderMap,
    Json(request): Json<Request>,
) -> Result<Response, Refused> {
    let email = request.email.expose();
    let folded = EmailAddress::fold(email);
    desk.turnstile.admit(&arrival, Purpose::VerifyEmail, Some(Account::Name(&folded)))?;
    match desk.verification.request(email, language(&headers), clock::now()).await {
        Ok(Ok(user)) => {
            desk.record(&arrival, Name::VerificationRequested, user, None);
            Ok(empty(StatusCode::ACCEPTED))
        }
        Ok(Err(_busy)) => Err(arrival.refuse(Code::RateLimited)),
        Err(fault) => Err(broken(&arrival, &fault)),
    }
}

async fn confirm(
    State(desk): State<Desk>,
    arrival: Arrival,
    Json(given): Json<Confirmation>,
) -> Result<Response, Refused> {
    desk.turnstile.admit(&arrival, Purpose::VerifyEmail, None)?;
    match desk.verification.confirm(&given.token, clock::now()).await {
        Ok(Ok(user)) => {
            desk.record(&arrival, Name::VerificationCompleted, Some(user), None);
            Ok(empty(StatusCode::NO_CONTENT))
        }
        Ok(Err(unverified)) => Err(desk.refused(&arrival, unverified)),
        Err(fault) => Err(broken(&arrival, &fault)),
    }
}

fn broken(arrival: &Arrival, fault: &dyn std::fmt::Display) -> Refused {
    tracing::error!(requestId = &*arrival.request_id, %fault, "verification failed");
    arrival.refuse(Code::Unavailable)
}

impl Desk {
    fn refused(&self, arrival: &Arrival, unverified: Unverified) -> Refused {
        let (reason, code) = match unverified {
            Unverified::InvalidToken => ("invalid_token", Code::InvalidToken),
            Unverified::Busy => ("busy", Code::RateLimited),
        };
        self.record(arrival, Name::VerificationFailed, None, Some(reason));
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
