//! Implements pingora's proxy trait; each phase delegates to the responsible module.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use pingora_core::modules::http::HttpModules;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_core::{Error, ErrorSource, Result};
use pingora_http::{RequestHeader, ResponseHeader};
use pingora_proxy::{FailToProxy, ProxyHttp, Session};

use super::context::{AuthorizedRequest, RequestContext, RequestState};
use super::reject::{self, RejectionResponse};
use super::request_id::RequestId;
use super::route_and_authorize::{self, RequestOutcome};
use super::websocket;
use super::{access_log, bodyless, forward, forward_auth, local, response};
use crate::connection::ConnectionInfo;
use crate::revocation::in_flight::PermittedFor;
use crate::revocation::websocket::WebSocketLimiter;
use crate::snapshot::CurrentSnapshot;
use crate::upstream::IdlePool;
use guarita_auth::access::Authenticator;
use guarita_auth::assertion::Assertions;
use guarita_core::Code;
use guarita_telemetry::Telemetry;

/// The proxy that handles every request.
pub struct Gateway {
    live: Arc<CurrentSnapshot>,
    judge: Arc<Authenticator>,
    pub(crate) assertions: Assertions,
    pub(crate) connections: Arc<IdlePool>,
    endpoints: axum::Router,
    sockets: Arc<WebSocketLimiter>,
    telemetry: Telemetry,
}

impl Gateway {
    /// Creates the proxy. `endpoints` is the router of the own endpoints, `sockets` counts the WebSockets.
    pub fn new(
        live: Arc<CurrentSnapshot>,
        judge: Arc<Authenticator>,
        assertions: Assertions,
        endpoints: axum::Router,
        sockets: Arc<WebSocketLimiter>,
        telemetry: Telemetry,
    ) -> Self {
        let connections = IdlePool::start(bodyless::MAX_IDLE_CONNECTIONS);
        Self { live, judge, assertions, connections, endpoints, sockets, telemetry }
    }

    /// The server could not be reached. Nothing was sent, so a request with any method can be retried.
    pub(crate) fn on_connect_error(
        &self,
        mut error: Box<Error>,
        context: &RequestContext,
    ) -> Box<Error> {
        error.set_retry(self.attempt_failed(context));
        error
    }

    /// The exchange failed; `reused` if its connection was reused.
    pub(crate) fn on_exchange_error(
        &self,
        mut error: Box<Error>,
        session: &mut Session,
        context: &mut RequestContext,
        reused: bool,
    ) -> Box<Error> {
        if *error.esource() != ErrorSource::Upstream {
            error.set_retry(false);
            return error;
        }
        if context.websocket.is_none() && response::is_client_body_timeout(&error, session) {
            return response::refusal(Code::RequestTimeout);
        }
        let repeatable = session.req_header().method.is_idempotent()
            && !session.as_ref().retry_buffer_truncated()
            && session.response_written().is_none();
        // A kept connection that the server closed meanwhile says nothing about the server.
        let stale = reused && matches!(error.retry, pingora_core::RetryType::ReusedOnly);
        if stale {
            if let Some(attempt) = context.attempts.pop() {
                attempt.succeeded();
            }
            error.set_retry(repeatable);
        } else {
            let another = self.attempt_failed(context);
            error.set_retry(repeatable && another);
        }
        error
    }

    /// Counts the failed attempt. Returns whether another server may be tried.
    fn attempt_failed(&self, context: &RequestContext) -> bool {
        if let Some(attempt) = context.attempts.last() {
            attempt.count_failure();
        }
        response::failed(context)
    }

    /// Checks the limits of a WebSocket, and that its session is still valid.
    async fn begin_websocket(
        &self,
        passage: &AuthorizedRequest,
        context: &mut RequestContext,
    ) -> Result<(), Code> {
        let telemetry = self.telemetry.clone();
        let begun = websocket::begin(&self.judge, &self.sockets, telemetry, passage, context).await;
        begun.map(|websocket| context.websocket = Some(Box::new(websocket)))
    }

    async fn refuse(
        &self,
        session: &mut Session,
        context: &mut RequestContext,
        refusal: &RejectionResponse,
    ) -> Result<bool> {
        context.refused = Some(refusal.code);
        reject::refuse(session, refusal, &context.request_id).await?;
        Ok(true)
    }
}

/// The session, named key or provider token that a request was authorized for.
fn held(passage: &AuthorizedRequest, request_id: &RequestId) -> Option<PermittedFor> {
    let identity = passage.permit.principal()?.identity();
    let hangs =
        identity.session().is_some() || identity.api_key().is_some() || identity.marks().is_some();
    hangs.then(|| PermittedFor::of(Some(identity), request_id, None))
}

#[async_trait]
impl ProxyHttp for Gateway {
    type CTX = RequestContext;

    fn new_ctx(&self) -> RequestContext {
        RequestContext::new(self.live.read())
    }

    // Nothing of pingora's own (compression, for one) is asked on the way.
    fn init_downstream_modules(&self, _modules: &mut HttpModules) {}

