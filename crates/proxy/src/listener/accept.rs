//! The accept loop (docs/decisions/0001): connection limits, handshake, then one task per connection.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use pingora_core::apps::HttpServerApp as _;
use tokio::net::TcpStream;

use super::connection_limit::{ConnectionLimiter, ConnectionPermit};
use super::handshake::{self, ConnectionAddrs};
use super::inherited::BoundSocket;
use crate::connection::serve::Service;
use crate::revocation::InFlightGuard;
use crate::snapshot::{CurrentSnapshot, Snapshot};

/// Pause after a failed accept, for example when no file descriptors are left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

/// Maximum number of connections that are still accepted from a closing listener; larger than the backlog.
const MAX_BACKLOG_DRAIN: usize = 8192;

/// A bound address.
pub struct AcceptingListener {
    pub bound: BoundSocket,
    /// The address as configured: the key of its TLS in the snapshot.
    pub address: SocketAddr,
}

/// The context of the accept loop.
#[derive(Clone)]
pub struct Acceptor {
    pub live: Arc<CurrentSnapshot>,
    pub admission: Arc<ConnectionLimiter>,
    pub service: Service,
}

impl Acceptor {
    /// Accepts until the shutdown begins. Connections that wait by then are still accepted, here or by processes that
    /// share the socket.
    pub async fn run(self, listener: AcceptingListener) {
        let mut shutdown = self.service.shutdown.clone();
        loop {
            let accepted = tokio::select! {
                biased;
                _ = shutdown.changed() => return self.drain_backlog(listener),
                accepted = listener.bound.socket.accept() => accepted,
            };
            match accepted {
                Ok((tcp, peer)) => {
                    self.admit(tcp, ConnectionAddrs { peer, listener: listener.address });
                }
                Err(error) => {
                    tracing::warn!(%error, "accepting a connection failed");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// Accepts the connections in the backlog: the system would reset them when the last holder closes the socket.
    fn drain_backlog(&self, listener: AcceptingListener) {
        if listener.bound.inherited {
            return;
        }
        let Ok(socket) = listener.bound.socket.into_std() else { return };
        for _ in 0..MAX_BACKLOG_DRAIN {
            let Ok((tcp, peer)) = socket.accept() else { return };
            if tcp.set_nonblocking(true).is_ok()
                && let Ok(tcp) = TcpStream::from_std(tcp)
            {
                self.admit(tcp, ConnectionAddrs { peer, listener: listener.address });
            }
        }
    }

    /// From now on upstream responses announce that they are the last on their connection.
    pub async fn announce_close(&self) {
        self.service.proxy.http_cleanup().await;
    }

    /// Returns when no connection is open.
    pub async fn wait_until_empty(&self) {
        self.admission.wait_until_empty().await;
    }

    fn admit(&self, tcp: TcpStream, ends: ConnectionAddrs) {
        let snapshot = self.live.read();
        let limits = &snapshot.limits;
        let place = self.admission.acquire(
            ends.peer.ip(),
            limits.connections,
            limits.connections_per_address,
        );
        match place {
            Ok(place) => {
                self.service.metrics.connections(self.admission.open());
                let tied = self.service.tethers.tie();
                let tether = Arc::clone(tied.tether());
                let serving = tokio::spawn(self.clone().serve(tcp, ends, place, tied, snapshot));
                tether.bind(serving.abort_handle());
            }
            Err(full) => self.service.metrics.connection_refused(full.as_str()),
        }
    }

    async fn serve(
        self,
        tcp: TcpStream,
        ends: ConnectionAddrs,
        place: ConnectionPermit,
        tied: InFlightGuard,
        snapshot: Arc<Snapshot>,
    ) {
        if let Err(error) = tcp.set_nodelay(true) {
            tracing::debug!(%error, "the client disconnected at once");
            return;
        }
        let limits = snapshot.limits.clone();
        let config = snapshot.tls.get(&ends.listener).cloned().flatten();
        // A connection may live long; do not keep its initial snapshot alive.
        drop(snapshot);
        let patience = limits.idle_timeout;
        let accepted = match config {
            None => Ok(handshake::plain(tcp, ends, patience, place)),
            Some(config) => {
                let total = limits.header_timeout;
                let accepted = handshake::tls(tcp, ends, patience, place, config, total).await;
                self.service.metrics.tls_handshake(accepted.is_ok());
                accepted
            }
        };
        if let Ok((stream, connection)) = accepted {
            let tether = Arc::clone(tied.tether());
            self.service.clone().serve(stream, connection, tether, &limits).await;
        }
        self.service.metrics.connections(self.admission.open());
    }
}
