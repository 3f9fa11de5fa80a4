//! Parses a request, finds its route and authorizes the caller. No response is written here.

use std::sync::Arc;

use http::{HeaderMap, Version, header};
use pingora_http::RequestHeader;

use super::Connection;
use super::context::{Denied, Passage};
use super::respond::Refusal;
use super::{forward_auth, websocket};
use crate::doors::endpoints;
use crate::live::{RouteTarget, Snapshot};
use crate::model::{Code, Principal, Timestamp};
use crate::rules::request::{
    Arrived, BroughtTicket, Candidates, CanonicalRequest, Malformed, OwnOrigins, ReturnTo,
    forwarded, head, is_navigation,
};
use crate::rules::route::Found;
use crate::services::access::{Asked, Caller, Denial, Judge, Permit, Verdict, authorize};
use crate::services::session::Leave;

/// The decision on a request.
pub(super) enum Reception {
    /// It is rejected.
    Refused(Refusal),
    /// It is for an own endpoint.
    Own {
        canonical: CanonicalRequest,
        /// The endpoint's path, aliases resolved.
        path: Box<str>,
        caller: Judged,
    },
    /// It is forwarded.
    Permitted(Passage),
    /// Forward authentication: another proxy may forward its request.
    Vouched { route: Arc<RouteTarget>, permit: Permit },
}

/// The authentication result, for an own endpoint.
pub(super) struct Judged {
    pub(super) presented: bool,
    pub(super) principal: Option<Principal>,
    pub(super) half_proven: Option<Principal>,
    pub(super) unknowable: bool,
}

/// Parses and routes a request, and authorizes the caller.
pub(super) async fn route_and_authorize(
    judge: &Judge,
    snapshot: &Arc<Snapshot>,
    connection: &Connection,
    request: &RequestHeader,
    now: Timestamp,
) -> Reception {
    let mut canonical = match read(snapshot, connection, request) {
        Ok(canonical) => canonical,
        Err(code) => return Reception::Refused(code.into()),
    };
    let own_path = own_path(snapshot, canonical.path());
    let handshake = own_path.is_none() && websocket::is_handshake(request);
    // Where nobody is judged, a ticket is not ours.
    let ticketed = handshake && !snapshot.open;
    let ticket = if ticketed { canonical.take_ticket() } else { BroughtTicket::Nothing };
    let candidates = Candidates::read(&request.headers, &snapshot.provider_cookies);
    let candidates = candidates.with_ticket(&ticket, canonical.host(), canonical.path());
    let (peer, trusted) = (connection.peer.ip(), &snapshot.trusted_proxies);
    let client = || forwarded::client(peer, &request.headers, trusted);
    let is_question = own_path.as_deref().is_some_and(forward_auth::is_asked_at);
    let question =
        is_question.then(|| forward_auth::read(snapshot, connection, request, &canonical));
    let found = match (&question, &own_path) {
        (Some(Ok(question)), _) => {
            let (host, path) = (question.canonical.host(), question.canonical.path());
            snapshot.routes.find(host, path, &question.method)
        }
        (None, None) => snapshot.routes.find(canonical.host(), canonical.path(), &request.method),
        (Some(Err(_)), _) | (None, Some(_)) => Found::Nothing,
    };
    let leave = leave(&found).filter(|_| !handshake);
    let verdict = judge.authenticate(snapshot, &candidates, client, leave.as_ref(), now).await;
    let last_known = leave.is_some_and(|leave| leave.is_used());

    if let Some(question) = question {
        let vouched = question.map_err(Refusal::from).and_then(|question| {
            let asked = asked(snapshot, connection, request, question.canonical.authority());
            let asked = Asked { method: &question.method, ..asked };
            answer(&found, verdict, asked, last_known)
                .map_err(|code| Refusal { presented: candidates.presented(), ..code.into() })
        });
        return vouched.unwrap_or_else(Reception::Refused);
    }
    let asked = asked(snapshot, connection, request, canonical.authority());
    if let Some(path) = own_path {
        let caller = judged(verdict, candidates.presented());
        let proven = caller.principal.as_ref().or(caller.half_proven.as_ref());
        if !asked.is_meant_for_us(proven, endpoints::takes_form(&path, asked.headers)) {
            return Reception::Refused(Code::CsrfFailed.into());
        }
        return Reception::Own { path, canonical, caller };
    }
    let refused = |code| {
        let sign_in = snapshot.sign_in.then(|| sign_in(code, request, &canonical)).flatten();
        Refusal { presented: candidates.presented(), sign_in, ..Refusal::from(code) }
    };
    Reception::Refused(match found {
        Found::Route(route) => {
            let caller = Caller { client_cn: connection.client_cn(), asked };
            let principal = if handshake { proven(&verdict).cloned() } else { None };
            match authorize(&route.policy, verdict, caller) {
                Ok(permit) => {
                    let last_known = last_known && permit.principal().is_some();
                    if last_known {
                        route.metrics.served_on_unknown();
                    }
                    let route = Arc::clone(route);
                    let passage = Passage { canonical, route, permit, handshake, last_known };
                    return Reception::Permitted(passage);
                }
                Err(denial) => {
                    let denied = || Box::new(Denied { route: Arc::clone(route), principal });
                    Refusal { denied: handshake.then(denied), ..refused(denial.code()) }
                }
            }
        }
        Found::OtherMethods(allow) => {
            let code = unmatched(&verdict, Code::MethodNotAllowed);
            let allow = (code == Code::MethodNotAllowed).then(|| allow.clone());
            Refusal { allow, ..refused(code) }
        }
        Found::Nothing => refused(unmatched(&verdict, Code::NotFound)),
    })
}

