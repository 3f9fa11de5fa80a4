//! Parses a request, finds its route and authorizes the caller. No response is written here.

use std::sync::Arc;

use http::{HeaderMap, Version, header};
use pingora_http::RequestHeader;

use super::context::{AuthorizedRequest, RejectedHandshake};
use super::reject::RejectionResponse;
use super::{forward_auth, websocket};
use crate::connection::ConnectionInfo;
use crate::snapshot::{RouteTarget, Snapshot};
use guarita_auth::access::{
    AuthenticationOutcome, Authenticator, Caller, CsrfContext, Denial, Permit, authorize,
};
use guarita_auth::session::StaleReadPolicy;
use guarita_core::http::local_paths;
use guarita_core::http::{
    AllowedOrigins, CanonicalRequest, Credentials, HeadError, RawRequest, ReturnTo, TicketParam,
    forwarded, head, is_navigation,
};
use guarita_core::route::Match;
use guarita_core::{Code, Principal, Timestamp};

/// The decision on a request.
pub(crate) enum RequestOutcome {
    /// It is rejected.
    Refused(RejectionResponse),
    /// It is for an own endpoint.
    Own {
        canonical: CanonicalRequest,
        /// The endpoint's path, aliases resolved.
        path: Box<str>,
        caller: Authentication,
    },
    /// It is forwarded.
    Permitted(AuthorizedRequest),
    /// Forward authentication: another proxy may forward its request.
    Vouched { route: Arc<RouteTarget>, permit: Permit },
}

/// The authentication result, for an own endpoint.
pub(crate) struct Authentication {
    pub(crate) presented: bool,
    pub(crate) principal: Option<Principal>,
    pub(crate) half_proven: Option<Principal>,
    pub(crate) unknowable: bool,
}

/// Parses and routes a request, and authorizes the caller.
pub(crate) async fn route_and_authorize(
    judge: &Authenticator,
    snapshot: &Arc<Snapshot>,
    connection: &ConnectionInfo,
    request: &RequestHeader,
    now: Timestamp,
) -> RequestOutcome {
    let mut canonical = match read(snapshot, connection, request) {
        Ok(canonical) => canonical,
        Err(code) => return RequestOutcome::Refused(code.into()),
    };
    let own_path = own_path(snapshot, canonical.path());
    let handshake = own_path.is_none() && websocket::is_handshake(request);
    // Where nobody is judged, a ticket is not ours.
    let ticketed = handshake && !snapshot.auth.open;
    let ticket = if ticketed { canonical.take_ticket() } else { TicketParam::Nothing };
    let candidates = Credentials::read(&request.headers, &snapshot.provider_cookies);
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
        (Some(Err(_)), _) | (None, Some(_)) => Match::Nothing,
    };
    let leave = leave(&found).filter(|_| !handshake);
    let verdict =
        judge.authenticate(&snapshot.auth, &candidates, client, leave.as_ref(), now).await;
    let last_known = leave.is_some_and(|leave| leave.is_used());

    if let Some(question) = question {
        let vouched = question.map_err(RejectionResponse::from).and_then(|question| {
            let asked = asked(snapshot, connection, request, question.canonical.authority());
            let asked = CsrfContext { method: &question.method, ..asked };
            answer(&found, verdict, asked, last_known).map_err(|code| RejectionResponse {
                presented: candidates.presented(),
                ..code.into()
            })
        });
        return vouched.unwrap_or_else(RequestOutcome::Refused);
    }
    let asked = asked(snapshot, connection, request, canonical.authority());
    if let Some(path) = own_path {
        let caller = judged(verdict, candidates.presented());
        let proven = caller.principal.as_ref().or(caller.half_proven.as_ref());
        if !asked.is_meant_for_us(proven, local_paths::takes_form(&path, asked.headers)) {
            return RequestOutcome::Refused(Code::CsrfFailed.into());
        }
        return RequestOutcome::Own { path, canonical, caller };
    }
    let refused = |code| {
        let sign_in = snapshot.auth.sign_in.then(|| sign_in(code, request, &canonical)).flatten();
        RejectionResponse {
            presented: candidates.presented(),
            sign_in,
            ..RejectionResponse::from(code)
        }
    };
    RequestOutcome::Refused(match found {
        Match::Route(route) => {
            let caller = Caller { client_cn: connection.client_cn(), asked };
            let principal = if handshake { proven(&verdict).cloned() } else { None };
            match authorize(&route.policy, verdict, caller) {
                Ok(permit) => {
                    let last_known = last_known && permit.principal().is_some();
                    if last_known {
                        route.metrics.served_on_unknown();
                    }
                    let route = Arc::clone(route);
                    let passage =
                        AuthorizedRequest { canonical, route, permit, handshake, last_known };
                    return RequestOutcome::Permitted(passage);
                }
                Err(denial) => {
                    let denied =
                        || Box::new(RejectedHandshake { route: Arc::clone(route), principal });
                    RejectionResponse { denied: handshake.then(denied), ..refused(denial.code()) }
                }
            }
        }
        Match::OtherMethods(allow) => {
            let code = unmatched(&verdict, Code::MethodNotAllowed);
            let allow = (code == Code::MethodNotAllowed).then(|| allow.clone());
            RejectionResponse { allow, ..refused(code) }
        }
        Match::Nothing => refused(unmatched(&verdict, Code::NotFound)),
    })
}

