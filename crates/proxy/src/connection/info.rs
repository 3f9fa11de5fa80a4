//! The properties of a client connection.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;

use http::HeaderValue;

use crate::listener::certificates::PeerCertificate;
use crate::revocation::in_flight::{PermittedFor, RequestHandle};

/// The properties of an accepted connection, determined once and shared by its requests.
#[derive(Debug)]
pub struct ConnectionInfo {
    /// The peer's address.
    pub peer: SocketAddr,
    /// The listener's address, as configured.
    pub listener: SocketAddr,
    /// Whether it is TLS.
    pub secure: bool,
    /// The SNI of the TLS handshake, in lower case.
    pub server_name: Option<Box<str>>,
    /// The verified client certificate.
    pub certificate: Option<PeerCertificate>,
    /// The CAs that the client certificate was verified with, as in [`crate::snapshot::ListenerTlsContext`].
    pub clients: Option<u64>,
    /// `X-Forwarded-For` if the peer is not a trusted proxy.
    pub forwarded_for: HeaderValue,
}

tokio::task_local! {
    static CURRENT: (Arc<ConnectionInfo>, Arc<RequestHandle>);
}

impl ConnectionInfo {
    /// The value of `X-Forwarded-For` for a client at this address.
    pub fn forwarded_for(peer: SocketAddr) -> HeaderValue {
        let text = peer.ip().to_canonical().to_string();
        HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("unknown"))
    }

    /// Runs `work` with these properties and the request handle as task-local values, because pingora's HTTP/2
    /// sessions cannot hold them.
    pub async fn serve<F: Future>(
        self: Arc<Self>,
        tether: Arc<RequestHandle>,
        work: F,
    ) -> F::Output {
        CURRENT.scope((self, tether), work).await
    }

    /// The properties of the current connection; [`None`] outside of `serve`.
    pub(crate) fn current() -> Option<Arc<Self>> {
        CURRENT.try_with(|(connection, _)| Arc::clone(connection)).ok()
    }

    /// Binds the current request to what it was authorized for, or to nothing.
    pub(crate) fn attach(held: Option<PermittedFor>) {
        // Outside of `serve` there is nothing that could be ended.
        let _ = CURRENT.try_with(|(_, tether)| tether.attach(held));
    }

    /// Subject CN of the verified client certificate.
    pub fn client_cn(&self) -> Option<&str> {
        self.certificate.as_ref().and_then(|certificate| certificate.common_name.as_deref())
    }
}
