//! The information about a request that the proxy passes to the endpoints.

use std::fmt::Display;
use std::ops::Deref;

use guarita_auth::EndpointRequest;
use guarita_core::{Code, Principal, SessionId, UserId};
use guarita_telemetry::events::Origin;

use super::error::Rejection;

/// An [`EndpointRequest`], as handlers take it.
#[derive(Clone, Debug)]
pub struct RequestInfo(pub(super) EndpointRequest);

impl Deref for RequestInfo {
    type Target = EndpointRequest;

    fn deref(&self) -> &EndpointRequest {
        &self.0
    }
}

impl RequestInfo {
    /// A rejection with this request's id. A caller that only lacks its second factor is told so, and one that
    /// cannot be authenticated at present is not asked to sign in.
    pub fn refuse(&self, code: Code) -> Rejection {
        let code = match code == Code::Unauthorized {
            true if self.half_proven.is_some() => Code::SecondFactorRequired,
            true if self.unknowable => Code::Unavailable,
            true | false => code,
        };
        Rejection::new(code, &self.request_id)
    }

    /// The rejection for an internal fault, which is logged here and not sent to the client.
    pub(super) fn failed(&self, what: &str, fault: &dyn Display) -> Rejection {
        tracing::error!(requestId = &*self.request_id, %fault, "{what}");
        self.refuse(Code::Unavailable)
    }

    /// What events of this request say about it.
    pub(super) fn origin(&self) -> Origin<'_> {
        Origin { request_id: &self.request_id, address: self.client }
    }

    /// The caller's local account and session.
    pub(super) fn signed_in(&self) -> Result<(UserId, SessionId), Rejection> {
        self.session_of(self.principal.as_ref())
    }

    /// The same, also for a caller without its required second factor.
    pub(super) fn session_pending_mfa(&self) -> Result<(UserId, SessionId), Rejection> {
        self.session_of(self.principal_or_pending())
    }

    fn session_of(&self, caller: Option<&Principal>) -> Result<(UserId, SessionId), Rejection> {
        caller
            .map(Principal::identity)
            .and_then(|identity| Some((identity.user()?, identity.session()?)))
            .ok_or_else(|| self.refuse(Code::Unauthorized))
    }

    /// The caller, also without its required second factor.
    pub fn principal_or_pending(&self) -> Option<&Principal> {
        self.principal.as_ref().or(self.half_proven.as_ref())
    }
}
