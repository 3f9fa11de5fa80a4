//! The figures of each target, and the table.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::load;
use crate::process::Running;

pub(crate) struct Target {
    name: &'static str,
    running: Running,
    tokens: PathBuf,
    rounds: Vec<Round>,
}

struct Round {
    rate: f64,
    p50: f64,
    p99: f64,
    cpu: f64,
}

impl Target {
    pub(crate) fn new(name: &'static str, running: Running, tokens: &Path) -> Self {
        Self { name, running, tokens: tokens.to_owned(), rounds: vec![] }
    }

    pub(crate) const fn name(&self) -> &str {
        self.name
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.running.address
    }

    pub(crate) fn warm(&mut self, folder: &Path) {
        let time = Duration::from_secs(2);
        load::run(folder, self.running.address, &self.tokens, load::SATURATING, time);
    }

    pub(crate) fn measure(&mut self, folder: &Path, time: Duration) {
        let before = self.running.cpu();
        let address = self.running.address;
        let load = load::run(folder, address, &self.tokens, load::SATURATING, time);
        let cpu = (self.running.cpu() - before) / load.requests * 1e6;
        self.rounds.push(Round {
            rate: load.requests / load.seconds,
            p50: load.p50,
            p99: load.p99,
            cpu,
        });
    }

    fn median(&self, figure: impl Fn(&Round) -> f64) -> f64 {
        let mut figures: Vec<f64> = self.rounds.iter().map(figure).collect();
        figures.sort_by(f64::total_cmp);
        figures[figures.len() / 2]
    }
}

/// Prints what sharing costs who is only forwarded: nothing, as nothing of it leaves the process.
pub(crate) fn compare(targets: &[Target]) {
    let find = |name: &str| targets.iter().find(|target| target.name.starts_with(name));
    let (Some(file), Some(shared)) = (find("(b)"), find("(f)")) else { return };
    let rate = shared.median(|round| round.rate) / file.median(|round| round.rate);
    let cpu = shared.median(|round| round.cpu) / file.median(|round| round.cpu);
    println!(
        "\nwith PostgreSQL and Redis {rate:.3} x the requests a second of SQLite (bound: 0.97), \
         {cpu:.3} x the CPU time of each"
    );
}

pub(crate) fn print(targets: &[Target]) {
    let cpu = |position: usize| targets[position].median(|round| round.cpu);
    let (floor, rival) = (cpu(0), cpu(3));
    println!(
        "| {:<28} | {:>8} | {:>7} | {:>7} | {:>10} | {:>6} | {:>6} | {:>7} |",
        "target", "req/s", "p50 us", "p99 us", "CPU us/req", "x (a)", "x (d)", "RSS MiB"
    );
    println!(
        "|{:-<30}|{:-<10}|{:-<9}|{:-<9}|{:-<12}|{:-<8}|{:-<8}|{:-<9}|",
        "", "", "", "", "", "", "", ""
    );
    for target in targets {
        let cpu = target.median(|round| round.cpu);
        println!(
            "| {:<28} | {:>8.0} | {:>7.0} | {:>7.0} | {:>10.2} | {:>6.2} | {:>6.2} | {:>7.1} |",
            target.name,
            target.median(|round| round.rate),
            target.median(|round| round.p50),
            target.median(|round| round.p99),
            cpu,
            cpu / floor,
            cpu / rival,
            target.running.resident(),
        );
    }
}
