//! A way to a server that can be led elsewhere, as a virtual address is, and that can be slow.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Where it leads, and how long what is asked takes on its way.
#[derive(Clone, Copy, Debug)]
struct Way {
    target: SocketAddr,
    delay: Duration,
}

/// A relay; its connections end with it.
pub struct Relay {
    pub address: SocketAddr,
    way: watch::Sender<Way>,
    accepting: JoinHandle<()>,
}

impl Relay {
    pub async fn to(target: SocketAddr) -> Self {
        let (way, known) = watch::channel(Way { target, delay: Duration::ZERO });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let accepting = tokio::spawn(async move {
            while let Ok((caller, _)) = listener.accept().await {
                tokio::spawn(carry(caller, known.clone()));
            }
        });
        Self { address, way, accepting }
    }

    /// Leads to another server. Connections to the one before break.
    pub fn lead_to(&self, target: SocketAddr) {
        self.way.send_modify(|way| way.target = target);
    }

    /// How long each message to the server takes from now on.
    pub fn slow_down(&self, delay: Duration) {
        self.way.send_modify(|way| way.delay = delay);
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn carry(caller: TcpStream, way: watch::Receiver<Way>) {
    let target = way.borrow().target;
    let Ok(server) = TcpStream::connect(target).await else { return };
    let (from_caller, to_caller) = caller.into_split();
    let (from_server, to_server) = server.into_split();
    let mut moved = way.clone();
    tokio::select! {
        () = copy(from_caller, to_server, Some(way)) => {}
        () = copy(from_server, to_caller, None) => {}
        _ = moved.wait_for(|way| way.target != target) => {}
    }
}

async fn copy(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    way: Option<watch::Receiver<Way>>,
) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        let delay = way.as_ref().map_or(Duration::ZERO, |way| way.borrow().delay);
        if !delay.is_zero() {
            // The fault itself, and no wait of a test for anything.
            let late = tokio::time::timeout(delay, std::future::pending::<()>()).await;
            assert!(late.is_err());
        }
        if to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}
