//! `POST /auth/ws-ticket`: a ticket for a WebSocket handshake, in which scripts cannot set headers.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{FromRequest as _, Request, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use axum::{Json as Body, Router};
use http::{HeaderMap, HeaderValue, Method, Version, header};
use serde::{Deserialize, Serialize};

use super::error::Rejection;
use super::exposed_secret::ExposedSecret;
use super::extract::Json;
use super::request_info::RequestInfo;
use super::router::no_store;
use guarita_auth::session::{TicketRefusal, WsTickets, ticket};
use guarita_core::http::{CanonicalRequest, RawRequest};
use guarita_core::{Code, time};

pub(super) fn routes(tickets: Arc<WsTickets>) -> Router {
    Router::new().route("/auth/ws-ticket", post(issue)).with_state(tickets)
}

#[derive(Deserialize)]
struct WsTicketRequest {
    path: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WsTicketResponse {
    ticket: ExposedSecret,
    expires_in: u64,
}

async fn issue(
    State(tickets): State<Arc<WsTickets>>,
    arrival: RequestInfo,
    request: Request,
) -> Result<Response, Rejection> {
    // Whoever is nobody hears that first, whatever the body.
    arrival.signed_in()?;
    let Some(principal) = &arrival.principal else { return Err(arrival.refuse(Code::Internal)) };
    let Json(asked) = Json::<WsTicketRequest>::from_request(request, &()).await?;
    let target = canonical(&arrival.host, &asked.path);
    let target = target.ok_or_else(|| arrival.refuse(Code::InvalidBody))?;
    let now = (time::now(), Instant::now());
    let issued = tickets
        .issue(principal, target.host(), target.path(), now)
        .await
        .map_err(|fault| arrival.failed("creating a ticket failed", &fault))?;
    let ticket = issued.map_err(|refusal| refused(&arrival, refusal))?;
    let given =
        WsTicketResponse { ticket: ExposedSecret(ticket), expires_in: ticket::LIFETIME.as_secs() };
    Ok(no_store(Body(given).into_response()))
}

/// A path of this host in canonical form, without a query.
fn canonical(host: &str, path: &str) -> Option<CanonicalRequest> {
    if !path.starts_with('/') || path.contains('?') {
        return None;
    }
    let mut headers = HeaderMap::with_capacity(1);
    headers.insert(header::HOST, HeaderValue::from_str(host).ok()?);
    let arrived = RawRequest {
        version: Version::HTTP_11,
        method: &Method::GET,
        target: path.as_bytes(),
        authority: None,
        headers: &headers,
    };
    CanonicalRequest::parse(&arrived).ok()
}

fn refused(arrival: &RequestInfo, refusal: TicketRefusal) -> Rejection {
    match refusal {
        TicketRefusal::NoSession => arrival.refuse(Code::Unauthorized),
        TicketRefusal::TooMany { retry_after } => {
            arrival.refuse(Code::RateLimited).retry_after(retry_after)
        }
        TicketRefusal::Full | TicketRefusal::OutOfReach => arrival.refuse(Code::Unavailable),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_one_form_or_none() {
        let path = |path: &str| canonical("app.test", path).map(|it| it.path().to_owned());
        assert_eq!(path("/ws/%41").as_deref(), Some("/ws/A"));
        for odd in
            ["", "ws", "/ws?x", "/ws/../admin", "//evil.test/ws", "/a\nb", "/a#b", "http://x/"]
        {
            assert_eq!(path(odd), None, "{odd:?}");
        }
        assert_eq!(path(&format!("/{}", "x".repeat(9_000))), None);
    }
}
