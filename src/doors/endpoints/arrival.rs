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
}

impl Arrival {
    /// A refusal under this request's id.
    pub fn refuse(&self, code: Code) -> Refused {
        Refused::new(code, &self.request_id)
    }
}
