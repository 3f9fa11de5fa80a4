//! `GET /auth/sessions`, `DELETE /auth/sessions/{sid}` (contract section 6): the caller's own.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get};
use axum::{Json, Router};
use http::StatusCode;
use serde::Serialize;

use super::arrival::Arrival;
use super::refusal::Refused;
use super::router::no_store;
use crate::adapters::telemetry::{Audit, Event, Name};
use crate::model::{Code, Principal, SessionId, UserId, clock};
use crate::services::session::{Session, Sessions, Unknowable};

/// What a list of sessions takes.
#[derive(Clone)]
pub(super) struct Desk {
    pub(super) sessions: Arc<Sessions>,
    pub(super) audit: Audit,
}

pub(super) fn routes(desk: Desk) -> Router {
    Router::new()
        .route("/auth/sessions", get(list))
        .route("/auth/sessions/{sid}", delete(end))
        .with_state(desk)
}

#[derive(Serialize)]
struct Listed {
    sessions: Vec<Row>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    sid: String,
    created_at: String,
    last_used_at: String,
    expires_at: String,
    address: Option<String>,
    user_agent: Option<String>,
    current: bool,
}

impl Row {
    fn of(session: Session, current: Option<SessionId>) -> Self {
        Self {
            sid: session.id.to_string(),
            created_at: session.created_at.rfc3339(),
            last_used_at: session.last_used_at.rfc3339(),
            expires_at: session.expires_at.rfc3339(),
            current: Some(session.id) == current,
            address: session.address,
            user_agent: session.user_agent,
        }
    }
}

async fn list(State(desk): State<Desk>, arrival: Arrival) -> Result<Response, Refused> {
    let (user, current) = caller(&arrival, arrival.enrolling())?;
    let found = desk.sessions.list(user, clock::now()).await;
    let found = found.map_err(|Unknowable| arrival.refuse(Code::Unavailable))?;
    let sessions = found.into_iter().map(|session| Row::of(session, current)).collect();
    Ok(no_store(Json(Listed { sessions }).into_response()))
}

/// 204 also where it is over already; 404 for what is not the caller's, as for what never was.
async fn end(
    State(desk): State<Desk>,
    arrival: Arrival,
    Path(sid): Path<String>,
) -> Result<StatusCode, Refused> {
    let (user, _) = caller(&arrival, arrival.principal.as_ref())?;
    let unavailable = |Unknowable| arrival.refuse(Code::Unavailable);
    let Some(sid) = SessionId::parse(&sid) else { return Err(arrival.refuse(Code::NotFound)) };
    let found = desk.sessions.find(sid).await.map_err(unavailable)?;
    if found.is_none_or(|session| session.user != user) {
        return Err(arrival.refuse(Code::NotFound));
    }
    desk.sessions.revoke(sid, clock::now()).await.map_err(unavailable)?;
    let event = Event {
        request_id: Some(&arrival.request_id),
        user: Some(user),
        session: Some(sid),
        address: Some(arrival.client),
        ..Event::new(Name::Logout)
    };
    desk.audit.record(&event, clock::now());
    Ok(StatusCode::NO_CONTENT)
}

/// A local account; nobody else has sessions here.
fn caller(
    arrival: &Arrival,
    principal: Option<&Principal>,
) -> Result<(UserId, Option<SessionId>), Refused> {
    let identity = principal.map(Principal::identity);
    identity
        .and_then(|identity| Some((identity.user()?, identity.session())))
        .ok_or_else(|| arrival.refuse(Code::Unauthorized))
}
