//! Logins with Argon2 at its defaults (19 MiB, two passes): what they do to forwarded traffic and to
//! memory, and whether the time of an answer tells which names exist.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::load;
use crate::paced;
use crate::process::{Crowd, Running};
use crate::subject::{KNOWN, PASSWORD, address_of};
use crate::table::{self, median};

/// Logins under way at once.
const PARALLEL: usize = 64;
/// Open connections of the forwarded traffic.
const HEALTHY: usize = 16;
/// From one request of a caller to its next, sixteen callers.
const PAUSE: Duration = Duration::from_millis(10);
/// Rounds, of which the median counts; quiet and busy ones take turns.
const ROUNDS: usize = 5;
/// Logins of known names, and as many of unknown ones.
const SAMPLES: usize = 1_000;

/// Prints the p99 of forwarded traffic beside parallel logins and without them, the memory that they
/// take, and how well the time of an answer tells names apart.
pub(crate) fn print(folder: &Path, gateway: &Running, tokens: &Path, time: Duration) {
    println!("\np99 of forwarded requests beside {PARALLEL} parallel logins (bound: 2 x):");
    for (what, pause) in [("1,600 requests a second", Some(PAUSE)), ("all that there is", None)] {
        let p99 = || match pause {
            Some(pause) => paced::p99(gateway.address, tokens, time, pause),
            None => load::run(folder, gateway.address, tokens, HEALTHY, time).p99,
        };
        let mut logins = 0.0;
        let (quiet, busy) = table::in_turn(ROUNDS, p99, || {
            let before = logins_of(gateway);
            let crowd = Crowd::start("logins", gateway.address);
            let p99 = p99();
            logins += logins_of(gateway) - before;
            drop(crowd);
            gateway.settle();
            p99
        });
        let rate = logins / (time.as_secs_f64() * ROUNDS as f64);
        println!(
            "{what}: {busy:.0} us instead of {quiet:.0} us, {:.2} x; {rate:.0} logins/s",
            busy / quiet
        );
    }
    println!("memory at its highest: {:.0} MiB (bound: 512 MiB)", gateway.peak());

    println!(
        "\nhow well {SAMPLES} + {SAMPLES} times tell a known name from an unknown one (bound: 0.55):"
    );
    // One line for each endpoint that takes a name.
    distinguish(gateway, "/auth/login", 401, |name| {
        format!(r#"{{"username":"{name}","password":"wrong password, long enough"}}"#)
    });
    distinguish(gateway, "/recover", 202, |name| format!(r#"{{"email":"{}"}}"#, address_of(name)));
}

/// The area under the curve of a distinguisher that goes by time alone: 0.5 is blind.
fn distinguish(gateway: &Running, path: &str, status: u16, body: impl Fn(&str) -> String) {
    let mut caller = Caller::connect(gateway.address);
    let mut time_of = |name: String| {
        let request = post(path, &body(&name));
        let began = Instant::now();
        assert_eq!(caller.ask(&request), status, "{path}");
        began.elapsed().as_secs_f64()
    };
    let (mut known, mut unknown) = (Vec::new(), Vec::new());
    for round in 0..SAMPLES {
        let number = round % KNOWN;
        // Neither is always the first.
        if round % 2 == 0 {
            known.push(time_of(format!("known{number}")));
            unknown.push(time_of(format!("nobody{number}")));
        } else {
            unknown.push(time_of(format!("nobody{number}")));
            known.push(time_of(format!("known{number}")));
        }
    }
    unknown.sort_by(f64::total_cmp);
    let below: usize = known.iter().map(|time| unknown.partition_point(|other| other < time)).sum();
    let auc = below as f64 / (known.len() * unknown.len()) as f64;
    let (one, other) = (median(known) * 1e3, median(unknown) * 1e3);
    println!("{path}: AUC {:.3}; medians {one:.2} ms and {other:.2} ms", auc.max(1.0 - auc));
}

/// Attempts to log in that were answered.
fn logins_of(gateway: &Running) -> f64 {
    let mut stream = TcpStream::connect(crate::subject::operations(gateway.address)).unwrap();
    stream
        .write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let of_logins = |line: &&str| line.starts_with("guarita_logins_total{");
    let values = text.lines().filter(of_logins).filter_map(|line| line.rsplit(' ').next());
    values.map(|value| value.parse::<f64>().unwrap()).sum()
}

/// Logs in on each connection again and again, for ever.
pub(crate) fn serve(address: &str) {
    let address = address.parse().unwrap();
    // At its first login a thread is given its memory, and the kernel clears it on the core of the load.
    let ready = std::sync::Arc::new(std::sync::Barrier::new(PARALLEL + 1));
    let callers: Vec<_> = (0..PARALLEL)
        .map(|number| {
            let ready = std::sync::Arc::clone(&ready);
            std::thread::spawn(move || {
                let mut caller = Caller::connect(address);
                let name = format!("known{}", number % KNOWN);
                let body = format!(r#"{{"username":"{name}","password":"{PASSWORD}"}}"#);
                let request = post("/auth/login", &body);
                let mut log_in = || assert_eq!(caller.ask(&request), 200, "a login");
                log_in();
                ready.wait();
                loop {
                    log_in();
                }
            })
        })
        .collect();
    ready.wait();
    println!("open");
    for caller in callers {
        let _ = caller.join();
    }
}

fn post(path: &str, body: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nHost: app.example.test\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// One connection that is kept.
struct Caller(BufReader<TcpStream>);

impl Caller {
    fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        Self(BufReader::new(stream))
    }

    fn ask(&mut self, request: &str) -> u16 {
        self.0.get_mut().write_all(request.as_bytes()).unwrap();
        let (mut status, mut length) = (0, 0);
        let mut line = String::new();
        loop {
            line.clear();
            self.0.read_line(&mut line).unwrap();
            let text = line.trim_end().to_ascii_lowercase();
            if let Some(rest) = text.strip_prefix("http/1.1 ") {
                status = rest[..3].parse().unwrap();
            } else if let Some(value) = text.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            } else if text.is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).unwrap();
        status
    }
}