/// Whether the route allows stale session state (`on_unknown`). Never for a WebSocket, which would outlast it.
fn leave(found: &Found<'_, Arc<RouteTarget>>) -> Option<Leave> {
    match found {
        Found::Route(route) => route.policy.on_unknown.map(Leave::new),
        Found::OtherMethods(_) | Found::Nothing => None,
    }
}

/// The result of forward authentication: success, or a code with the status 401, 403 or 503. A client certificate of
/// this connection is the proxy's, not the caller's.
fn answer(
    found: &Found<'_, Arc<RouteTarget>>,
    verdict: Verdict,
    asked: Asked<'_>,
    last_known: bool,
) -> Result<Reception, Code> {
    match found {
        Found::Route(route) => {
            let caller = Caller { client_cn: None, asked };
            let permit = authorize(&route.policy, verdict, caller).map_err(Denial::code)?;
            if last_known && permit.principal().is_some() {
                route.metrics.served_on_unknown();
            }
            Ok(Reception::Vouched { route: Arc::clone(route), permit })
        }
        Found::OtherMethods(_) | Found::Nothing => Err(unmatched(&verdict, Code::Forbidden)),
    }
}

/// The data for the CSRF check of a request with a session cookie.
fn asked<'a>(
    snapshot: &'a Snapshot,
    connection: &Connection,
    request: &'a RequestHeader,
    authority: &'a str,
) -> Asked<'a> {
    let (peer, trusted) = (connection.peer.ip(), &snapshot.trusted_proxies);
    let headers = &request.headers;
    let scheme = forwarded::forwarded_proto(connection.secure, peer, headers, trusted);
    let own = OwnOrigins { public: &snapshot.public_url, scheme, authority };
    Asked { method: &request.method, headers, own }
}

/// Where a browser is redirected to sign in or to enrol a second factor; with the target to return to, unless it is
/// too long.
fn sign_in(code: Code, request: &RequestHeader, canonical: &CanonicalRequest) -> Option<String> {
    if !is_navigation(&request.method, &request.headers) {
        return None;
    }
    #[expect(clippy::wildcard_enum_match_arm, reason = "no other refusal can be mended on a page")]
    let page = match code {
        Code::Unauthorized => "/login",
        Code::SecondFactorRequired => "/account",
        _ => return None,
    };
    let back = ReturnTo::parse(canonical.path_and_query().as_str());
    let back = back.map(|back| format!("?return_to={}", back.encoded())).unwrap_or_default();
    Some(format!("{page}{back}"))
}

