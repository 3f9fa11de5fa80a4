//! A request to an endpoint of our own, as the proxy hands it on.

use std::net::IpAddr;
use std::sync::Arc;

use guarita_core::Principal;

use crate::snapshot::AuthSnapshot;

/// What the proxy found out about a request before an endpoint of our own handles it: the caller is authenticated
/// already. Travels in the extensions of the request.
#[derive(Clone, Debug)]
pub struct EndpointRequest {
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
    /// What the caller was authenticated with. The endpoint goes by the same, to the end of the request.
    pub snapshot: Arc<AuthSnapshot>,
}