/// Whether the route allows stale session state (`on_unknown`). Never for a WebSocket, which would outlast it.
fn leave(found: &Match<'_, Arc<RouteTarget>>) -> Option<StaleReadPolicy> {
    match found {
        Match::Route(route) => route.policy.on_unknown.map(StaleReadPolicy::new),
        Match::OtherMethods(_) | Match::Nothing => None,
    }
}

/// The result of forward authentication: success, or a code with the status 401, 403 or 503. A client certificate of
/// this connection is the proxy's, not the caller's.
fn answer(
    found: &Match<'_, Arc<RouteTarget>>,
    verdict: AuthenticationOutcome,
    asked: CsrfContext<'_>,
    last_known: bool,
) -> Result<RequestOutcome, Code> {
    match found {
        Match::Route(route) => {
            let caller = Caller { client_cn: None, asked };
            let permit = authorize(&route.policy, verdict, caller).map_err(Denial::code)?;
            if last_known && permit.principal().is_some() {
                route.metrics.served_on_unknown();
            }
            Ok(RequestOutcome::Vouched { route: Arc::clone(route), permit })
        }
        Match::OtherMethods(_) | Match::Nothing => Err(unmatched(&verdict, Code::Forbidden)),
    }
}

/// The data for the CSRF check of a request with a session cookie.
fn asked<'a>(
    snapshot: &'a Snapshot,
    connection: &ConnectionInfo,
    request: &'a RequestHeader,
    authority: &'a str,
) -> CsrfContext<'a> {
    let (peer, trusted) = (connection.peer.ip(), &snapshot.trusted_proxies);
    let headers = &request.headers;
    let scheme = forwarded::forwarded_proto(connection.secure, peer, headers, trusted);
    let own = AllowedOrigins { public: &snapshot.auth.public_url, scheme, authority };
    CsrfContext { method: &request.method, headers, own }
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
    connection: &ConnectionInfo,
    request: &RequestHeader,
) -> Result<CanonicalRequest, Code> {
    if request.headers.len() > snapshot.limits.header_count {
        return Err(Code::HeadersTooLarge);
    }
    if request.version == Version::HTTP_2 {
        head::inspect_fields(&request.headers, request.version).map_err(HeadError::code)?;
        let scheme = if connection.secure { "https" } else { "http" };
        if request.uri.scheme_str().is_some_and(|said| said != scheme) {
            return Err(Code::BadRequest);
        }
    }
    let arrived = RawRequest {
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
fn misdirected(connection: &ConnectionInfo, host: &str) -> bool {
    connection.certificate.is_some()
        && connection.server_name.as_deref().is_some_and(|name| name != host)
}

/// Whether the CAs of client certificates changed since the handshake of a connection with a client certificate.
fn outdated(snapshot: &Snapshot, connection: &ConnectionInfo) -> bool {
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
    local_paths::owns(path).then(|| path.into())
}

/// The code for a request that matches no route: only authenticated callers get the actual one.
fn unmatched(verdict: &AuthenticationOutcome, truth: Code) -> Code {
    match verdict {
        AuthenticationOutcome::Proven(_) | AuthenticationOutcome::Unjudged => truth,
        AuthenticationOutcome::HalfProven(_) => Code::SecondFactorRequired,
        AuthenticationOutcome::Anonymous { .. } | AuthenticationOutcome::Rejected => {
            Code::Unauthorized
        }
        AuthenticationOutcome::Unknowable => Code::Unavailable,
    }
}

/// The caller, if authenticated, also without a required second factor.
const fn proven(verdict: &AuthenticationOutcome) -> Option<&Principal> {
    match verdict {
        AuthenticationOutcome::Proven(principal) | AuthenticationOutcome::HalfProven(principal) => {
            Some(principal)
        }
        AuthenticationOutcome::Anonymous { .. } | AuthenticationOutcome::Rejected => None,
        AuthenticationOutcome::Unknowable | AuthenticationOutcome::Unjudged => None,
    }
}

/// The authentication result; a caller without its required second factor is kept separate.
fn judged(verdict: AuthenticationOutcome, presented: bool) -> Authentication {
    let nobody =
        Authentication { presented, principal: None, half_proven: None, unknowable: false };
    match verdict {
        AuthenticationOutcome::Proven(principal) => {
            Authentication { principal: Some(principal), ..nobody }
        }
        AuthenticationOutcome::HalfProven(principal) => {
            Authentication { half_proven: Some(principal), ..nobody }
        }
        AuthenticationOutcome::Unknowable => Authentication { unknowable: true, ..nobody },
        AuthenticationOutcome::Anonymous { .. }
        | AuthenticationOutcome::Rejected
        | AuthenticationOutcome::Unjudged => nobody,
    }
}

/// The `Content-Length` of the request, in bytes.
pub(crate) fn announced_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.trim().parse().ok()
}
