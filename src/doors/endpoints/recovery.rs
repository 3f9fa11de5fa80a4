//! `POST /recover`, `POST /recover/confirm` (contract section 6).

use std::sync::Arc;

use axum::extract::FromRequest as _;
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
use crate::model::{Code, EmailAddress, Language, Secret, UserId, clock};
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
    Router::new().route("/recover/confirm", post(confirm)).with_state(desk)
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

/// `POST /recover`, where it does not bring a form: the path is a page's too, which serves it.
pub(super) async fn recover(
    desk: &Desk,
    arrival: &Arrival,
    request: axum::extract::Request,
) -> Result<Response, Refused> {
    let language = language(request.headers());
    let Json(Request { email }) = Json::from_request(request, &()).await?;
    desk.request(arrival, email.expose(), language).await?;
    Ok(empty(StatusCode::ACCEPTED))
}

async fn confirm(
    State(desk): State<Desk>,
    arrival: Arrival,
    headers: HeaderMap,
    Json(given): Json<Confirmation>,
) -> Result<Response, Refused> {
    desk.confirm(&arrival, &given.token, &given.password, language(&headers)).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}

impl Desk {
    /// Asks for a link, and records it.
    pub(super) async fn request(
        &self,
        arrival: &Arrival,
        email: &str,
        language: Option<Language>,
    ) -> Result<(), Refused> {
        let folded = EmailAddress::fold(email);
        self.turnstile.admit(arrival, Purpose::Recover, Some(Account::Name(&folded)))?;
        match self.recovery.request(email, language, clock::now()).await {
            Ok(Ok(user)) => {
                self.record(arrival, Name::RecoveryRequested, user, None);
                Ok(())
            }
            Ok(Err(_busy)) => Err(arrival.refuse(Code::RateLimited)),
            Err(fault) => Err(arrival.failed("recovery failed", &fault)),
        }
    }

    /// Sets a new password by a link, and records it.
    pub(super) async fn confirm(
        &self,
        arrival: &Arrival,
        token: &Secret,
        password: &Secret,
        language: Option<Language>,
    ) -> Result<(), Refused> {
        self.turnstile.admit(arrival, Purpose::Recover, None)?;
        match self.recovery.confirm(token, password, language, clock::now()).await {
            Ok(Ok(user)) => {
                self.record(arrival, Name::RecoveryCompleted, Some(user), None);
                Ok(())
            }
            Ok(Err(unrecovered)) => Err(self.refused(arrival, unrecovered)),
            Err(fault) => Err(arrival.failed("recovery failed", &fault)),
        }
    }

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
        let event = Event { user, reason, ..arrival.event(name) };
        self.audit.record(&event, clock::now());
    }
}
