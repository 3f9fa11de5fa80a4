//! `POST /auth/mfa/*`.

use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Router, extract::State};
use http::StatusCode;
use serde::Deserialize;
use serde_json::json;

use super::error::Rejection;
use super::extract::Json;
use super::rate_limit::RateLimitGuard;
use super::request_info::RequestInfo;
use super::router::no_store;
use super::sessions;
use guarita_auth::login::{
    Challenge, ChallengeError, EnrolmentError, SecondFactorCode, TotpEnrolment,
};
use guarita_auth::login::{Enrolment, LoggedIn, LoginRejection, SecondFactor, SecondFactorError};
use guarita_auth::rate_limit::{Account, Purpose};
use guarita_core::{Code, Secret, SessionId, UserId, time};
use guarita_telemetry::Telemetry;
use guarita_telemetry::events::{
    ChallengeFailed, ChallengeLocked, ChallengeReplayed, ChallengeSucceeded, EnrolmentConfirmed,
    EnrolmentDisabled, EnrolmentRefused, EnrolmentStarted, LoginSucceeded, RecoveryCodesRenewed,
};

/// The log message of a fault.
const FAILED: &str = "second factor failed";

/// The state of the second factor endpoints.
#[derive(Clone)]
pub(super) struct MfaState {
    pub(super) enrol: Arc<TotpEnrolment>,
    pub(super) factor: Arc<SecondFactor>,
    pub(super) challenge: Arc<Challenge>,
    pub(super) telemetry: Telemetry,
    pub(super) turnstile: RateLimitGuard,
    pub(super) sessions: sessions::SessionsState,
}

pub(super) fn routes(desk: MfaState) -> Router {
    Router::new()
        .route("/auth/mfa/totp/enroll", post(enroll))
        .route("/auth/mfa/totp/confirm", post(confirm))
        .route("/auth/mfa/totp/disable", post(disable))
        .route("/auth/mfa/recovery-codes", post(recovery_codes))
        .route("/auth/mfa/challenge", post(challenge))
        .with_state(desk)
}

#[derive(Deserialize)]
struct Beginning {
    password: Option<Secret>,
}

#[derive(Deserialize)]
struct Confirmation {
    code: Secret,
}

/// A session alone may be stolen, so changing a second factor requires a code.
#[derive(Deserialize)]
struct FactorProofRequest {
    #[serde(default)]
    method: Method,
    code: Option<Secret>,
}

#[derive(Deserialize, Default, Clone, Copy)]
#[serde(rename_all = "snake_case")]
enum Method {
    #[default]
    Totp,
    RecoveryCode,
}

impl FactorProofRequest {
    fn answer(self, arrival: &RequestInfo) -> Result<SecondFactorCode, Rejection> {
        let code = self.code.ok_or_else(|| arrival.refuse(Code::ProofRequired))?;
        Ok(self.method.answer(code))
    }
}

