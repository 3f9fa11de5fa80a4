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
use crate::model::{Code, Secret, SessionId, Source, UserId, clock};
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
    fn of(session: Session, current: SessionId) -> Self {
        Self {
            sid: session.id.to_string(),
            created_at: session.created_at.rfc3339(),
            last_used_at: session.last_used_at.rfc3339(),
            expires_at: session.expires_at.rfc3339(),
            current: session.id == current,
            address: session.address,
            user_agent: session.user_agent,
        }
    }
}

async fn list(State(desk): State<Desk>, arrival: Arrival) -> Result<Response, Refused> {
    let (found, current) = desk.of_caller(&arrival).await?;
    let sessions = found.into_iter().map(|session| Row::of(session, current)).collect();
    Ok(no_store(Json(Listed { sessions }).into_response()))
}

async fn end(
    State(desk): State<Desk>,
    arrival: Arrival,
    Path(sid): Path<String>,
) -> Result<StatusCode, Refused> {
    desk.end(&arrival, &sid).await.map(|()| StatusCode::NO_CONTENT)
}

impl Desk {
    /// The caller's sessions, and the one that it comes with.
    pub(super) async fn of_caller(
        &self,
        arrival: &Arrival,
    ) -> Result<(Vec<Session>, SessionId), Refused> {
        let (user, current) = arrival.half_signed_in()?;
        let found = self.sessions.list(user, clock::now()).await;
        Ok((found.map_err(|Unknowable| arrival.refuse(Code::Unavailable))?, current))
    }

    /// Ends one. Fine also where it is over already; 404 for what is not the caller's, as for what
    /// never was.
    pub(super) async fn end(&self, arrival: &Arrival, sid: &str) -> Result<(), Refused> {
        let (user, _) = arrival.signed_in()?;
        let unavailable = |Unknowable| arrival.refuse(Code::Unavailable);
        let Some(sid) = SessionId::parse(sid) else { return Err(arrival.refuse(Code::NotFound)) };
        let found = self.sessions.find(sid).await.map_err(unavailable)?;
        if found.is_none_or(|session| session.user != user) {
            return Err(arrival.refuse(Code::NotFound));
        }
        self.sessions.revoke(sid, clock::now()).await.map_err(unavailable)?;
        self.record(arrival, Name::Logout, Some(sid), Some(user));
        Ok(())
    }

    /// Ends the one that the caller comes with.
    pub(super) async fn sign_out(&self, arrival: &Arrival) -> Result<(), Refused> {
        let (user, session) = arrival.half_signed_in()?;
        let ended = self.sessions.revoke(session, clock::now()).await;
        ended.map_err(|Unknowable| arrival.refuse(Code::Unavailable))?;
        self.record(arrival, Name::Logout, Some(session), Some(user));
        Ok(())
    }

    /// A browser that signs in anew holds the new session only: the one that it came with ends (ASVS
    /// 7.2.4).
    pub(super) async fn replace(&self, arrival: &Arrival, cookie: Option<&Secret>) {
        let caller = arrival.enrolling().map(|caller| caller.identity().source());
        if cookie.is_some() && caller == Some(Source::Session) {
            // Why it could not end is in the log; whoever signed in is signed in.
            drop(self.sign_out(arrival).await);
        }
    }

    /// Ends all of the caller's.
    pub(super) async fn end_all(&self, arrival: &Arrival) -> Result<(), Refused> {
        let (user, _) = arrival.signed_in()?;
        let marks = arrival.principal.as_ref().and_then(|caller| caller.identity().marks());
        let ended = self.sessions.revoke_all(user, marks.map(Arc::as_ref), clock::now()).await;
        ended.map_err(|Unknowable| arrival.refuse(Code::Unavailable))?;
        self.record(arrival, Name::LogoutAll, None, Some(user));
        Ok(())
    }

    /// Writes down what ended; of the caller where no user is named.
    pub(super) fn record(
        &self,
        arrival: &Arrival,
        name: Name,
        session: Option<SessionId>,
        user: Option<UserId>,
    ) {
        let caller = arrival.enrolling().and_then(|caller| caller.identity().user());
        let user = user.or(caller);
        let event = Event { user, session, ..arrival.event(name) };
        self.audit.record(&event, clock::now());
    }
}
