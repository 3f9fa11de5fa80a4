//! Healthy callers beside thousands of connections that send one byte a second.

use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::load;

const CONNECTIONS: usize = 10_000;
const HEAD: &[u8] = b"GET /api/orders HTTP/1.1\r\nHost: app.example.test\r\nX-Slow: ";

/// Prints the p99 of healthy callers alone and beside the slow ones.
pub(crate) fn print(folder: &Path, address: SocketAddr, tokens: &Path, time: Duration) {
    let alone = load::run(folder, address, tokens, time);
    let stop = Arc::new(AtomicBool::new(false));
    let open = Arc::new(AtomicUsize::new(0));
    let dripping = {
        let (stop, open) = (Arc::clone(&stop), Arc::clone(&open));
        thread::spawn(move || drip(address, &stop, &open))
    };
    while open.load(Ordering::Relaxed) < CONNECTIONS {
        thread::yield_now();
    }
    let beside = load::run(folder, address, tokens, time);
    stop.store(true, Ordering::Relaxed);
    let reopened = dripping.join().unwrap();
    println!(
        "\n{CONNECTIONS} connections that send a byte a second ({reopened} times cut off and back): \
         p99 of the others {:.0} us alone, {:.0} us beside them, {:.2} x",
        alone.p99,
        beside.p99,
        beside.p99 / alone.p99
    );
}

/// Sends a byte on each connection every second, and opens anew what was closed. How often it was.
fn drip(address: SocketAddr, stop: &AtomicBool, open: &AtomicUsize) -> usize {
    let mut connections: Vec<(TcpStream, usize)> = Vec::with_capacity(CONNECTIONS);
    let mut reopened = 0;
    while !stop.load(Ordering::Relaxed) {
        let round = Instant::now();
        for (stream, sent) in &mut connections {
            let byte = HEAD.get(*sent).unwrap_or(&b'x');
            *sent += 1;
            if stream.write_all(&[*byte]).is_err() {
                reopened += 1;
                (*stream, *sent) = (connect(address, reopened), 0);
            }
        }
        while connections.len() < CONNECTIONS {
            connections.push((connect(address, connections.len()), 0));
        }
        open.store(connections.len(), Ordering::Relaxed);
        thread::park_timeout(Duration::from_secs(1).saturating_sub(round.elapsed()));
    }
    reopened
}

/// From one of many addresses: what one address may open is bounded, and many is the harder case.
fn connect(address: SocketAddr, number: usize) -> TcpStream {
    let [_, _, high, low] = u32::try_from(number % 60_000).unwrap().to_be_bytes();
    let from = SocketAddr::from((Ipv4Addr::new(127, 1, high, low.max(1)), 0));
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind(from).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let stream = runtime.block_on(socket.connect(address)).unwrap().into_std().unwrap();
    stream.set_nonblocking(false).unwrap();
    stream.set_write_timeout(Some(Duration::from_secs(1))).unwrap();
    stream
}
