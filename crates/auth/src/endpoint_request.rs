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
    /// The canonical host of the request.
    pub host: Arc<str>,
    /// The client's address.
    pub client: IpAddr,
    /// The subject common name of the verified client certificate.
    pub common_name: Option<Arc<str>>,
    /// Whether a credential was presented, even an invalid one.
    pub presented: bool,
    /// The caller, if authenticated.
    pub principal: Option<Principal>,
    /// The caller, if authenticated but without the required second factor. Used only by the endpoints that enrol
    /// one.
    pub half_proven: Option<Principal>,
    /// The credential cannot be checked at present. This differs from no credential: a logout must not report
    /// success.
    pub unknowable: bool,
    /// What the caller was authenticated with. The endpoint goes by the same, to the end of the request.
    pub snapshot: Arc<AuthSnapshot>,
}
