//! `POST /auth/password`: changes the password, with the current password.

use std::sync::Arc;

use axum::extract::{FromRequest as _, Request};
use axum::response::Response;
use axum::routing::post;
use axum::{Router, extract::State};
use http::StatusCode;
use serde::Deserialize;

use super::error::Rejection;
use super::extract::Json;
use super::rate_limit::RateLimitGuard;
use super::request_info::RequestInfo;
use super::router::{empty, language};
use guarita_auth::account::{PasswordChange, PasswordChangeRequest, Unchanged};
use guarita_core::{Code, Language, Secret, SessionId, UserId, time};
use guarita_telemetry::Telemetry;
use guarita_telemetry::events::{PasswordChanged, PasswordRefused};

/// The state of the password endpoint.
#[derive(Clone)]
pub(super) struct PasswordState {
    pub(super) password: Arc<PasswordChange>,
    pub(super) telemetry: Telemetry,
    pub(super) turnstile: RateLimitGuard,
}

pub(super) fn routes(desk: PasswordState) -> Router {
    Router::new().route("/auth/password", post(change)).with_state(desk)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PasswordBody {
    current_password: Secret,
    new_password: Secret,
}

async fn change(
    State(desk): State<PasswordState>,
    arrival: RequestInfo,
    request: Request,
) -> Result<Response, Rejection> {
    // Whoever is nobody hears that first, whatever the body.
    arrival.signed_in()?;
    let language = language(request.headers()).unwrap_or_default();
    let Json(given) = Json::<PasswordBody>::from_request(request, &()).await?;
    desk.change(&arrival, &given.current_password, &given.new_password, language).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}

impl PasswordState {
    /// Changes the caller's password, and records it.
    pub(super) async fn change(
        &self,
        arrival: &RequestInfo,
        current: &Secret,
        new: &Secret,
        language: Language,
    ) -> Result<(), Rejection> {
        let (user, session) = arrival.signed_in()?;
        let change = PasswordChangeRequest { user, session, current, new, language };
        match self.password.change(change, &arrival.snapshot, time::now()).await {
            Ok(Ok(())) => {
                let origin = arrival.origin();
                PasswordChanged { origin, user, session }.emit(&self.telemetry, time::now());
                Ok(())
            }
            Ok(Err(unchanged)) => Err(self.refused(arrival, user, session, unchanged)),
            Err(fault) => Err(arrival.failed("changing a password failed", &fault)),
        }
    }

    fn refused(
        &self,
        arrival: &RequestInfo,
        user: UserId,
        session: SessionId,
        unchanged: Unchanged,
    ) -> Rejection {
        let (refused, reason) = match unchanged {
            Unchanged::Weak(_) => (arrival.refuse(Code::WeakPassword), Some("weak_password")),
            Unchanged::Refused(refusal) => self.turnstile.refuse_password(arrival, refusal),
        };
        if let Some(reason) = reason {
            PasswordRefused { origin: arrival.origin(), user, session, reason }
                .emit(&self.telemetry, time::now());
        }
        refused
    }
}
