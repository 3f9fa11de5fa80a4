//! `GET /auth/sessions`, `DELETE /auth/sessions/{sid}`: the caller's own sessions.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get};
use axum::{Json, Router};
use http::StatusCode;
use serde::Serialize;

use super::error::Rejection;
use super::request_info::RequestInfo;
use super::router::no_store;
use guarita_auth::session::{Sessions, StatusUnavailable, StoredSession};
use guarita_core::{Code, Secret, SessionId, Source, UserId, time};
use guarita_telemetry::Telemetry;
use guarita_telemetry::events::{LoggedOut, LoggedOutEverywhere};

/// The state of the session endpoints.
#[derive(Clone)]
pub(super) struct SessionsState {
    pub(super) sessions: Arc<Sessions>,
    pub(super) telemetry: Telemetry,
}

pub(super) fn routes(desk: SessionsState) -> Router {
    Router::new()
        .route("/auth/sessions", get(list))
        .route("/auth/sessions/{sid}", delete(end))
        .with_state(desk)
}

#[derive(Serialize)]
struct SessionList {
    sessions: Vec<SessionItem>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SessionItem {
    sid: String,
    created_at: String,
    last_used_at: String,
    expires_at: String,
    address: Option<String>,
    user_agent: Option<String>,
    current: bool,
}

impl SessionItem {
    fn of(session: StoredSession, current: SessionId) -> Self {
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

async fn list(
    State(desk): State<SessionsState>,
    arrival: RequestInfo,
) -> Result<Response, Rejection> {
    let (found, current) = desk.of_caller(&arrival).await?;
    let sessions = found.into_iter().map(|session| SessionItem::of(session, current)).collect();
    Ok(no_store(Json(SessionList { sessions }).into_response()))
}

async fn end(
    State(desk): State<SessionsState>,
    arrival: RequestInfo,
    Path(sid): Path<String>,
) -> Result<StatusCode, Rejection> {
    desk.end(&arrival, &sid).await.map(|()| StatusCode::NO_CONTENT)
}

impl SessionsState {
    /// The caller's sessions, and the current one.
    pub(super) async fn of_caller(
        &self,
        arrival: &RequestInfo,
    ) -> Result<(Vec<StoredSession>, SessionId), Rejection> {
        let (user, current) = arrival.session_pending_mfa()?;
        let found = self.sessions.list(user, time::now()).await;
        Ok((found.map_err(|StatusUnavailable| arrival.refuse(Code::Unavailable))?, current))
    }

    /// Ends a session. Succeeds also if it has already ended; 404 for a session of another user as for an
    /// unknown one.
    pub(super) async fn end(&self, arrival: &RequestInfo, sid: &str) -> Result<(), Rejection> {
        let (user, _) = arrival.signed_in()?;
        let unavailable = |StatusUnavailable| arrival.refuse(Code::Unavailable);
        let Some(sid) = SessionId::parse(sid) else { return Err(arrival.refuse(Code::NotFound)) };
        let found = self.sessions.find(sid).await.map_err(unavailable)?;
        if found.is_none_or(|session| session.user != user) {
            return Err(arrival.refuse(Code::NotFound));
        }
        self.sessions.revoke(sid, time::now()).await.map_err(unavailable)?;
        self.logged_out(arrival, Some(sid));
        Ok(())
    }

    /// Ends the caller's current session.
    pub(super) async fn sign_out(&self, arrival: &RequestInfo) -> Result<(), Rejection> {
        let (_, session) = arrival.session_pending_mfa()?;
        let ended = self.sessions.revoke(session, time::now()).await;
        ended.map_err(|StatusUnavailable| arrival.refuse(Code::Unavailable))?;
        self.logged_out(arrival, Some(session));
        Ok(())
    }

    /// Ends the previous session of a browser that signs in again, so that it has only the new one (ASVS
    /// 7.2.4).
    pub(super) async fn replace(&self, arrival: &RequestInfo, cookie: Option<&Secret>) {
        let caller = arrival.principal_or_pending().map(|caller| caller.identity().source());
        if cookie.is_some() && caller == Some(Source::Session) {
            // Why it could not end is in the log; whoever signed in is signed in.
            drop(self.sign_out(arrival).await);
        }
    }

    /// Ends all sessions of the caller.
    pub(super) async fn end_all(&self, arrival: &RequestInfo) -> Result<(), Rejection> {
        let (user, _) = arrival.signed_in()?;
        let marks = arrival.principal.as_ref().and_then(|caller| caller.identity().marks());
        let ended = self.sessions.revoke_all(user, marks.map(Arc::as_ref), time::now()).await;
        ended.map_err(|StatusUnavailable| arrival.refuse(Code::Unavailable))?;
        self.logged_out_everywhere(arrival, Some(user));
        Ok(())
    }

    /// Records the end of a session.
    pub(super) fn logged_out(&self, arrival: &RequestInfo, session: Option<SessionId>) {
        let (origin, user) = (arrival.origin(), caller(arrival));
        LoggedOut { origin, user, session }.emit(&self.telemetry, time::now());
    }

    /// Records the end of all sessions of a user; of the caller if no user is given.
    pub(super) fn logged_out_everywhere(&self, arrival: &RequestInfo, user: Option<UserId>) {
        let (origin, user) = (arrival.origin(), user.or_else(|| caller(arrival)));
        LoggedOutEverywhere { origin, user }.emit(&self.telemetry, time::now());
    }
}

fn caller(arrival: &RequestInfo) -> Option<UserId> {
    arrival.principal_or_pending().and_then(|caller| caller.identity().user())
}
