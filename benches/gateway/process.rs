//! Processes on their cores, and what they cost.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A running proxy or upstream; killed when dropped.
pub(crate) struct Running {
    child: Child,
    pub(crate) address: SocketAddr,
}

/// Starts a command on one core and waits until it listens.
pub(crate) fn start(
    core: usize,
    address: SocketAddr,
    program: &str,
    arguments: &[&str],
) -> Running {
    let child = Command::new("taskset")
        .args(["-c", &core.to_string(), program])
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap_or_else(|error| panic!("{program}: {error}"));
    let running = Running { child, address };
    let began = Instant::now();
    while TcpStream::connect(address).is_err() {
        assert!(began.elapsed() < Duration::from_secs(30), "{program} does not listen");
        std::thread::yield_now();
    }
    running
}

/// This program with a verb, on the core of the load.
pub(crate) fn of_load(verb: &str, address: SocketAddr) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", "1"]).arg(std::env::current_exe().unwrap());
    command.args([verb, &address.to_string()]);
    command
}

/// Callers that a gateway is loaded with all the time, a process of their own; ended when dropped.
pub(crate) struct Crowd(Child);

impl Crowd {
    /// Begins, and waits until all of them are there.
    pub(crate) fn start(verb: &str, address: SocketAddr) -> Self {
        let mut child = of_load(verb, address).stdout(Stdio::piped()).spawn().unwrap();
        let mut said = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut said).unwrap();
        Self(child)
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Running {
    /// User and system time so far, in seconds.
    pub(crate) fn cpu(&self) -> f64 {
        let text = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let (_, fields) = text.rsplit_once(')').unwrap();
        let fields: Vec<&str> = fields.split_whitespace().collect();
        let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
        // Linux counts in hundredths of a second on every machine it runs on today.
        ticks as f64 / 100.0
    }

    /// Waits until what nobody waits for any more is through.
    pub(crate) fn settle(&self) {
        let mut before = self.cpu();
        loop {
            std::thread::park_timeout(Duration::from_millis(300));
            let now = self.cpu();
            if now - before < 0.02 {
                return;
            }
            before = now;
        }
    }

    /// Resident memory in MiB.
    pub(crate) fn resident(&self) -> f64 {
        self.memory("VmRSS:")
    }

    /// The most memory that was ever resident, in MiB.
    pub(crate) fn peak(&self) -> f64 {
        self.memory("VmHWM:")
    }

    fn memory(&self, name: &str) -> f64 {
        let text = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = text.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
