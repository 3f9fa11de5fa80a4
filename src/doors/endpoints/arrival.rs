//! The information about a request that the proxy passes to the endpoints.

use std::fmt::Display;
use std::net::IpAddr;
use std::sync::Arc;

use crate::adapters::telemetry::{Event, Name};
use crate::model::{Code, Principal, SessionId, UserId};

use super::refusal::Refused;

/// Handed in through the request's extensions: the proxy judged the caller already.
#[derive(Clone, Debug)]
pub struct RequestInfo {
    /// `x-request-id`
    pub request_id: Arc<str>,
    /// The canonical host that was asked for.
    pub host: Arc<str>,
    /// Where the request comes from.
    pub client: IpAddr,
    /// The subject common name of the client certificate that the listener verified.
    pub common_name: Option<Arc<str>>,
    /// Whether a credential was brought, whether or not it counts.
    pub presented: bool,
    /// The caller, where proven.
    pub principal: Option<Principal>,
    /// The caller that is proven but for the second factor demanded of it: only what enrols one
    /// looks here.
    pub half_proven: Option<Principal>,
    /// Nobody can say now whether the credential counts. It is not as if there were none: what ends
    /// a session must not say that it did.
    pub unknowable: bool,
}

impl RequestInfo {
    /// A refusal under this request's id. Who only lacks its second factor is told so, and who cannot
    /// be judged is not told to sign in.
    pub fn refuse(&self, code: Code) -> Refused {
        let code = match code == Code::Unauthorized {
            true if self.half_proven.is_some() => Code::SecondFactorRequired,
            true if self.unknowable => Code::Unavailable,
            true | false => code,
        };
        Refused::new(code, &self.request_id)
    }

    /// The refusal of what failed through a fault of ours, which is logged here and told nobody.
    pub(super) fn failed(&self, what: &str, fault: &dyn Display) -> Refused {
        tracing::error!(requestId = &*self.request_id, %fault, "{what}");
        self.refuse(Code::Unavailable)
    }

    /// What happened in this request, for the audit.
    pub(super) fn event(&self, name: Name) -> Event<'_> {
        Event { request_id: Some(&self.request_id), address: Some(self.client), ..Event::new(name) }
    }

    /// The local account of the caller, and its session; nobody else has either here.
    pub(super) fn signed_in(&self) -> Result<(UserId, SessionId), Refused> {
        self.session_of(self.principal.as_ref())
    }

    /// The same, also where the caller lacks its second factor.
    pub(super) fn session_pending_mfa(&self) -> Result<(UserId, SessionId), Refused> {
        self.session_of(self.principal_or_pending())
    }

    fn session_of(&self, caller: Option<&Principal>) -> Result<(UserId, SessionId), Refused> {
        caller
            .map(Principal::identity)
            .and_then(|identity| Some((identity.user()?, identity.session()?)))
            .ok_or_else(|| self.refuse(Code::Unauthorized))
    }

    /// The caller, also where it lacks its second factor.
    pub fn principal_or_pending(&self) -> Option<&Principal> {
        self.principal.as_ref().or(self.half_proven.as_ref())
    }
}
