//! The pool of idle HTTP/1.1 connections to upstream servers. pingora opens them. Its own pool keeps a task per
//! idle connection, which is expensive (docs/decisions/0014); here a single task watches all of them.

use std::collections::HashMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use pingora_core::Result;
use pingora_core::connectors::{ConnectorOptions, TransportConnector};
use pingora_core::protocols::Stream;
use pingora_core::upstreams::peer::HttpPeer;
use tokio::io::AsyncReadExt as _;
use tokio::task::unconstrained;
use tokio::time::MissedTickBehavior;

/// Interval of checking idle connections.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// Maximum number of idle connections tried for a request; if so many are closed, all are assumed to be.
const MAX_PROBES: usize = 8;

/// Number of idle connections checked per lock acquisition.
const SWEEP_BATCH: usize = 64;

/// The pool key: the address, and the upstream with its TLS identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PoolKey {
    pub(super) group: u64,
    pub address: SocketAddr,
}

/// Opens connections, and keeps idle ones for reuse.
pub struct IdlePool {
    connector: TransportConnector,
    /// Maximum number of idle connections to all servers.
    most: usize,
    waiting: Mutex<IdleConnections>,
}

#[derive(Default)]
struct IdleConnections {
    /// The longest idle connection first.
    by_way: HashMap<PoolKey, Vec<Idle>>,
    count: usize,
}

struct Idle {
    stream: Stream,
    until: Instant,
}

impl IdlePool {
    /// Creates a pool of at most `most` connections, which are checked on the current runtime.
    pub fn start(most: usize) -> Arc<Self> {
        let connections = Arc::new(Self::new(most));
        tokio::spawn(look_after(Arc::downgrade(&connections)));
        connections
    }

    fn new(most: usize) -> Self {
        // It makes connections only, and keeps none.
        let connector = TransportConnector::new(Some(ConnectorOptions::new(1)));
        Self { connector, most, waiting: Mutex::default() }
    }

    /// Opens a connection.
    ///
    /// # Errors
    /// The server cannot be reached or verified within the peer's time-outs.
    pub async fn connect(&self, peer: &HttpPeer) -> Result<Stream> {
        self.connector.new_stream(peer).await
    }

    /// The most recently used idle connection for this key. Its server may still close it at any time.
    pub fn take(&self, way: PoolKey) -> Option<Stream> {
        for _ in 0..MAX_PROBES {
            let mut idle = self.lock().pop(way)?;
            if idle.until > Instant::now() && is_quiet(&mut idle.stream) {
                return Some(idle.stream);
            }
        }
        None
    }

    /// Keeps an idle connection for this time, or closes it if the pool is full.
    pub fn keep(&self, way: PoolKey, stream: Stream, time: Duration) {
        let idle = Idle { stream, until: Instant::now() + time };
        // What is not kept is closed once the lock is free.
        let _closed = self.lock().push(way, idle, self.most);
    }

    /// Closes connections that were idle for too long or were closed by their server.
    fn sweep(&self, now: Instant) {
        let ways: Vec<PoolKey> = self.lock().by_way.keys().copied().collect();
        for way in ways {
            let mut from = Some(0);
            while let Some(start) = from {
                // As above: what ended is closed without the lock, and so others get at it between two portions.
                let (_closed, next) = self.lock().take_ended(way, start, now);
                from = next;
            }
        }
        self.lock().by_way.retain(|_, list| !list.is_empty());
    }

    fn lock(&self) -> MutexGuard<'_, IdleConnections> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl IdleConnections {
    fn pop(&mut self, way: PoolKey) -> Option<Idle> {
        let idle = self.by_way.get_mut(&way)?.pop()?;
        self.count = self.count.saturating_sub(1);
        Some(idle)
    }

    /// Adds a connection; returns it if the pool is full.
    fn push(&mut self, way: PoolKey, idle: Idle, most: usize) -> Option<Idle> {
        if self.count >= most {
            return Some(idle);
        }
        self.count += 1;
        self.by_way.entry(way).or_default().push(idle);
        None
    }

    /// The connections to close in the batch that begins there, and the start of the next batch.
    fn take_ended(
        &mut self,
        way: PoolKey,
        start: usize,
        now: Instant,
    ) -> (Vec<Idle>, Option<usize>) {
        let Some(list) = self.by_way.get_mut(&way) else { return (Vec::new(), None) };
        let end = start.saturating_add(SWEEP_BATCH).min(list.len());
        let has_ended = |idle: &mut Idle| idle.until <= now || !is_quiet(&mut idle.stream);
        let ended: Vec<_> = list.extract_if(start.min(end)..end, has_ended).collect();
        self.count = self.count.saturating_sub(ended.len());
        let next = end.saturating_sub(ended.len());
        (ended, (next < list.len()).then_some(next))
    }
}

/// Whether an idle connection is still usable: readable data on it is either its end or an unsolicited response.
fn is_quiet(stream: &mut Stream) -> bool {
    let mut byte = [0];
    unconstrained(stream.read(&mut byte)).now_or_never().is_none()
}

/// Ends when the connections are dropped.
async fn look_after(connections: Weak<IdlePool>) {
    let mut ticks = tokio::time::interval(SWEEP_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some(connections) = connections.upgrade() else { return };
        connections.sweep(Instant::now());
    }
}

