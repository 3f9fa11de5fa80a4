//! The properties of a client connection.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;

use http::HeaderValue;

use super::tether::{Held, Tether};
use crate::live::certificates::PeerCertificate;

/// Facts about one accepted connection, parsed once and shared by its requests.
#[derive(Debug)]
pub struct Connection {
    /// The other end of the socket.
    pub peer: SocketAddr,
    /// The address that was listened on, as configured.
    pub listener: SocketAddr,
    /// Whether it is TLS.
    pub secure: bool,
    /// The host name the caller asked for in the TLS handshake, lower case.
    pub server_name: Option<Box<str>>,
    /// A verified client certificate.
    pub certificate: Option<PeerCertificate>,
    /// Which CAs a client certificate was held against, as in [`crate::live::snapshot::Tls`].
    pub clients: Option<u64>,
    /// `X-Forwarded-For` where no proxy before us is believed.
    pub forwarded_for: HeaderValue,
}

tokio::task_local! {
    static CURRENT: (Arc<Connection>, Arc<Tether>);
}

impl Connection {
    /// The value of `X-Forwarded-For` for a caller at this address.
    pub fn forwarded_for(peer: SocketAddr) -> HeaderValue {
        let text = peer.ip().to_canonical().to_string();
        HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("unknown"))
    }

    /// Runs `work`, with these facts and its tether to be found by the gateway. Sessions of HTTP/2
    /// have no place of their own for such facts, so the task carries them.
    pub async fn serve<F: Future>(self: Arc<Self>, tether: Arc<Tether>, work: F) -> F::Output {
        CURRENT.scope((self, tether), work).await
    }

    /// The facts of the connection being served; `None` outside `serve`.
    pub(super) fn current() -> Option<Arc<Self>> {
        CURRENT.try_with(|(connection, _)| Arc::clone(connection)).ok()
    }

    /// Ties the exchange that is being served to a session, or to none.
    pub(super) fn hold(held: Option<Held>) {
        // Outside of `serve` there is nothing that could be ended.
        let _ = CURRENT.try_with(|(_, tether)| tether.hold(held));
    }

    /// Subject CN of the verified client certificate.
    pub fn client_cn(&self) -> Option<&str> {
        self.certificate.as_ref().and_then(|certificate| certificate.common_name.as_deref())
    }
}
