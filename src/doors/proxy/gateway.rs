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

use super::context::{Context, Passage, Stage};
use super::receive::{self, Reception};
use super::request_id::RequestId;
use super::respond::{self, Refusal};
use super::socket::Sockets;
use super::tether::Held;
use super::websocket::{self, Ledger};
use super::{Connection, answer, exchange, forward, forward_auth, local, record};
use crate::adapters::telemetry::{Audit, Metrics};
use crate::adapters::upstream::Connections;
use crate::live::Live;
use crate::model::Code;
use crate::services::access::Judge;
use crate::services::assertion::Assertions;

/// The proxy that handles every request.
pub struct Gateway {
    live: Arc<Live>,
    judge: Arc<Judge>,
    pub(super) assertions: Assertions,
    pub(super) connections: Arc<Connections>,
    endpoints: axum::Router,
    sockets: Arc<Sockets>,
    ledger: Ledger,
}

impl Gateway {
    /// Creates the proxy. `endpoints` is the router of the own endpoints, `sockets` counts the WebSockets.
    pub fn new(
        live: Arc<Live>,
        judge: Arc<Judge>,
        assertions: Assertions,
        endpoints: axum::Router,
        sockets: Arc<Sockets>,
        metrics: Arc<Metrics>,
        audit: Audit,
    ) -> Self {
        let connections = Connections::start(exchange::KEPT);
        let ledger = Ledger { metrics, audit };
        Self { live, judge, assertions, connections, endpoints, sockets, ledger }
    }

    /// The server could not be reached. Nothing was sent, so a request with any method can be retried.
    pub(super) fn on_connect_error(&self, mut error: Box<Error>, context: &Context) -> Box<Error> {
        error.set_retry(self.attempt_failed(context));
        error
    }

