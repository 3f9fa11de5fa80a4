//! The load: wrk with one token or many, on the core of the upstream.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// Open connections of a load that asks for all that there is.
pub(crate) const SATURATING: usize = 64;

/// What one load found.
pub(crate) struct Load {
    pub(crate) requests: f64,
    pub(crate) seconds: f64,
    /// Microseconds.
    pub(crate) p50: f64,
    /// Microseconds.
    pub(crate) p99: f64,
}

const SCRIPT: &str = r"
local tokens, n = {}, 0
function init(arguments)
  for line in io.lines(arguments[1]) do tokens[#tokens + 1] = 'Bearer ' .. line end
end
function request()
  n = n % #tokens + 1
  wrk.headers['Authorization'] = tokens[n]
  return wrk.format('GET', '/api/orders')
end
function done(summary, latency, requests)
  io.write(string.format('RESULT %d %d %d %d %d\n', summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(99), summary.errors.status))
end
";

/// Runs one load. Any answer but 2xx stops the measurement: it would not be the same work.
pub(crate) fn run(
    folder: &Path,
    address: SocketAddr,
    tokens: &Path,
    connections: usize,
    time: Duration,
) -> Load {
    let script = folder.join("load.lua");
    fs::write(&script, SCRIPT).unwrap();
    let output = Command::new("taskset")
        .args([
            "-c",
            "1",
            "wrk",
            "-t1",
            "-c",
            &connections.to_string(),
            "-d",
            &format!("{}s", time.as_secs()),
        ])
        .args(["-s", script.to_str().unwrap(), &format!("http://{address}"), "--"])
        .arg(tokens)
        .output()
        .expect("wrk is installed");
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().find_map(|line| line.strip_prefix("RESULT ")).expect("wrk's result");
    let numbers: Vec<f64> = line.split(' ').map(|number| number.parse().unwrap()).collect();
    assert!(numbers[4] == 0.0, "{address} refused {} of {} requests", numbers[4], numbers[0]);
    Load { requests: numbers[0], seconds: numbers[1] / 1e6, p50: numbers[2], p99: numbers[3] }
}
