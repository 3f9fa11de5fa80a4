//! What the proxy knows of a request before an endpoint sees it.

use std::net::IpAddr;
use std::sync::Arc;

use crate::model::{Code, Principal};

use super::refusal::Refused;

/// Handed in through the request's extensions: the proxy judged the caller already.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// `x-request-id`
    pub request_id: Arc<str>,
    /// Where the request comes from.
    pub client: IpAddr,
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

impl Arrival {
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

    /// The caller, also where it lacks its second factor.
    pub fn enrolling(&self) -> Option<&Principal> {
        self.principal.as_ref().or(self.half_proven.as_ref())
    }
}
