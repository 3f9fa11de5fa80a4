//! Listening sockets: opened here, or inherited from the service manager (docs/decisions/0022).

use std::io;
use std::net::{SocketAddr, TcpListener as Socket};

use listenfd::ListenFd;
use sd_notify::NotifyState;
use tokio::net::TcpListener;

/// Sockets inherited from systemd or another service manager (`LISTEN_FDS`, sd_listen_fds(3)). They are shared:
/// waiting connections are accepted by any process that holds the socket, so none is lost when a process ends.
#[derive(Debug, Default)]
pub struct Inherited {
    sockets: Vec<(SocketAddr, Socket)>,
}

/// A listening socket, and whether other processes share it.
#[derive(Debug)]
pub struct BoundSocket {
    pub socket: TcpListener,
    /// Connections that are still waiting when this process ends are not lost.
    pub inherited: bool,
}

impl Inherited {
    /// Takes the inherited sockets, if there are any. Then it changes the environment, so it must run
    /// before `serve` has a second thread.
    ///
    /// # Errors
    /// An inherited file descriptor is not a TCP socket.
    pub fn take() -> io::Result<Self> {
        let mut given = ListenFd::from_env();
        let mut inherited = Vec::new();
        for number in 0..given.len() {
            if let Some(socket) = given.take_tcp_listener(number)? {
                inherited.push((socket.local_addr()?, socket));
            }
        }
        Ok(Self { sockets: inherited })
    }

    /// The inherited socket of that address, or a new one.
    pub async fn listen(&mut self, address: SocketAddr) -> io::Result<BoundSocket> {
        let found = self.sockets.iter().position(|(it, _)| *it == address);
        let found = found.or_else(|| self.sockets.iter().position(|(it, _)| is_any(*it, address)));
        let Some(found) = found else {
            return Ok(BoundSocket { socket: TcpListener::bind(address).await?, inherited: false });
        };
        let (_, socket) = self.sockets.swap_remove(found);
        socket.set_nonblocking(true)?;
        Ok(BoundSocket { socket: TcpListener::from_std(socket)?, inherited: true })
    }

    /// To be called when all configured listeners are open.
    ///
    /// # Errors
    /// The address of an inherited socket that no listener uses: its connections would wait forever.
    pub fn finish(self) -> Result<(), SocketAddr> {
        self.sockets.first().map_or(Ok(()), |(address, _)| Err(*address))
    }
}

/// Whether both are wildcard addresses: `ListenStream=8443` opens `[::]:8443`, which accepts IPv4 too.
fn is_any(one: SocketAddr, other: SocketAddr) -> bool {
    one.port() == other.port() && one.ip().is_unspecified() && other.ip().is_unspecified()
}

/// Notifies the service manager (`NOTIFY_SOCKET`, sd_notify(3)) that the gateway is ready.
pub fn notify_ready() {
    notify(NotifyState::Ready);
}

/// As [`notify_ready`], that we drain.
pub fn tell_stopping() {
    notify(NotifyState::Stopping);
}

fn notify(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(false, &[state]) {
        tracing::warn!(%error, "notifying the service manager failed");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sockets(addresses: &[&str]) -> (Inherited, Vec<SocketAddr>) {
        let inherited: Vec<_> = addresses
            .iter()
            .map(|address| Socket::bind(address).unwrap())
            .map(|socket| (socket.local_addr().unwrap(), socket))
            .collect();
        let addresses = inherited.iter().map(|(address, _)| *address).collect();
        (Inherited { sockets: inherited }, addresses)
    }

    #[tokio::test]
    async fn a_socket_is_found_by_its_address_and_others_are_opened() {
        let (mut sockets, addresses) = sockets(&["127.0.0.1:0", "0.0.0.0:0"]);
        let first = sockets.listen(addresses[0]).await.unwrap();
        assert_eq!((first.socket.local_addr().unwrap(), first.inherited), (addresses[0], true));
        let everywhere = SocketAddr::new("::".parse().unwrap(), addresses[1].port());
        let second = sockets.listen(everywhere).await.unwrap();
        assert_eq!((second.socket.local_addr().unwrap(), second.inherited), (addresses[1], true));
        let own = sockets.listen("127.0.0.1:0".parse().unwrap()).await.unwrap();
        assert!(!own.inherited);
        assert_eq!(sockets.finish(), Ok(()));
    }

    #[tokio::test]
    async fn a_socket_that_nothing_is_configured_for_is_told() {
        let (mut sockets, addresses) = sockets(&["127.0.0.1:0", "127.0.0.1:0"]);
        sockets.listen(addresses[0]).await.unwrap();
        assert_eq!(sockets.finish(), Err(addresses[1]));
    }
}
