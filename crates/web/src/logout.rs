//! `POST /auth/logout`, `POST /auth/logout-all`.

use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Router, extract::State};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;

use super::cookie::{self, Cookie};
use super::error::Rejection;
use super::extract::OptionalJson;
use super::request_info::RequestInfo;
use super::sessions::SessionsState;
use guarita_core::http::{CookieValue, cookies};
use guarita_core::{Code, Identity, Principal, Secret, time};

/// The refresh token whose session is ended, if it is not the caller's session.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Named {
    refresh_token: Option<Secret>,
}

pub(super) fn routes(desk: SessionsState) -> Router {
    Router::new()
        .route("/auth/logout", post(logout))
        .route("/auth/logout-all", post(logout_all))
        .with_state(desk)
}

/// Ends the session of the refresh token, otherwise that of the caller. 204 even if the session has already ended;
/// 401 if the request has no session at all.
async fn logout(
    State(desk): State<SessionsState>,
    arrival: RequestInfo,
    headers: HeaderMap,
    OptionalJson(body): OptionalJson<Named>,
) -> Result<Response, Rejection> {
    let now = time::now();
    let named = body.and_then(|body| body.refresh_token);
    let bearer = arrival.principal_or_pending().and_then(|caller| caller.identity().session());
    let proven = arrival.principal_or_pending().is_some();
    let marks = arrival.principal_or_pending().and_then(|caller| caller.identity().marks());
    let ended = match (&named, bearer, marks) {
        (Some(token), ..) => desk.sessions.revoke_by_refresh_token(token, now).await,
        (None, Some(session), _) => {
            desk.sessions.revoke(session, now).await.map(|()| Some(session))
        }
        // A provider's token behind which there is no session of ours: it counts no more.
        (None, None, Some(marks)) => {
            desk.sessions.revoke_tokens(marks.ending(now), now).await.map(|()| None)
        }
        // A token of a session that has ended already: twice is 204 too.
        (None, None, None) if arrival.presented && !arrival.unknowable && !proven => Ok(None),
        // Nor where a credential counts that hangs on no session: it would go on counting.
        (None, None, None) => return Err(arrival.refuse(Code::Unauthorized)),
    };
    let session = ended.map_err(|unknowable| arrival.failed("logout failed", &unknowable))?;
    desk.logged_out(&arrival, session);
    Ok(signed_out_response(&headers))
}

/// Ends every session of the caller's user.
async fn logout_all(
    State(desk): State<SessionsState>,
    arrival: RequestInfo,
    headers: HeaderMap,
    OptionalJson(body): OptionalJson<Named>,
) -> Result<Response, Rejection> {
    let now = time::now();
    let named = body.and_then(|body| body.refresh_token);
    let identity = arrival.principal.as_ref().map(Principal::identity);
    let bearer = identity.and_then(Identity::user);
    let marks = identity.and_then(Identity::marks);
    let alone = marks.filter(|_| named.is_none() && bearer.is_none());
    // All tokens of the provider's subject, where no account stands behind it.
    if let Some(all) = alone.and_then(|marks| marks.ending_all(now)) {
        let ended = desk.sessions.revoke_tokens(all, now).await;
        ended.map_err(|unknowable| arrival.failed("logout failed", &unknowable))?;
        desk.logged_out_everywhere(&arrival, None);
        return Ok(signed_out_response(&headers));
    }
    let user = match (&named, bearer) {
        (_, Some(user)) => Some(user),
        (Some(token), None) => desk
            .sessions
            .find_user_by_refresh_token(token, now)
            .await
            .map_err(|unknowable| arrival.failed("logout failed", &unknowable))?,
        (None, None)
            if arrival.presented && arrival.half_proven.is_none() && !arrival.unknowable =>
        {
            None
        }
        (None, None) => return Err(arrival.refuse(Code::Unauthorized)),
    };
    if let Some(user) = user {
        desk.sessions
            .revoke_all(user, marks.map(Arc::as_ref), now)
            .await
            .map_err(|unknowable| arrival.failed("logout failed", &unknowable))?;
        desk.logged_out_everywhere(&arrival, Some(user));
    }
    Ok(signed_out_response(&headers))
}

/// A 204 that removes the session cookie, if the request had one.
fn signed_out_response(headers: &HeaderMap) -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    if cookies::read(headers, cookies::SESSION) != CookieValue::Nothing {
        cookie::set(&mut response, Cookie::new(cookies::SESSION).removal());
    }
    response
}
