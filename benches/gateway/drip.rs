//! Healthy callers beside thousands of connections that send one byte a second.

use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use crate::paced;
use crate::process::Crowd;
use crate::table::{self, Target};

const CONNECTIONS: usize = 10_000;
/// The second is cut into so many parts, each with its share of the connections.
const PARTS: usize = 1_000;
const HEAD: &[u8] = b"GET /api/orders HTTP/1.1\r\nHost: app.example.test\r\nX-Slow: ";

/// From one request of a healthy caller to its next.
const PAUSE: Duration = Duration::from_millis(4);
/// Rounds, of which the median counts, alone and beside the slow ones in turn: on a shared machine one
/// p99 says little.
const ROUNDS: usize = 9;

/// Prints the p99 of healthy callers alone and beside the slow ones, which are a process of their
/// own on the core of the load; for Guarita and for the bare proxy.
pub(crate) fn print(targets: &[&Target], tokens: &Path, time: Duration) {
    println!("\np99 of the others beside {CONNECTIONS} connections that send a byte a second:");
    for target in targets {
        let gateway = target.running();
        let p99 = || paced::p99(gateway.address, tokens, time, PAUSE);
        let (alone, beside) = table::in_turn(ROUNDS, p99, || {
            let slow = Crowd::start("drip", gateway.address);
            let p99 = p99();
            drop(slow);
            gateway.settle();
            p99
        });
        let name = target.name();
        println!("{name}: {beside:.0} us instead of {alone:.0} us, {:.2} x", beside / alone);
    }
}

/// Sends a byte on each connection every second, and opens anew what was closed, for ever.
pub(crate) fn serve(address: &str) {
    let address = address.parse().unwrap();
    let mut opened = 0;
    let mut connections: Vec<(TcpStream, usize)> = (0..CONNECTIONS)
        .map(|_| {
            opened += 1;
            (connect(address, opened), 0)
        })
        .collect();
    println!("open");
    loop {
        for part in connections.chunks_mut(CONNECTIONS / PARTS) {
            let began = Instant::now();
            for (stream, sent) in part {
                let byte = HEAD.get(*sent).unwrap_or(&b'x');
                *sent += 1;
                if stream.write_all(&[*byte]).is_err() {
                    opened += 1;
                    (*stream, *sent) = (connect(address, opened), 0);
                }
            }
            let share = Duration::from_secs(1) / u32::try_from(PARTS).unwrap();
            thread::park_timeout(share.saturating_sub(began.elapsed()));
        }
    }
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
