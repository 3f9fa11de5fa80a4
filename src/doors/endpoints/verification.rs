//! `POST /verify-email`, `POST /verify-email/confirm` (contract section 6).

use std::sync::Arc;

use axum::extract::FromRequest as _;
use axum::response::Response;
use axum::routing::post;
use axum::{Router, extract::State};
use http::StatusCode;
use serde::Deserialize;

use super::arrival::Arrival;
use super::extract::Json;
use super::refusal::Refused;
use super::router::{empty, language};
use super::turnstile::Turnstile;
use crate::adapters::telemetry::{Audit, Event, Name};
use crate::model::{Code, EmailAddress, Language, Secret, UserId, clock};
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
    Router::new().route("/verify-email/confirm", post(confirm)).with_state(desk)
}

#[derive(Deserialize)]
struct Request {
    email: Secret,
}

#[derive(Deserialize)]
struct Confirmation {
    token: Secret,
}

/// `POST /verify-email`, where it does not bring a form: the path is a page's too, which serves it.
pub(super) async fn verify(
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
    Json(given): Json<Confirmation>,
) -> Result<Response, Refused> {
    desk.confirm(&arrival, &given.token).await?;
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
        self.turnstile.admit(arrival, Purpose::VerifyEmail, Some(Account::Name(&folded)))?;
        match self.verification.request(email, language, clock::now()).await {
            Ok(Ok(user)) => {
                self.record(arrival, Name::VerificationRequested, user, None);
                Ok(())
            }
            Ok(Err(_busy)) => Err(arrival.refuse(Code::RateLimited)),
            Err(fault) => Err(arrival.failed("verification failed", &fault)),
        }
    }

    /// Proves an address by a link, and records it.
    pub(super) async fn confirm(&self, arrival: &Arrival, token: &Secret) -> Result<(), Refused> {
        self.turnstile.admit(arrival, Purpose::VerifyEmail, None)?;
        match self.verification.confirm(token, clock::now()).await {
            Ok(Ok(user)) => {
                self.record(arrival, Name::VerificationCompleted, Some(user), None);
                Ok(())
            }
            Ok(Err(unverified)) => Err(self.refused(arrival, unverified)),
            Err(fault) => Err(arrival.failed("verification failed", &fault)),
        }
    }

    fn refused(&self, arrival: &Arrival, unverified: Unverified) -> Refused {
        let (reason, code) = match unverified {
            Unverified::InvalidToken => ("invalid_token", Code::InvalidToken),
            Unverified::Busy => ("busy", Code::RateLimited),
        };
        self.record(arrival, Name::VerificationFailed, None, Some(reason));
        arrival.refuse(code)
    }

    fn record(&self, arrival: &Arrival, name: Name, user: Option<UserId>, reason: Option<&str>) {
        let event = Event { user, reason, ..arrival.event(name) };
        self.audit.record(&event, clock::now());
    }
}