    /// The exchange failed; `reused` if its connection was reused.
    pub(super) fn on_exchange_error(
        &self,
        mut error: Box<Error>,
        session: &mut Session,
        context: &mut Context,
        reused: bool,
    ) -> Box<Error> {
        if *error.esource() != ErrorSource::Upstream {
            error.set_retry(false);
            return error;
        }
        if context.websocket.is_none() && answer::is_client_body_timeout(&error, session) {
            return answer::refusal(Code::RequestTimeout);
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
    fn attempt_failed(&self, context: &Context) -> bool {
        if let (Some(passage), Some(attempt)) = (context.passage(), context.attempts.last()) {
            let upstream = &passage.route.upstream.settings().name;
            self.ledger.metrics.upstream_failed(upstream, attempt.authority());
        }
        answer::failed(context)
    }

    /// Checks the limits of a WebSocket, and that its session is still valid.
    async fn begin_websocket(&self, passage: &Passage, context: &mut Context) -> Result<(), Code> {
        let ledger = self.ledger.clone();
        let begun = websocket::begin(&self.judge, &self.sockets, ledger, passage, context).await;
        begun.map(|websocket| context.websocket = Some(Box::new(websocket)))
    }

    async fn refuse(
        &self,
        session: &mut Session,
        context: &mut Context,
        refusal: &Refusal,
    ) -> Result<bool> {
        context.refused = Some(refusal.code);
        respond::refuse(session, refusal, &context.request_id).await?;
        Ok(true)
    }
}

/// The session, named key or provider token that a request was authorized for.
fn held(passage: &Passage, request_id: &RequestId) -> Option<Held> {
    let identity = passage.permit.principal()?.identity();
    let hangs =
        identity.session().is_some() || identity.api_key().is_some() || identity.marks().is_some();
    hangs.then(|| Held::of(Some(identity), request_id, None))
}

#[async_trait]
impl ProxyHttp for Gateway {
    type CTX = Context;

    fn new_ctx(&self) -> Context {
        Context::new(self.live.read())
    }

    // Nothing of pingora's own (compression, for one) is asked on the way.
    fn init_downstream_modules(&self, _modules: &mut HttpModules) {}

    async fn request_filter(&self, session: &mut Session, context: &mut Context) -> Result<bool> {
        context.request_id = RequestId::of(&session.req_header().headers);
        let Some(connection) = context.connection.clone() else {
            return self.refuse(session, context, &Code::Internal.into()).await;
        };
        let reception = receive::route_and_authorize(
            &self.judge,
            &context.snapshot,
            &connection,
            session.req_header(),
            context.arrived,
        )
        .await;
        match reception {
            Reception::Refused(mut refusal) => {
                if let Some(denied) = refusal.denied.take() {
                    context.stage = Stage::Denied(denied);
                }
                self.refuse(session, context, &refusal).await
            }
            Reception::Own { canonical, path, caller } => {
                context.stage = Stage::Own { principal: caller.principal.clone() };
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
            Reception::Vouched { route, permit } => {
                context.stage = Stage::Own { principal: permit.principal().cloned() };
                let assertions = &self.assertions;
                Box::pin(forward_auth::forward_auth_response(session, context, assertions, &route, &permit))
                    .await?;
                Ok(true)
            }
            Reception::Permitted(passage) => {
                let length = receive::announced_length(&session.req_header().headers);
                if length.is_some_and(|length| length > passage.route.max_body) {
                    return self.refuse(session, context, &Code::BodyTooLarge.into()).await;
                }
                if passage.handshake {
                    // Boxed: this is rare, and its size would be paid on every request.
                    let begun = Box::pin(self.begin_websocket(&passage, context)).await;
                    if let Err(code) = begun {
                        context.stage = Stage::Denied(Box::new(passage.deny()));
                        return self.refuse(session, context, &code.into()).await;
                    }
                } else {
                    Connection::attach(held(&passage, &context.request_id));
                }
                let direct = exchange::is_for(&passage, session);
                context.stage = Stage::Permitted(Box::new(passage));
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
        context: &mut Context,
    ) -> Result<Box<HttpPeer>> {
        let left = forward::select_server(context)?;
        forward::peer(session, context, left)
    }

    async fn request_body_filter(
        &self,
        _session: &mut Session,
        body: &mut Option<Bytes>,
        _end_of_stream: bool,
        context: &mut Context,
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
            return Err(answer::refusal(Code::BodyTooLarge));
        }
        answer::check_time(context)
    }

    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        upstream_request: &mut RequestHeader,
        context: &mut Context,
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
        context: &mut Context,
    ) -> Result<()> {
        answer::filter_answer(session, upstream_response, context)
    }

    fn response_body_filter(
        &self,
        _session: &mut Session,
        _body: &mut Option<Bytes>,
        _end_of_stream: bool,
        context: &mut Context,
    ) -> Result<Option<Duration>> {
        answer::check_time(context).map(|()| None)
    }

    fn fail_to_connect(
        &self,
        _session: &mut Session,
        _peer: &HttpPeer,
        context: &mut Context,
        error: Box<Error>,
    ) -> Box<Error> {
        self.on_connect_error(error, context)
    }

    fn error_while_proxy(
        &self,
        _peer: &HttpPeer,
        session: &mut Session,
        error: Box<Error>,
        context: &mut Context,
        client_reused: bool,
    ) -> Box<Error> {
        self.on_exchange_error(error, session, context, client_reused)
    }

    async fn fail_to_proxy(
        &self,
        session: &mut Session,
        error: &Error,
        context: &mut Context,
    ) -> FailToProxy {
        let code = answer::code_of(error);
        let gone = code.is_none();
        if let Some(code) = code
            && answer::final_status(session).is_none()
        {
            context.refused = Some(code);
            session.set_keepalive(None);
            let written = respond::refuse(session, &code.into(), &context.request_id).await;
            if let Err(error) = written {
                tracing::debug!(%error, "the client disconnected before the response was written");
            }
        }
        let error_code = if gone { 0 } else { code.map_or(0, Code::status) };
        FailToProxy { error_code, can_reuse_downstream: false }
    }

    async fn logging(&self, session: &mut Session, error: Option<&Error>, context: &mut Context) {
        Connection::attach(None);
        record::finished(&self.ledger, session, error, context);
    }

    // Each refusal and failure has its own line; pingora's would repeat it with whole paths.
    fn suppress_error_log(&self, _session: &Session, _context: &Context, _error: &Error) -> bool {
        true
    }
}
