//! `POST /oauth2/introspect` (RFC 7662) and `POST /oauth2/revoke` (RFC 7009), for clients.

use std::sync::Arc;

use axum::extract::Request;
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use axum::{Router, extract::State};
use http::StatusCode;
use serde::Serialize;

use super::arrival::Arrival;
use super::client;
use super::refusal::Refused;
use super::router::{empty, no_store};
use super::turnstile::Turnstile;
use crate::adapters::telemetry::{Audit, Event, Name};
use crate::live::Live;
use crate::model::{Code, Secret, Timestamp, clock};
use crate::services::access::{Active, Introspection};
use crate::services::limit::{Account, Purpose};
use crate::services::session::Sessions;

/// What clients ask.
#[derive(Clone)]
pub(super) struct Desk {
    pub(super) introspection: Arc<Introspection>,
    pub(super) live: Arc<Live>,
    pub(super) sessions: Arc<Sessions>,
    pub(super) audit: Audit,
    pub(super) turnstile: Turnstile,
}

pub(super) fn routes(desk: Desk) -> Router {
    Router::new()
        .route("/oauth2/introspect", post(introspect))
        .route("/oauth2/revoke", post(revoke))
        .with_state(desk)
}

/// What a token says (RFC 7662 section 2.2). Of one that does not count, nothing else is told.
#[derive(Serialize)]
struct Answer {
    active: bool,
    #[serde(flatten)]
    said: Option<Said>,
}

#[derive(Serialize)]
struct Said {
    token_type: &'static str,
    iss: Box<str>,
    sub: String,
    username: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    uid: Option<i64>,
    aud: Box<str>,
    iat: i64,
    nbf: i64,
    exp: i64,
    jti: Box<str>,
    sid: String,
    app_roles: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    auth_time: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    amr: Option<[&'static str; 1]>,
}

impl From<Active> for Said {
    fn from(Active { claims, principal }: Active) -> Self {
        let subject = claims.subject.as_str();
        Self {
            token_type: "Bearer",
            iss: claims.issuer,
            sub: subject.to_owned(),
            username: subject.to_owned(),
            uid: claims.user.map(crate::model::UserId::get),
            aud: claims.audience,
            iat: claims.issued_at.seconds(),
            nbf: claims.not_before.seconds(),
            exp: claims.expires_at.seconds(),
            jti: claims.token_id,
            sid: claims.session.to_string(),
            app_roles: principal.roles().iter().map(str::to_owned).collect(),
            auth_time: claims.second_factor_at.map(Timestamp::seconds),
            amr: claims.second_factor_at.map(|_| ["mfa"]),
        }
    }
}

async fn introspect(
    State(desk): State<Desk>,
    arrival: Arrival,
    request: Request,
) -> Result<Response, Refused> {
    let (_, token) = desk.question(&arrival, request).await?;
    let snapshot = desk.live.read();
    let active = desk.introspection.introspect(&snapshot, token.expose(), clock::now()).await;
    let active = active.map_err(|fault| arrival.failed("introspection failed", &fault))?;
    let answer = Answer { active: active.is_some(), said: active.map(Said::from) };
    Ok(no_store(axum::Json(answer).into_response()))
}

/// Ends the session of the token. 200 for one that is unknown too (RFC 7009 section 2.2).
async fn revoke(
    State(desk): State<Desk>,
    arrival: Arrival,
    request: Request,
) -> Result<Response, Refused> {
    let (client, token) = desk.question(&arrival, request).await?;
    let now = clock::now();
    let session = desk.introspection.session_of(&desk.live.read(), token.expose(), now);
    let ended = match session {
        Some(session) => desk.sessions.revoke(session, now).await.map(|()| Some(session)),
        None => desk.sessions.revoke_by_refresh_token(&token, now).await,
    };
    let ended = ended.map_err(|fault| arrival.failed("revocation failed", &fault))?;
    if ended.is_some() {
        let reason = Some(&*client);
        let event = Event { session: ended, reason, ..arrival.event(Name::TokenRevoked) };
        desk.audit.record(&event, now);
    }
    Ok(empty(StatusCode::OK))
}

impl Desk {
    /// Who asks, and about which token.
    async fn question(
        &self,
        arrival: &Arrival,
        request: Request,
    ) -> Result<(Box<str>, Secret), Refused> {
        let headers = request.headers().clone();
        let fields = client::fields(arrival, request).await?;
        let snapshot = self.live.read();
        let client = client::authenticate(&snapshot.introspection, arrival, &headers, &fields);
        let account = client.as_ref().ok().map(|name| Account::Name(name));
        self.turnstile.admit(arrival, Purpose::Introspection, account).await?;
        let client = client.map_err(|code| {
            if code != Code::InvalidBody {
                let reason = Some(code.as_str());
                let event = Event { reason, ..arrival.event(Name::ClientRefused) };
                self.audit.record(&event, clock::now());
            }
            Refused::new(code, &arrival.request_id)
        })?;
        let token = fields.secret("token");
        if token.expose().is_empty() {
            return Err(arrival.refuse(Code::InvalidBody));
        }
        Ok((client, token))
    }
}
