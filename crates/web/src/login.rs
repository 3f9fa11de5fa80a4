//! `POST /auth/login`, `POST /auth/token`.

use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Router, extract::State};
use http::{HeaderMap, header};
use serde::{Deserialize, Serialize};

use super::cookie::{self, Cookie};
use super::device;
use super::error::Rejection;
use super::exposed_secret::ExposedSecret;
use super::extract::Json;
use super::rate_limit::RateLimitGuard;
use super::request_info::RequestInfo;
use super::router::no_store;
use super::sessions;
use guarita_auth::login::{
    Identifier, IssuedCredential, LoggedIn, Login, LoginRejection, LoginRequest, SessionKind,
    Tokens,
};
use guarita_core::http::cookies::SESSION;
use guarita_core::{Code, Secret, time};
use guarita_telemetry::Telemetry;
use guarita_telemetry::events::{
    LoginFailed, LoginLocked, LoginPending, LoginRateLimited, LoginSucceeded,
};

/// The state of the login endpoints.
#[derive(Clone)]
pub(super) struct LoginState {
    pub(super) login: Arc<Login>,
    pub(super) telemetry: Telemetry,
    pub(super) turnstile: RateLimitGuard,
    pub(super) sessions: sessions::SessionsState,
}

pub(super) fn routes(desk: LoginState) -> Router {
    Router::new()
        .route("/auth/login", post(login))
        .route("/auth/token", post(token))
        .with_state(desk)
}

#[derive(Deserialize)]
struct LoginBody {
    username: Option<String>,
    email: Option<String>,
    password: Secret,
    /// Whether to open a cookie session instead of issuing tokens.
    #[serde(default)]
    cookie: bool,
}

impl LoginBody {
    fn take(self, arrival: &RequestInfo) -> Result<(Identifier, Secret), Rejection> {
        let identifier = match (self.username, self.email) {
            (Some(username), None) => Identifier::Username(username),
            (None, Some(email)) => Identifier::Email(email),
            (Some(_), Some(_)) | (None, None) => return Err(arrival.refuse(Code::InvalidBody)),
        };
        Ok((identifier, self.password))
    }
}

/// The access and refresh token in the response of login and refresh.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Pair {
    access_token: ExposedSecret,
    refresh_token: Option<ExposedSecret>,
    token_type: &'static str,
    expires_in: u64,
    sid: String,
    /// Present only if true: the session can only use `/auth/mfa/totp/enroll` and `/confirm`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    mfa_enrollment_required: bool,
}

impl From<Tokens> for Pair {
    fn from(tokens: Tokens) -> Self {
        Self {
            access_token: ExposedSecret(tokens.access_token),
            refresh_token: tokens.refresh_token.map(ExposedSecret),
            token_type: "Bearer",
            expires_in: tokens.expires_in.as_secs(),
            sid: tokens.session.to_string(),
            mfa_enrollment_required: tokens.half_proven,
        }
    }
}

#[derive(Serialize)]
struct AccessToken {
    access_token: ExposedSecret,
    token_type: &'static str,
    expires_in: u64,
}

async fn login(
    State(desk): State<LoginState>,
    arrival: RequestInfo,
    headers: HeaderMap,
    Json(credentials): Json<LoginBody>,
) -> Result<Response, Rejection> {
    let opens = if credentials.cookie { SessionKind::Cookie } else { SessionKind::Tokens };
    let (identifier, password) = credentials.take(&arrival)?;
    let logged_in = desk.attempt(&arrival, &headers, identifier, password, opens).await?;
    Ok(login_response(logged_in))
}

#[derive(Serialize)]
struct LoginResponse {
    sid: String,
}

/// The response to a successful login, with the cookies of the session and of the known device.
pub(super) fn login_response(logged_in: LoggedIn) -> Response {
    let LoggedIn { session, key, device, user: _ } = logged_in;
    let (mut response, cookie) = match key {
        IssuedCredential::Cookie(cookie) => {
            (axum::Json(LoginResponse { sid: session.to_string() }).into_response(), Some(cookie))
        }
        IssuedCredential::Tokens(tokens) => (axum::Json(Pair::from(tokens)).into_response(), None),
    };
    set_cookies(&mut response, cookie.as_ref(), device.as_ref());
    no_store(response)
}

