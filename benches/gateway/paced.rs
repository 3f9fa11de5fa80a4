//! Healthy callers: each asks, waits for the answer, and asks again a little later. Far from
//! saturation, the time they wait is a sign of what else the gateway does.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::process;

/// Callers, one connection each.
const CALLERS: u32 = 16;
/// The p99 of their waiting in microseconds, where each asks anew after `pause`; they are a process of their own on the core of the load.
pub(crate) fn p99(address: SocketAddr, tokens: &Path, time: Duration, pause: Duration) -> f64 {
    let milliseconds = |time: Duration| time.as_millis().to_string();
    let output = process::of_load("paced", address)
        .args([milliseconds(time), milliseconds(pause)])
        .arg(tokens)
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stdout).trim().parse().expect("the p99 of paced callers")
}

/// Asks for so many milliseconds, with so many between two requests of one caller, then says the p99.
pub(crate) fn serve(address: &str, time: &str, pause: &str, tokens: &str) {
    let address = address.parse().unwrap();
    let milliseconds = |text: &str| Duration::from_millis(text.parse().unwrap());
    let (end, pause) = (Instant::now() + milliseconds(time), milliseconds(pause));
    let tokens = std::fs::read_to_string(tokens).unwrap();
    let token = tokens.lines().next().unwrap().to_owned();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut waits: Vec<f64> = runtime.block_on(async {
        let callers: Vec<_> = (0..CALLERS)
            .map(|number| tokio::spawn(call(address, token.clone(), number, pause, end)))
            .collect();
        let mut waits = Vec::new();
        for caller in callers {
            waits.extend(caller.await.unwrap());
        }
        waits
    });
    waits.sort_by(f64::total_cmp);
    println!("{}", waits[waits.len() * 99 / 100]);
}

async fn call(
    address: SocketAddr,
    token: String,
    number: u32,
    pause: Duration,
    end: Instant,
) -> Vec<f64> {
    let request = format!(
        "GET /api/orders HTTP/1.1\r\nHost: app.example.test\r\nAuthorization: Bearer {token}\r\n\r\n"
    );
    let mut waits = Vec::new();
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    // Each keeps its own time: who were late together must not ask together ever after.
    let first = tokio::time::Instant::now() + pause * 10 + pause * number / CALLERS;
    let mut ticks = tokio::time::interval_at(first, pause);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    while Instant::now() < end {
        ticks.tick().await;
        let began = Instant::now();
        stream.write_all(request.as_bytes()).await.unwrap();
        answer(&mut stream).await;
        waits.push(began.elapsed().as_secs_f64() * 1e6);
    }
    waits
}

/// Reads one answer with a length. Any answer but 200 stops the measurement.
async fn answer(stream: &mut TcpStream) {
    let mut read = Vec::with_capacity(4096);
    loop {
        assert!(stream.read_buf(&mut read).await.unwrap() > 0, "the connection was closed");
        let text = String::from_utf8_lossy(&read);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>())
        });
        if body.len() >= length.expect("a length").unwrap() {
            return;
        }
    }
}