/// Parses the request into its canonical form.
fn read(
    snapshot: &Snapshot,
    connection: &Connection,
    request: &RequestHeader,
) -> Result<CanonicalRequest, Code> {
    if request.headers.len() > snapshot.limits.header_count {
        return Err(Code::HeadersTooLarge);
    }
    if request.version == Version::HTTP_2 {
        head::inspect_fields(&request.headers, request.version).map_err(Malformed::code)?;
        let scheme = if connection.secure { "https" } else { "http" };
        if request.uri.scheme_str().is_some_and(|said| said != scheme) {
            return Err(Code::BadRequest);
        }
    }
    let arrived = Arrived {
        version: request.version,
        method: &request.method,
        target: request.raw_path(),
        authority: authority(request),
        headers: &request.headers,
    };
    let parsed = request.uri.path_and_query();
    let canonical = CanonicalRequest::parse_shared(&arrived, parsed).map_err(|ambiguity| {
        tracing::debug!(reason = %ambiguity, "ambiguous request rejected");
        ambiguity.code()
    })?;
    if misdirected(connection, canonical.host()) || outdated(snapshot, connection) {
        return Err(Code::MisdirectedRequest);
    }
    Ok(canonical)
}

/// `:authority` of HTTP/2.
fn authority(request: &RequestHeader) -> Option<&str> {
    if request.version != Version::HTTP_2 {
        return None;
    }
    request.uri.authority().map(http::uri::Authority::as_str)
}

/// Whether the request is for another host than the SNI of a connection with a client certificate: the requirements
/// of the handshake were those of the SNI host (RFC 9110 section 15.5.20).
fn misdirected(connection: &Connection, host: &str) -> bool {
    connection.certificate.is_some()
        && connection.server_name.as_deref().is_some_and(|name| name != host)
}

/// Whether the CAs of client certificates changed since the handshake of a connection with a client certificate.
fn outdated(snapshot: &Snapshot, connection: &Connection) -> bool {
    let Some(proven_by) = connection.clients else { return false };
    match snapshot.tls.get(&connection.listener) {
        Some(Some(tls)) => {
            tls.clients != proven_by && (connection.certificate.is_some() || tls.required)
        }
        Some(None) | None => connection.certificate.is_some(),
    }
}

/// The own endpoint for a path, if any, with aliases resolved.
fn own_path(snapshot: &Snapshot, path: &str) -> Option<Box<str>> {
    if let Some(target) = snapshot.aliases.get(path) {
        return Some(target.clone());
    }
    endpoints::owns(path).then(|| path.into())
}

/// The code for a request that matches no route: only authenticated callers get the actual one.
fn unmatched(verdict: &Verdict, truth: Code) -> Code {
    match verdict {
        Verdict::Proven(_) | Verdict::Unjudged => truth,
        Verdict::HalfProven(_) => Code::SecondFactorRequired,
        Verdict::Anonymous { .. } | Verdict::Rejected => Code::Unauthorized,
        Verdict::Unknowable => Code::Unavailable,
    }
}

/// The caller, if authenticated, also without a required second factor.
const fn proven(verdict: &Verdict) -> Option<&Principal> {
    match verdict {
        Verdict::Proven(principal) | Verdict::HalfProven(principal) => Some(principal),
        Verdict::Anonymous { .. } | Verdict::Rejected => None,
        Verdict::Unknowable | Verdict::Unjudged => None,
    }
}

/// The authentication result; a caller without its required second factor is kept separate.
fn judged(verdict: Verdict, presented: bool) -> Judged {
    let nobody = Judged { presented, principal: None, half_proven: None, unknowable: false };
    match verdict {
        Verdict::Proven(principal) => Judged { principal: Some(principal), ..nobody },
        Verdict::HalfProven(principal) => Judged { half_proven: Some(principal), ..nobody },
        Verdict::Unknowable => Judged { unknowable: true, ..nobody },
        Verdict::Anonymous { .. } | Verdict::Rejected | Verdict::Unjudged => nobody,
    }
}

/// The `Content-Length` of the request, in bytes.
pub(super) fn announced_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.trim().parse().ok()
}
