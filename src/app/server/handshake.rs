//! The TLS handshake of an accepted socket.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use super::admission::Place;
use super::stream::GuardedStream;
use super::transport::Transport;
use crate::doors::proxy::Connection;
use crate::live::certificates;
use crate::live::snapshot::Tls;

/// The TLS handshake failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failed {
    /// It took longer than `limits.header_timeout`.
    TimedOut,
    /// Either side rejected it.
    Refused,
}

/// The local and remote addresses of a socket.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ends {
    pub(super) peer: SocketAddr,
    pub(super) listener: SocketAddr,
}

/// A plain connection; `patience` as in [`GuardedStream::new`].
pub(super) fn plain(
    tcp: TcpStream,
    ends: Ends,
    patience: Duration,
    place: Place,
) -> (GuardedStream, Connection) {
    let connection = Connection {
        peer: ends.peer,
        listener: ends.listener,
        secure: false,
        server_name: None,
        certificate: None,
        clients: None,
        forwarded_for: Connection::forwarded_for(ends.peer),
    };
    (GuardedStream::new(Transport::Plain(tcp), false, patience, place), connection)
}

/// A TLS connection, within a total time.
pub(super) async fn tls(
    tcp: TcpStream,
    ends: Ends,
    patience: Duration,
    place: Place,
    tls: Tls,
    total: Duration,
) -> Result<(GuardedStream, Connection), Failed> {
    let accepted = tokio::time::timeout(total, TlsAcceptor::from(tls.config).accept(tcp)).await;
    let stream = accepted.map_err(|_| Failed::TimedOut)?.map_err(|error| {
        tracing::debug!(%error, "TLS handshake failed");
        Failed::Refused
    })?;
    let session = stream.get_ref().1;
    let http2 = session.alpn_protocol() == Some(b"h2");
    let leaf = session.peer_certificates().and_then(<[_]>::first);
    let connection = Connection {
        peer: ends.peer,
        listener: ends.listener,
        secure: true,
        server_name: session.server_name().map(|name| name.to_ascii_lowercase().into()),
        certificate: leaf.map(certificates::facts),
        clients: Some(tls.clients),
        forwarded_for: Connection::forwarded_for(ends.peer),
    };
    Ok((GuardedStream::new(Transport::Tls(Box::new(stream)), http2, patience, place), connection))
}