impl Method {
    fn answer(self, code: Secret) -> SecondFactorCode {
        match self {
            Self::Totp => SecondFactorCode::Totp(code),
            Self::RecoveryCode => SecondFactorCode::RecoveryCode(code),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Completion {
    mfa_token: Secret,
    method: Method,
    code: Secret,
}

async fn enroll(
    State(desk): State<MfaState>,
    arrival: RequestInfo,
    Json(Beginning { password }): Json<Beginning>,
) -> Result<Response, Rejection> {
    let enrolment = desk.begin(&arrival, password.as_ref()).await?;
    let body = json!({
        "secret": enrolment.secret.expose(),
        "otpauthUri": enrolment.uri.expose(),
        "qrSvg": enrolment.qr_svg.expose(),
    });
    Ok(no_store(axum::Json(body).into_response()))
}

async fn confirm(
    State(desk): State<MfaState>,
    arrival: RequestInfo,
    Json(Confirmation { code }): Json<Confirmation>,
) -> Result<Response, Rejection> {
    Ok(recovery_codes_response(&desk.confirm(&arrival, &code).await?))
}

async fn recovery_codes(
    State(desk): State<MfaState>,
    arrival: RequestInfo,
    Json(proof): Json<FactorProofRequest>,
) -> Result<Response, Rejection> {
    let answer = proof.answer(&arrival)?;
    let (user, session) = desk.changing(&arrival).await?;
    let codes = desk.factor.renew_recovery_codes(user, &answer, time::now()).await;
    let codes = desk.finish(&arrival, user, codes)?;
    RecoveryCodesRenewed { origin: arrival.origin(), user, session }
        .emit(&desk.telemetry, time::now());
    Ok(recovery_codes_response(&codes))
}

fn recovery_codes_response(codes: &[Secret]) -> Response {
    let codes: Vec<_> = codes.iter().map(Secret::expose).collect();
    no_store(axum::Json(json!({ "recoveryCodes": codes })).into_response())
}

async fn disable(
    State(desk): State<MfaState>,
    arrival: RequestInfo,
    Json(proof): Json<FactorProofRequest>,
) -> Result<StatusCode, Rejection> {
    let answer = proof.answer(&arrival)?;
    desk.disable(&arrival, &answer).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn challenge(
    State(desk): State<MfaState>,
    arrival: RequestInfo,
    Json(completion): Json<Completion>,
) -> Result<Response, Rejection> {
    let answer = completion.method.answer(completion.code);
    Ok(super::login::login_response(desk.complete(&arrival, &completion.mfa_token, &answer).await?))
}

impl MfaState {
    fn finish<T, F: std::fmt::Display>(
        &self,
        arrival: &RequestInfo,
        user: UserId,
        outcome: Result<Result<T, SecondFactorError>, F>,
    ) -> Result<T, Rejection> {
        match outcome {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(unproven)) => Err(self.unproven(arrival, user, unproven)),
            Err(fault) => Err(arrival.failed(FAILED, &fault)),
        }
    }

    /// The caller that changes its second factor.
    async fn changing(&self, arrival: &RequestInfo) -> Result<(UserId, SessionId), Rejection> {
        let (user, session) = arrival.signed_in()?;
        self.turnstile.check(arrival, Purpose::Mfa, Some(Account::User(user))).await?;
        Ok((user, session))
    }

    /// Whether second factors are configured.
    pub(super) fn is_available(&self) -> bool {
        self.factor.is_available()
    }

    /// Starts an enrolment.
    pub(super) async fn begin(
        &self,
        arrival: &RequestInfo,
        password: Option<&Secret>,
    ) -> Result<Enrolment, Rejection> {
        let (user, session) = arrival.session_pending_mfa()?;
        self.turnstile.check(arrival, Purpose::Mfa, Some(Account::User(user))).await?;
        let begun = self.enrol.begin(user, session, password, &arrival.snapshot, time::now()).await;
        let begun = begun.map_err(|fault| arrival.failed(FAILED, &fault))?;
        let enrolment = begun.map_err(|not_begun| self.not_begun(arrival, user, not_begun))?;
        let origin = arrival.origin();
        EnrolmentStarted { origin, user, session }.emit(&self.telemetry, time::now());
        Ok(enrolment)
    }

    /// Confirms an enrolment; returns the recovery codes.
    pub(super) async fn confirm(
        &self,
        arrival: &RequestInfo,
        code: &Secret,
    ) -> Result<Vec<Secret>, Rejection> {
        let (user, session) = arrival.session_pending_mfa()?;
        self.turnstile.check(arrival, Purpose::Mfa, Some(Account::User(user))).await?;
        let codes = self.factor.confirm(user, session, code, time::now()).await;
        let codes = self.finish(arrival, user, codes)?;
        let origin = arrival.origin();
        EnrolmentConfirmed { origin, user, session }.emit(&self.telemetry, time::now());
        Ok(codes)
    }

    /// Removes the second factor.
    pub(super) async fn disable(
        &self,
        arrival: &RequestInfo,
        answer: &SecondFactorCode,
    ) -> Result<(), Rejection> {
        let (user, session) = self.changing(arrival).await?;
        let disabled = self.factor.disable(user, answer, time::now()).await;
        self.finish(arrival, user, disabled)?;
        let origin = arrival.origin();
        EnrolmentDisabled { origin, user, session }.emit(&self.telemetry, time::now());
        Ok(())
    }

    /// The second step of a login.
    pub(super) async fn complete(
        &self,
        arrival: &RequestInfo,
        ticket: &Secret,
        answer: &SecondFactorCode,
    ) -> Result<LoggedIn, Rejection> {
        self.turnstile.check(arrival, Purpose::Mfa, None).await?;
        let snapshot = &arrival.snapshot;
        match self.challenge.complete(ticket, answer, snapshot, time::now()).await {
            Ok(Ok(logged_in)) => {
                let (origin, now) = (arrival.origin(), time::now());
                let LoggedIn { user, session, .. } = logged_in;
                ChallengeSucceeded { origin, user, session }.emit(&self.telemetry, now);
                LoginSucceeded { origin, user, session, by_provider: false }
                    .emit(&self.telemetry, now);
                self.sessions.replace(arrival, logged_in.cookie()).await;
                Ok(logged_in)
            }
            Ok(Err(failure)) => Err(self.failed(arrival, failure)),
            Err(fault) => Err(arrival.failed(FAILED, &fault)),
        }
    }

    fn not_begun(
        &self,
        arrival: &RequestInfo,
        user: UserId,
        not_begun: EnrolmentError,
    ) -> Rejection {
        let (refused, reason) = match not_begun {
            EnrolmentError::Unproven(unproven) => return self.unproven(arrival, user, unproven),
            EnrolmentError::ProofRequired => {
                (arrival.refuse(Code::ProofRequired), Some("proof_required"))
            }
            EnrolmentError::Refused(refusal) => self.turnstile.refuse_password(arrival, refusal),
        };
        if let Some(reason) = reason {
            let origin = arrival.origin();
            EnrolmentRefused { origin, user, reason }.emit(&self.telemetry, time::now());
        }
        refused
    }

    fn failed(&self, arrival: &RequestInfo, failure: ChallengeError) -> Rejection {
        let (user, reason, refused) = match failure {
            ChallengeError::Unproven(user, unproven) => {
                return self.unproven(arrival, user, unproven);
            }
            ChallengeError::InvalidTicket => {
                (None, "invalid_mfa_token", arrival.refuse(Code::InvalidMfaToken))
            }
            ChallengeError::Refused(user, LoginRejection::Locked { retry_after }) => {
                (Some(user), "locked", arrival.refuse(Code::Locked).retry_after(retry_after))
            }
            ChallengeError::OutOfReach | ChallengeError::Refused(_, LoginRejection::OutOfReach) => {
                (None, "unavailable", arrival.refuse(Code::Unavailable))
            }
            ChallengeError::Refused(_, LoginRejection::RateLimited(limited)) => {
                return self.turnstile.refuse(arrival, limited);
            }
            ChallengeError::Refused(
                user,
                LoginRejection::InvalidCredentials
                | LoginRejection::Busy
                | LoginRejection::EmailUnverified
                | LoginRejection::SecondFactorRequired { .. },
            ) => (Some(user), "overtaken", arrival.refuse(Code::InvalidMfaToken)),
        };
        let origin = arrival.origin();
        ChallengeFailed { origin, user, reason }.emit(&self.telemetry, time::now());
        refused
    }

    fn unproven(
        &self,
        arrival: &RequestInfo,
        user: UserId,
        unproven: SecondFactorError,
    ) -> Rejection {
        let (origin, now) = (arrival.origin(), time::now());
        match unproven {
            SecondFactorError::Unavailable => arrival.refuse(Code::MfaUnavailable),
            SecondFactorError::AlreadyActive => arrival.refuse(Code::MfaActive),
            SecondFactorError::NotEnrolled => arrival.refuse(Code::MfaNotEnrolled),
            SecondFactorError::InvalidCode => {
                ChallengeFailed { origin, user: Some(user), reason: "failed" }
                    .emit(&self.telemetry, now);
                arrival.refuse(Code::InvalidCode)
            }
            SecondFactorError::Replayed => {
                ChallengeReplayed { origin, user }.emit(&self.telemetry, now);
                arrival.refuse(Code::InvalidCode)
            }
            SecondFactorError::Locked { retry_after } => {
                ChallengeLocked { origin, user }.emit(&self.telemetry, now);
                arrival.refuse(Code::Locked).retry_after(retry_after)
            }
        }
    }
}