    async fn request_filter(
        &self,
        session: &mut Session,
        context: &mut RequestContext,
    ) -> Result<bool> {
        context.request_id = RequestId::of(&session.req_header().headers);
        let Some(connection) = context.connection.clone() else {
            return self.refuse(session, context, &Code::Internal.into()).await;
        };
        let reception = route_and_authorize::route_and_authorize(
            &self.judge,
            &context.snapshot,
            &connection,
            session.req_header(),
            context.arrived,
        )
        .await;
        match reception {
            RequestOutcome::Refused(mut refusal) => {
                if let Some(denied) = refusal.denied.take() {
                    context.stage = RequestState::Denied(denied);
                }
                self.refuse(session, context, &refusal).await
            }
            RequestOutcome::Own { canonical, path, caller } => {
                context.stage = RequestState::Own { principal: caller.principal.clone() };
                let call = local::Call { canonical, path, caller };
                // Boxed: this way is rare, and its size would be paid on the usual one.
                let served = Box::pin(local::serve(&self.endpoints, session, context, call));
                match served.await? {
                    Ok(refused) => {
                        context.refused = refused;
                        Ok(true)
                    }
                    Err(code) => self.refuse(session, context, &code.into()).await,
                }
            }
            RequestOutcome::Vouched { route, permit } => {
                context.stage = RequestState::Own { principal: permit.principal().cloned() };
                let assertions = &self.assertions;
                Box::pin(forward_auth::forward_auth_response(
                    session, context, assertions, &route, &permit,
                ))
                .await?;
                Ok(true)
            }
            RequestOutcome::Permitted(passage) => {
                let length = route_and_authorize::announced_length(&session.req_header().headers);
                if length.is_some_and(|length| length > passage.route.max_body) {
                    return self.refuse(session, context, &Code::BodyTooLarge.into()).await;
                }
                if passage.handshake {
                    // Boxed: this is rare, and its size would be paid on every request.
                    let begun = Box::pin(self.begin_websocket(&passage, context)).await;
                    if let Err(code) = begun {
                        context.stage = RequestState::Denied(Box::new(passage.deny()));
                        return self.refuse(session, context, &code.into()).await;
                    }
                } else {
                    ConnectionInfo::attach(held(&passage, &context.request_id));
                }
                let direct = bodyless::is_for(&passage, session);
                context.stage = RequestState::Permitted(Box::new(passage));
                if direct {
                    self.exchange(session, context).await?;
                }
                Ok(direct)
            }
        }
    }

    async fn upstream_peer(
        &self,
        session: &mut Session,
        context: &mut RequestContext,
    ) -> Result<Box<HttpPeer>> {
        let left = forward::select_server(context)?;
        forward::peer(session, context, left)
    }

    async fn request_body_filter(
        &self,
        _session: &mut Session,
        body: &mut Option<Bytes>,
        _end_of_stream: bool,
        context: &mut RequestContext,
    ) -> Result<()> {
        if context.websocket.is_some() {
            // Its handshake has no body, and what follows has no end.
            return Ok(());
        }
        let length = body.as_ref().map_or(0, Bytes::len);
        context.received =
            context.received.saturating_add(u64::try_from(length).unwrap_or(u64::MAX));
        let bound = context.passage().map_or(0, |passage| passage.route.max_body);
        if context.received > bound {
            return Err(response::refusal(Code::BodyTooLarge));
        }
        response::check_time(context)
    }

    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        upstream_request: &mut RequestHeader,
        context: &mut RequestContext,
    ) -> Result<()> {
        let (arrived, version) = (session.req_header(), upstream_request.version);
        *upstream_request = forward::prepare(arrived, version, context, &self.assertions)?;
        // Each try sends the whole body.
        context.received = 0;
        forward::yield_before_write().await;
        Ok(())
    }

    async fn response_filter(
        &self,
        session: &mut Session,
        upstream_response: &mut ResponseHeader,
        context: &mut RequestContext,
    ) -> Result<()> {
        response::filter_answer(session, upstream_response, context)
    }

    fn response_body_filter(
        &self,
        _session: &mut Session,
        _body: &mut Option<Bytes>,
        _end_of_stream: bool,
        context: &mut RequestContext,
    ) -> Result<Option<Duration>> {
        response::check_time(context).map(|()| None)
    }

    fn fail_to_connect(
        &self,
        _session: &mut Session,
        _peer: &HttpPeer,
        context: &mut RequestContext,
        error: Box<Error>,
    ) -> Box<Error> {
        self.on_connect_error(error, context)
    }

    fn error_while_proxy(
        &self,
        _peer: &HttpPeer,
        session: &mut Session,
        error: Box<Error>,
        context: &mut RequestContext,
        client_reused: bool,
    ) -> Box<Error> {
        self.on_exchange_error(error, session, context, client_reused)
    }

    async fn fail_to_proxy(
        &self,
        session: &mut Session,
        error: &Error,
        context: &mut RequestContext,
    ) -> FailToProxy {
        let code = response::code_of(error);
        let gone = code.is_none();
        if let Some(code) = code
            && response::final_status(session).is_none()
        {
            context.refused = Some(code);
            session.set_keepalive(None);
            let written = reject::refuse(session, &code.into(), &context.request_id).await;
            if let Err(error) = written {
                tracing::debug!(%error, "the client disconnected before the response was written");
            }
        }
        let error_code = if gone { 0 } else { code.map_or(0, Code::status) };
        FailToProxy { error_code, can_reuse_downstream: false }
    }

    async fn logging(
        &self,
        session: &mut Session,
        error: Option<&Error>,
        context: &mut RequestContext,
    ) {
        ConnectionInfo::attach(None);
        access_log::finished(&self.telemetry, session, error, context);
    }

    // Each refusal and failure has its own line; pingora's would repeat it with whole paths.
    fn suppress_error_log(
        &self,
        _session: &Session,
        _context: &RequestContext,
        _error: &Error,
    ) -> bool {
        true
    }
}