impl fmt::Debug for IdlePool {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Connections").field("most", &self.most).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use pingora_core::protocols::{UniqueID as _, UniqueIDType};
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::{TcpListener, TcpStream};
    use tokio::time::timeout;

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    fn way(group: u64) -> PoolKey {
        PoolKey { group, address: "192.0.2.1:80".parse().unwrap() }
    }

    /// Our end, its number, and the server's end.
    async fn connection() -> (Stream, UniqueIDType, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let ours = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (theirs, _) = listener.accept().await.unwrap();
        let ours = pingora_core::protocols::l4::stream::Stream::from(ours);
        let number = ours.id();
        (Box::new(ours), number, theirs)
    }

    #[tokio::test]
    async fn the_last_one_kept_is_taken_first_and_only_its_own_way() {
        let connections = IdlePool::new(8);
        let (first, oldest, _server) = connection().await;
        let (second, newest, _other) = connection().await;
        connections.keep(way(1), first, LONG);
        connections.keep(way(1), second, LONG);
        assert!(connections.take(way(2)).is_none(), "another upstream");
        let elsewhere = PoolKey { address: "192.0.2.2:80".parse().unwrap(), ..way(1) };
        assert!(connections.take(elsewhere).is_none(), "another address");
        assert_eq!(connections.take(way(1)).unwrap().id(), newest);
        assert_eq!(connections.take(way(1)).unwrap().id(), oldest);
        assert!(connections.take(way(1)).is_none());
        assert_eq!(connections.lock().count, 0);
    }

    #[tokio::test]
    async fn no_more_than_the_most_are_kept() {
        let connections = IdlePool::new(1);
        let (first, kept, _server) = connection().await;
        let (second, _, mut other) = connection().await;
        connections.keep(way(1), first, LONG);
        connections.keep(way(2), second, LONG);
        assert_eq!(other.read(&mut [0]).await.unwrap(), 0, "it was closed");
        assert_eq!(connections.take(way(1)).unwrap().id(), kept);
    }

    #[tokio::test]
    async fn what_waited_too_long_is_neither_taken_nor_kept() {
        let connections = IdlePool::new(8);
        let (stream, _, _server) = connection().await;
        connections.keep(way(1), stream, Duration::ZERO);
        assert!(connections.take(way(1)).is_none());
        let (first, _, mut server) = connection().await;
        let (second, left, _other) = connection().await;
        connections.keep(way(1), first, LONG);
        connections.keep(way(1), second, LONG * 2);
        connections.sweep(Instant::now() + LONG);
        assert_eq!(server.read(&mut [0]).await.unwrap(), 0, "it was closed");
        assert_eq!(connections.lock().count, 1);
        assert_eq!(connections.take(way(1)).unwrap().id(), left);
    }

    #[tokio::test]
    async fn no_request_waits_until_all_that_ended_are_closed() {
        let connections = IdlePool::new(MAX_PROBES + 2);
        for _ in 0..MAX_PROBES + 2 {
            connections.keep(way(1), ended(b"").await, LONG);
        }
        assert!(connections.take(way(1)).is_none());
        assert_eq!(connections.lock().count, 2);
    }

    #[tokio::test]
    async fn all_that_ended_are_swept_away_portion_by_portion() {
        let connections = IdlePool::new(4 * SWEEP_BATCH);
        let mut servers = Vec::new();
        for number in 0..2 * SWEEP_BATCH + 2 {
            let (stream, _, server) = connection().await;
            servers.push(server);
            connections.keep(way(1), stream, LONG);
            if number % 2 == 0 {
                connections.keep(way(1), ended(b"").await, LONG);
            }
        }
        connections.sweep(Instant::now());
        assert_eq!(connections.lock().count, servers.len());
        connections.sweep(Instant::now() + LONG);
        assert_eq!(connections.lock().count, 0);
        assert!(connections.lock().by_way.is_empty());
    }

    #[tokio::test]
    async fn nobody_need_ask_for_what_waited_too_long_to_be_closed() {
        let connections = IdlePool::start(8);
        let (stream, _, mut server) = connection().await;
        connections.keep(way(1), stream, Duration::ZERO);
        let closed = timeout(LONG, server.read(&mut [0])).await.expect("it is closed");
        assert_eq!(closed.unwrap(), 0);
    }

    #[tokio::test]
    async fn what_its_server_closed_or_speaks_on_is_neither_taken_nor_kept() {
        for word in [&b""[..], b"HTTP/1.1 200 OK\r\n\r\n"] {
            let connections = IdlePool::new(8);
            let (spare, quiet, _server) = connection().await;
            connections.keep(way(1), spare, LONG);
            connections.keep(way(1), ended(word).await, LONG);
            assert_eq!(connections.take(way(1)).unwrap().id(), quiet);
            assert_eq!(connections.lock().count, 0);
            connections.keep(way(1), ended(word).await, LONG);
            connections.sweep(Instant::now());
            assert!(connections.lock().by_way.is_empty());
        }
    }

    /// A connection whose server said that word and left, as has been heard here.
    async fn ended(word: &[u8]) -> Stream {
        let (mut stream, _, mut server) = connection().await;
        server.write_all(b"!").await.unwrap();
        server.write_all(word).await.unwrap();
        drop(server);
        let heard = stream.read(&mut [0]).await.unwrap();
        assert_eq!(heard, 1);
        stream
    }
}
