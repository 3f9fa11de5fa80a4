//! `POST /auth/password`: another password by the one in force.

use std::sync::Arc;

use axum::extract::{FromRequest as _, Request};
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
use crate::model::{Code, Language, Principal, Secret, SessionId, UserId, clock};
use crate::services::account::{Change, PasswordChange, Unchanged};
use crate::services::login::Refusal;

/// What a change takes.
#[derive(Clone)]
pub(super) struct Desk {
    pub(super) password: Arc<PasswordChange>,
    pub(super) audit: Audit,
    pub(super) turnstile: Turnstile,
}

pub(super) fn routes(desk: Desk) -> Router {
    Router::new().route("/auth/password", post(change)).with_state(desk)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Given {
    current_password: Secret,
    new_password: Secret,
}

async fn change(
    State(desk): State<Desk>,
    arrival: Arrival,
    request: Request,
) -> Result<Response, Refused> {
    // Whoever is nobody hears that first, whatever the body.
    caller(&arrival)?;
    let language = language(request.headers()).unwrap_or_default();
    let Json(given) = Json::<Given>::from_request(request, &()).await?;
    desk.change(&arrival, &given.current_password, &given.new_password, language).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}

impl Desk {
    /// Changes the caller's password, and records it.
    pub(super) async fn change(
        &self,
        arrival: &Arrival,
        current: &Secret,
        new: &Secret,
        language: Language,
    ) -> Result<(), Refused> {
        let (user, session) = caller(arrival)?;
        let change = Change { user, session, current, new, language };
        match self.password.change(change, clock::now()).await {
            Ok(Ok(())) => {
                self.record(arrival, user, session, None);
                Ok(())
            }
            Ok(Err(unchanged)) => Err(self.refused(arrival, user, session, unchanged)),
            Err(fault) => {
                tracing::error!(requestId = &*arrival.request_id, %fault, "a change of password failed");
                Err(arrival.refuse(Code::Unavailable))
            }
        }
    }

    fn refused(
        &self,
        arrival: &Arrival,
        user: UserId,
        session: SessionId,
        unchanged: Unchanged,
    ) -> Refused {
        let (reason, refused) = match unchanged {
            Unchanged::Weak(_) => ("weak_password", arrival.refuse(Code::WeakPassword)),
            Unchanged::Refused(Refusal::RateLimited(limited)) => {
                return self.turnstile.refuse(arrival, limited);
            }
            Unchanged::Refused(Refusal::Locked { retry_after }) => {
                ("locked", arrival.refuse(Code::Locked).retry_after(retry_after))
            }
            Unchanged::Refused(Refusal::Busy) => ("busy", arrival.refuse(Code::RateLimited)),
            Unchanged::Refused(
                Refusal::InvalidCredentials
                | Refusal::EmailUnverified
                | Refusal::SecondFactorRequired { .. },
            ) => ("invalid_credentials", arrival.refuse(Code::InvalidCredentials)),
        };
        self.record(arrival, user, session, Some(reason));
        refused
    }

    fn record(&self, arrival: &Arrival, user: UserId, session: SessionId, refused: Option<&str>) {
        let name = match refused {
            None => Name::PasswordChanged,
            Some(_) => Name::PasswordUnchanged,
        };
        let event = Event {
            request_id: Some(&arrival.request_id),
            user: Some(user),
            session: Some(session),
            address: Some(arrival.client),
            reason: refused,
            ..Event::new(name)
        };
        self.audit.record(&event, clock::now());
    }
}

/// A session of a local account; nobody else has a password here.
fn caller(arrival: &Arrival) -> Result<(UserId, SessionId), Refused> {
    let identity = arrival.principal.as_ref().map(Principal::identity);
    identity
        .and_then(|identity| Some((identity.user()?, identity.session()?)))
        .ok_or_else(|| arrival.refuse(Code::Unauthorized))
}
