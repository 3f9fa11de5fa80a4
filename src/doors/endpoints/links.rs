//! Mailed links: `POST /recover`, `/recover/confirm`, `/verify-email`, `/verify-email/confirm`.

use std::sync::Arc;

use axum::extract::{FromRequest as _, Request};
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
use crate::services::account::{Recovery, Unrecovered, Unverified, Verification};
use crate::services::limit::{Account, Purpose};

/// What links take.
#[derive(Clone)]
pub(super) struct Desk {
    pub(super) recovery: Arc<Recovery>,
    pub(super) verification: Arc<Verification>,
    pub(super) audit: Audit,
    pub(super) turnstile: Turnstile,
}

/// What a link is for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// To set a new password.
    Reset,
    /// To prove the address.
    Verification,
}

impl Kind {
    const fn purpose(self) -> Purpose {
        match self {
            Self::Reset => Purpose::Recover,
            Self::Verification => Purpose::VerifyEmail,
        }
    }

    /// What the log says of a fault.
    const fn failed(self) -> &'static str {
        match self {
            Self::Reset => "recovery failed",
            Self::Verification => "verification failed",
        }
    }
}

/// `/recover` and `/verify-email` are paths of pages too, which serve them ([`Desk::asked`]).
pub(super) fn routes(desk: Desk) -> Router {
    Router::new()
        .route("/recover/confirm", post(reset))
        .route("/verify-email/confirm", post(verify))
        .with_state(desk)
}

#[derive(Deserialize)]
struct Asked {
    email: Secret,
}

#[derive(Deserialize)]
struct NewPassword {
    token: Secret,
    password: Secret,
}

#[derive(Deserialize)]
struct Proof {
    token: Secret,
}

async fn reset(
    State(desk): State<Desk>,
    arrival: Arrival,
    headers: HeaderMap,
    Json(given): Json<NewPassword>,
) -> Result<Response, Refused> {
    desk.reset(&arrival, &given.token, &given.password, language(&headers)).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}

async fn verify(
    State(desk): State<Desk>,
    arrival: Arrival,
    Json(given): Json<Proof>,
) -> Result<Response, Refused> {
    desk.verify(&arrival, &given.token).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}

impl Desk {
    /// `POST` of an address in JSON: 202, whosever it is.
    pub(super) async fn asked(
        &self,
        arrival: &Arrival,
        kind: Kind,
        request: Request,
    ) -> Result<Response, Refused> {
        let language = language(request.headers());
        let Json(Asked { email }) = Json::from_request(request, &()).await?;
        self.ask(arrival, kind, email.expose(), language).await?;
        Ok(empty(StatusCode::ACCEPTED))
    }

    /// Asks for a link, and records it.
    pub(super) async fn ask(
        &self,
        arrival: &Arrival,
        kind: Kind,
        email: &str,
        language: Option<Language>,
    ) -> Result<(), Refused> {
        let folded = EmailAddress::fold(email);
        self.turnstile.admit(arrival, kind.purpose(), Some(Account::Name(&folded))).await?;
        let (asked, name) = match kind {
            Kind::Reset => {
                let asked = self.recovery.request(email, language, clock::now()).await;
                (asked, Name::RecoveryRequested)
            }
            Kind::Verification => {
                let asked = self.verification.request(email, language, clock::now()).await;
                (asked, Name::VerificationRequested)
            }
        };
        match asked {
            Ok(Ok(user)) => {
                self.record(arrival, name, user, None);
                Ok(())
            }
            Ok(Err(_busy)) => Err(arrival.refuse(Code::RateLimited)),
            Err(fault) => Err(arrival.failed(kind.failed(), &fault)),
        }
    }

    /// Sets a new password by a link, and records it.
    pub(super) async fn reset(
        &self,
        arrival: &Arrival,
        token: &Secret,
        password: &Secret,
        language: Option<Language>,
    ) -> Result<(), Refused> {
        self.turnstile.admit(arrival, Kind::Reset.purpose(), None).await?;
        let (user, reason, code) =
            match self.recovery.confirm(token, password, language, clock::now()).await {
                Ok(Ok(user)) => {
                    self.record(arrival, Name::RecoveryCompleted, Some(user), None);
                    return Ok(());
                }
                Ok(Err(Unrecovered::InvalidToken)) => (None, "invalid_token", Code::InvalidToken),
                Ok(Err(Unrecovered::WeakPassword(user, _))) => {
                    (Some(user), "weak_password", Code::WeakPassword)
                }
                Ok(Err(Unrecovered::Busy)) => (None, "busy", Code::RateLimited),
                Err(fault) => return Err(arrival.failed(Kind::Reset.failed(), &fault)),
            };
        self.record(arrival, Name::RecoveryFailed, user, Some(reason));
        Err(arrival.refuse(code))
    }

    /// Proves an address by a link, and records it.
    pub(super) async fn verify(&self, arrival: &Arrival, token: &Secret) -> Result<(), Refused> {
        self.turnstile.admit(arrival, Kind::Verification.purpose(), None).await?;
        let (reason, code) = match self.verification.confirm(token, clock::now()).await {
            Ok(Ok(user)) => {
                self.record(arrival, Name::VerificationCompleted, Some(user), None);
                return Ok(());
            }
            Ok(Err(Unverified::InvalidToken)) => ("invalid_token", Code::InvalidToken),
            Ok(Err(Unverified::Busy)) => ("busy", Code::RateLimited),
            Err(fault) => return Err(arrival.failed(Kind::Verification.failed(), &fault)),
        };
        self.record(arrival, Name::VerificationFailed, None, Some(reason));
        Err(arrival.refuse(code))
    }

    fn record(&self, arrival: &Arrival, name: Name, user: Option<UserId>, reason: Option<&str>) {
        let event = Event { user, reason, ..arrival.event(name) };
        self.audit.record(&event, clock::now());
    }
}
