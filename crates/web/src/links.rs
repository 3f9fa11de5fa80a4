//! Mailed links: `POST /recover`, `/recover/confirm`, `/verify-email`, `/verify-email/confirm`.

use std::sync::Arc;

use axum::extract::{FromRequest as _, Request};
use axum::response::Response;
use axum::routing::post;
use axum::{Router, extract::State};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;

use super::error::Rejection;
use super::extract::Json;
use super::rate_limit::RateLimitGuard;
use super::request_info::RequestInfo;
use super::router::{empty, language};
use guarita_auth::account::{Recovery, Unrecovered, UnverifiedAddress, Verification};
use guarita_auth::rate_limit::{Account, Purpose};
use guarita_core::{Code, EmailAddress, Language, Secret, time};
use guarita_telemetry::Telemetry;
use guarita_telemetry::events::{
    RecoveryCompleted, RecoveryFailed, RecoveryRequested, VerificationCompleted,
    VerificationFailed, VerificationRequested,
};

/// The state of the link endpoints.
#[derive(Clone)]
pub(super) struct LinksState {
    pub(super) recovery: Arc<Recovery>,
    pub(super) verification: Arc<Verification>,
    pub(super) telemetry: Telemetry,
    pub(super) turnstile: RateLimitGuard,
}

/// The purpose of a link.
#[derive(Clone, Copy, Debug)]
pub(super) enum LinkKind {
    /// To set a new password.
    Reset,
    /// To verify the e-mail address.
    Verification,
}

impl LinkKind {
    const fn purpose(self) -> Purpose {
        match self {
            Self::Reset => Purpose::Recover,
            Self::Verification => Purpose::VerifyEmail,
        }
    }

    /// The log message of a fault.
    const fn failed(self) -> &'static str {
        match self {
            Self::Reset => "recovery failed",
            Self::Verification => "verification failed",
        }
    }
}

/// `/recover` and `/verify-email` are also paths of pages, which serve them ([`LinksState::asked`]).
pub(super) fn routes(desk: LinksState) -> Router {
    Router::new()
        .route("/recover/confirm", post(reset))
        .route("/verify-email/confirm", post(verify))
        .with_state(desk)
}

#[derive(Deserialize)]
struct LinkRequest {
    email: Secret,
}

#[derive(Deserialize)]
struct NewPassword {
    token: Secret,
    password: Secret,
}

#[derive(Deserialize)]
struct LinkConfirmRequest {
    token: Secret,
}

async fn reset(
    State(desk): State<LinksState>,
    arrival: RequestInfo,
    headers: HeaderMap,
    Json(given): Json<NewPassword>,
) -> Result<Response, Rejection> {
    desk.reset(&arrival, &given.token, &given.password, language(&headers)).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}

async fn verify(
    State(desk): State<LinksState>,
    arrival: RequestInfo,
    Json(given): Json<LinkConfirmRequest>,
) -> Result<Response, Rejection> {
    desk.verify(&arrival, &given.token).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}

impl LinksState {
    /// `POST` of an address in JSON: always 202, whether or not an account has it.
    pub(super) async fn asked(
        &self,
        arrival: &RequestInfo,
        kind: LinkKind,
        request: Request,
    ) -> Result<Response, Rejection> {
        let language = language(request.headers());
        let Json(LinkRequest { email }) = Json::from_request(request, &()).await?;
        self.ask(arrival, kind, email.expose(), language).await?;
        Ok(empty(StatusCode::ACCEPTED))
    }

    /// Requests a link, and records it.
    pub(super) async fn ask(
        &self,
        arrival: &RequestInfo,
        kind: LinkKind,
        email: &str,
        language: Option<Language>,
    ) -> Result<(), Rejection> {
        let folded = EmailAddress::fold(email);
        self.turnstile.check(arrival, kind.purpose(), Some(Account::Name(&folded))).await?;
        let asked = match kind {
            LinkKind::Reset => self.recovery.request(email, language, time::now()).await,
            LinkKind::Verification => self.verification.request(email, language, time::now()).await,
        };
        match asked {
            Ok(Ok(user)) => {
                let (origin, now) = (arrival.origin(), time::now());
                match kind {
                    LinkKind::Reset => {
                        RecoveryRequested { origin, user }.emit(&self.telemetry, now);
                    }
                    LinkKind::Verification => {
                        VerificationRequested { origin, user }.emit(&self.telemetry, now);
                    }
                }
                Ok(())
            }
            Ok(Err(_busy)) => Err(arrival.refuse(Code::RateLimited)),
            Err(fault) => Err(arrival.failed(kind.failed(), &fault)),
        }
    }

    /// Sets a new password with a link, and records it.
    pub(super) async fn reset(
        &self,
        arrival: &RequestInfo,
        token: &Secret,
        password: &Secret,
        language: Option<Language>,
    ) -> Result<(), Rejection> {
        self.turnstile.check(arrival, LinkKind::Reset.purpose(), None).await?;
        let (user, reason, code) =
            match self.recovery.confirm(token, password, language, time::now()).await {
                Ok(Ok(user)) => {
                    let origin = arrival.origin();
                    RecoveryCompleted { origin, user }.emit(&self.telemetry, time::now());
                    return Ok(());
                }
                Ok(Err(Unrecovered::InvalidToken)) => (None, "invalid_token", Code::InvalidToken),
                Ok(Err(Unrecovered::WeakPassword(user, _))) => {
                    (Some(user), "weak_password", Code::WeakPassword)
                }
                Ok(Err(Unrecovered::Busy)) => (None, "busy", Code::RateLimited),
                Err(fault) => return Err(arrival.failed(LinkKind::Reset.failed(), &fault)),
            };
        let origin = arrival.origin();
        RecoveryFailed { origin, user, reason }.emit(&self.telemetry, time::now());
        Err(arrival.refuse(code))
    }

    /// Verifies an address with a link, and records it.
    pub(super) async fn verify(
        &self,
        arrival: &RequestInfo,
        token: &Secret,
    ) -> Result<(), Rejection> {
        self.turnstile.check(arrival, LinkKind::Verification.purpose(), None).await?;
        let (reason, code) = match self.verification.confirm(token, time::now()).await {
            Ok(Ok(user)) => {
                let origin = arrival.origin();
                VerificationCompleted { origin, user }.emit(&self.telemetry, time::now());
                return Ok(());
            }
            Ok(Err(UnverifiedAddress::InvalidToken)) => ("invalid_token", Code::InvalidToken),
            Ok(Err(UnverifiedAddress::Busy)) => ("busy", Code::RateLimited),
            Err(fault) => return Err(arrival.failed(LinkKind::Verification.failed(), &fault)),
        };
        let origin = arrival.origin();
        VerificationFailed { origin, reason }.emit(&self.telemetry, time::now());
        Err(arrival.refuse(code))
    }
}