/// Sets the cookies of the session and of the known device.
pub(super) fn set_cookies(
    response: &mut Response,
    session: Option<&Secret>,
    device: Option<&Secret>,
) {
    let session = session.and_then(|cookie| Cookie::new(SESSION).field(cookie.expose()));
    cookie::set(response, session);
    cookie::set(response, device.and_then(device::field));
}

async fn token(
    State(desk): State<LoginState>,
    arrival: RequestInfo,
    headers: HeaderMap,
    Json(credentials): Json<LoginBody>,
) -> Result<Response, Rejection> {
    let (identifier, password) = credentials.take(&arrival)?;
    let opens = SessionKind::AccessToken;
    let logged_in = desk.attempt(&arrival, &headers, identifier, password, opens).await?;
    let IssuedCredential::Tokens(tokens) = logged_in.key else {
        return Err(arrival.refuse(Code::Internal));
    };
    let answer = AccessToken {
        access_token: ExposedSecret(tokens.access_token),
        token_type: "Bearer",
        expires_in: tokens.expires_in.as_secs(),
    };
    Ok(no_store(axum::Json(answer).into_response()))
}

impl LoginState {
    /// Logs in, and records the result.
    pub(super) async fn attempt(
        &self,
        arrival: &RequestInfo,
        headers: &HeaderMap,
        identifier: Identifier,
        password: Secret,
        opens: SessionKind,
    ) -> Result<LoggedIn, Rejection> {
        let user_agent = headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok());
        let attempt = LoginRequest {
            identifier,
            password,
            opens,
            device: device::presented(headers),
            address: Some(arrival.client),
            user_agent: user_agent.map(str::to_owned),
        };
        match self.login.attempt(attempt, &arrival.snapshot, time::now()).await {
            Ok(Ok(logged_in)) => {
                let LoggedIn { user, session, .. } = logged_in;
                LoginSucceeded { origin: arrival.origin(), user, session, by_provider: false }
                    .emit(&self.telemetry, time::now());
                self.sessions.replace(arrival, logged_in.cookie()).await;
                Ok(logged_in)
            }
            Ok(Err(refusal)) => Err(self.refused(arrival, refusal)),
            Err(fault) => Err(arrival.failed("login failed", &fault)),
        }
    }

    fn refused(&self, arrival: &RequestInfo, refusal: LoginRejection) -> Rejection {
        match refusal {
            LoginRejection::InvalidCredentials => {
                self.failed(arrival, "invalid_credentials");
                arrival.refuse(Code::InvalidCredentials)
            }
            LoginRejection::Locked { retry_after } => {
                let origin = arrival.origin();
                LoginLocked { origin }.emit(&self.telemetry, time::now());
                arrival.refuse(Code::Locked).retry_after(retry_after)
            }
            LoginRejection::RateLimited(limited) => {
                LoginRateLimited.emit(&self.telemetry);
                self.turnstile.refuse(arrival, limited)
            }
            LoginRejection::EmailUnverified => {
                self.failed(arrival, "email_unverified");
                arrival.refuse(Code::EmailUnverified)
            }
            LoginRejection::SecondFactorRequired { ticket } => {
                LoginPending.emit(&self.telemetry);
                arrival.refuse(Code::MfaRequired).mfa_token(ticket)
            }
            LoginRejection::Busy => {
                self.failed(arrival, "busy");
                arrival.refuse(Code::RateLimited)
            }
            LoginRejection::OutOfReach => {
                self.failed(arrival, "unavailable");
                arrival.refuse(Code::Unavailable)
            }
        }
    }

    fn failed(&self, arrival: &RequestInfo, reason: &'static str) {
        LoginFailed { origin: arrival.origin(), reason }.emit(&self.telemetry, time::now());
    }
}
