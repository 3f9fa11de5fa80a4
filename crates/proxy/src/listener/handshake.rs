//! The TLS handshake of an accepted socket.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use super::connection_limit::ConnectionPermit;
use super::transport::Transport;
use crate::connection::ConnectionInfo;
use crate::connection::http1::Http1Stream;
use crate::listener::certificates;
use crate::snapshot::ListenerTlsContext;

/// The TLS handshake failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HandshakeFailure {
    /// It took longer than `limits.header_timeout`.
    TimedOut,
    /// Either side rejected it.
    Refused,
}

/// The local and remote addresses of a socket.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ConnectionAddrs {
    pub(crate) peer: SocketAddr,
    pub(crate) listener: SocketAddr,
}

/// A plain connection; `patience` as in [`Http1Stream::new`].
pub(crate) fn plain(
    tcp: TcpStream,
    ends: ConnectionAddrs,
    patience: Duration,
    place: ConnectionPermit,
) -> (Http1Stream, ConnectionInfo) {
    let connection = ConnectionInfo {
        peer: ends.peer,
        listener: ends.listener,
        secure: false,
        server_name: None,
        certificate: None,
        clients: None,
        forwarded_for: ConnectionInfo::forwarded_for(ends.peer),
    };
    (Http1Stream::new(Transport::Plain(tcp), false, patience, place), connection)
}

/// A TLS connection, within a total time.
pub(crate) async fn tls(
    tcp: TcpStream,
    ends: ConnectionAddrs,
    patience: Duration,
    place: ConnectionPermit,
    tls: ListenerTlsContext,
    total: Duration,
) -> Result<(Http1Stream, ConnectionInfo), HandshakeFailure> {
    let accepted = tokio::time::timeout(total, TlsAcceptor::from(tls.config).accept(tcp)).await;
    let stream = accepted.map_err(|_| HandshakeFailure::TimedOut)?.map_err(|error| {
        tracing::debug!(%error, "TLS handshake failed");
        HandshakeFailure::Refused
    })?;
    let session = stream.get_ref().1;
    let http2 = session.alpn_protocol() == Some(b"h2");
    let leaf = session.peer_certificates().and_then(<[_]>::first);
    let connection = ConnectionInfo {
        peer: ends.peer,
        listener: ends.listener,
        secure: true,
        server_name: session.server_name().map(|name| name.to_ascii_lowercase().into()),
        certificate: leaf.map(certificates::facts),
        clients: Some(tls.clients),
        forwarded_for: ConnectionInfo::forwarded_for(ends.peer),
    };
    Ok((Http1Stream::new(Transport::Tls(Box::new(stream)), http2, patience, place), connection))
}
