//! `POST /oauth2/introspect` (RFC 7662) and `POST /oauth2/revoke` (RFC 7009), for clients.

use std::sync::Arc;

use axum::extract::Request;
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use axum::{Router, extract::State};
use http::{HeaderMap, StatusCode};
use serde::Serialize;

use super::client::{self, Claimed, ClientRefused};
use super::error::Rejection;
use super::form::FormFields;
use super::rate_limit::RateLimitGuard;
use super::request_info::RequestInfo;
use super::router::{empty, no_store};
use guarita_auth::access::{Active, Ending, Introspection};
use guarita_auth::client::ClientCache;
use guarita_auth::rate_limit::{Account, Purpose};
use guarita_auth::session::{Sessions, StatusUnavailable};
use guarita_core::{Code, Secret, SessionId, Timestamp, time};
use guarita_telemetry::Telemetry;
use guarita_telemetry::events::{ClientRejected, TokenRevoked};

/// The state of the introspection endpoints.
#[derive(Clone)]
pub(super) struct IntrospectionState {
    pub(super) introspection: Arc<Introspection>,
    pub(super) clients: Arc<ClientCache>,
    pub(super) sessions: Arc<Sessions>,
    pub(super) telemetry: Telemetry,
    pub(super) turnstile: RateLimitGuard,
}

pub(super) fn routes(desk: IntrospectionState) -> Router {
    Router::new()
        .route("/oauth2/introspect", post(introspect))
        .route("/oauth2/revoke", post(revoke))
        .with_state(desk)
}

/// The introspection response (RFC 7662 section 2.2). For an inactive token it has no other members.
#[derive(Serialize)]
struct IntrospectionResponse {
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
    #[serde(skip_serializing_if = "Option::is_none")]
    jti: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sid: Option<Box<str>>,
    #[serde(skip_serializing_if = "String::is_empty")]
    scope: String,
    app_roles: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    auth_time: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    amr: Option<[&'static str; 1]>,
}

impl From<Active> for Said {
    fn from(active: Active) -> Self {
        let identity = active.principal.identity();
        let subject = identity.subject().as_str();
        Self {
            token_type: "Bearer",
            sub: subject.to_owned(),
            username: subject.to_owned(),
            uid: identity.user().map(guarita_core::UserId::get),
            scope: identity.scopes().to_string(),
            app_roles: active.principal.roles().iter().map(str::to_owned).collect(),
            iss: active.issuer,
            aud: active.audience,
            iat: active.issued_at.seconds(),
            nbf: active.not_before.seconds(),
            exp: active.expires_at.seconds(),
            jti: active.token_id,
            sid: active.session,
            auth_time: active.second_factor_at.map(Timestamp::seconds),
            amr: active.second_factor_at.map(|_| ["mfa"]),
        }
    }
}

async fn introspect(
    State(desk): State<IntrospectionState>,
    arrival: RequestInfo,
    request: Request,
) -> Result<Response, ClientRefused> {
    let (_, token) = desk.question(&arrival, request).await?;
    let active =
        desk.introspection.introspect(&arrival.snapshot, token.expose(), time::now()).await;
    let active = active.map_err(|fault| arrival.failed("introspection failed", &fault))?;
    let answer = IntrospectionResponse { active: active.is_some(), said: active.map(Said::from) };
    Ok(no_store(axum::Json(answer).into_response()))
}

/// Ends the session of the token, local or of a provider. 200 also for an unknown token (RFC 7009 section 2.2).
async fn revoke(
    State(desk): State<IntrospectionState>,
    arrival: RequestInfo,
    request: Request,
) -> Result<Response, ClientRefused> {
    let (client, token) = desk.question(&arrival, request).await?;
    let now = time::now();
    let ended = desk.end(&arrival, &token, now).await;
    let ended = ended.map_err(|fault| arrival.failed("revocation failed", &fault))?;
    if let Some(session) = ended {
        TokenRevoked { origin: arrival.origin(), session, client: &client }
            .emit(&desk.telemetry, now);
    }
    Ok(empty(StatusCode::OK))
}

impl IntrospectionState {
    /// Ends the session of a token; the result has the local session, if it is one.
    async fn end(
        &self,
        arrival: &RequestInfo,
        token: &Secret,
        now: Timestamp,
    ) -> Result<Option<Option<SessionId>>, StatusUnavailable> {
        match self.introspection.ending_of(&arrival.snapshot, token.expose(), now).await? {
            Some(Ending::Session(session)) => {
                self.sessions.revoke(session, now).await.map(|()| Some(Some(session)))
            }
            Some(Ending::Tokens(revoked)) => {
                self.sessions.revoke_tokens(revoked, now).await.map(|()| Some(None))
            }
            None => self.sessions.revoke_by_refresh_token(token, now).await.map(|it| it.map(Some)),
        }
    }

    /// The name of the client, from the configuration or the database.
    async fn client(
        &self,
        arrival: &RequestInfo,
        headers: &HeaderMap,
        fields: &FormFields,
    ) -> Result<Box<str>, Code> {
        let claims = client::claimed(headers, fields)?;
        let configured = client::authenticate(&arrival.snapshot.introspection, arrival, &claims);
        if configured != Err(Code::InvalidClient) {
            return configured;
        }
        for Claimed { id, secret } in &claims {
            let found = self.clients.is_secret_of(id, secret.expose(), time::now()).await;
            if found.map_err(|_| Code::Unavailable)? {
                return Ok(id.as_str().into());
            }
        }
        Err(Code::InvalidClient)
    }

    /// The client and the token of the request.
    async fn question(
        &self,
        arrival: &RequestInfo,
        request: Request,
    ) -> Result<(Box<str>, Secret), Rejection> {
        let headers = request.headers().clone();
        let fields = client::fields(arrival, request).await?;
        let client = self.client(arrival, &headers, &fields).await;
        let account = client.as_ref().ok().map(|name| Account::Name(name));
        self.turnstile.check(arrival, Purpose::Introspection, account).await?;
        let client = client.map_err(|code| {
            if code != Code::InvalidBody && code != Code::Unavailable {
                let (origin, reason) = (arrival.origin(), code.as_str());
                ClientRejected { origin, reason }.emit(&self.telemetry, time::now());
            }
            Rejection::new(code, &arrival.request_id)
        })?;
        let token = fields.secret("token");
        if token.expose().is_empty() {
            return Err(arrival.refuse(Code::InvalidBody));
        }
        Ok((client, token))
    }
}
