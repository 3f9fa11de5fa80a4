//! The figures of each target, and the table.

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

/// The middle one of some figures.
pub(crate) fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// The medians of two figures that are taken in turn.
pub(crate) fn in_turn(
    rounds: usize,
    one: impl Fn() -> f64,
    mut other: impl FnMut() -> f64,
) -> (f64, f64) {
    let (ones, others) = (0..rounds).map(|_| (one(), other())).unzip();
    (median(ones), median(others))
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

    pub(crate) const fn running(&self) -> &Running {
        &self.running
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
        median(self.rounds.iter().map(figure).collect())
    }

    /// Of the ratios of each round: the lower quartile, the median and the upper quartile.
    fn ratios(&self, other: &Self, figure: impl Fn(&Round) -> f64) -> [f64; 3] {
        let pairs = self.rounds.iter().zip(&other.rounds);
        let mut ratios: Vec<f64> =
            pairs.map(|(ours, theirs)| figure(ours) / figure(theirs)).collect();
        ratios.sort_by(f64::total_cmp);
        [ratios.len() / 4, ratios.len() / 2, ratios.len() * 3 / 4].map(|position| ratios[position])
    }
}

/// Prints what sharing costs who is only forwarded: nothing, as nothing of it leaves the process.
pub(crate) fn compare(targets: &[Target]) {
    let find = |name: &str| targets.iter().find(|target| target.name.starts_with(name));
    let (Some(file), Some(shared)) = (find("(b)"), find("(f)")) else { return };
    let [_, rate, _] = shared.ratios(file, |round| round.rate);
    let [_, cpu, _] = shared.ratios(file, |round| round.cpu);
    println!(
        "\nwith PostgreSQL and Redis {rate:.3} x the requests a second of SQLite (bound: 0.97), \
         {cpu:.3} x the CPU time of each"
    );
}

pub(crate) fn print(targets: &[Target]) {
    let (floor, rival) = (&targets[0], &targets[3]);
    println!(
        "| {:<28} | {:>8} | {:>7} | {:>7} | {:>10} | {:>6} | {:>6} | {:>7} |",
        "target", "req/s", "p50 us", "p99 us", "CPU us/req", "x (a)", "x (d)", "RSS MiB"
    );
    println!(
        "|{:-<30}|{:-<10}|{:-<9}|{:-<9}|{:-<12}|{:-<8}|{:-<8}|{:-<9}|",
        "", "", "", "", "", "", "", ""
    );
    for target in targets {
        let [_, floor, _] = target.ratios(floor, |round| round.cpu);
        let [_, rival, _] = target.ratios(rival, |round| round.cpu);
        println!(
            "| {:<28} | {:>8.0} | {:>7.0} | {:>7.0} | {:>10.2} | {:>6.2} | {:>6.2} | {:>7.1} |",
            target.name,
            target.median(|round| round.rate),
            target.median(|round| round.p50),
            target.median(|round| round.p99),
            target.median(|round| round.cpu),
            floor,
            rival,
            target.running.resident(),
        );
    }
    println!("\nCPU time of a request, and between what the middle half of the rounds lies:");
    for (ours, theirs, bound) in [(1, 0, 1.10), (1, 3, 0.65), (2, 0, 1.15)] {
        let (ours, theirs) = (&targets[ours], &targets[theirs]);
        let [low, median, high] = ours.ratios(theirs, |round| round.cpu);
        println!(
            "{}: {median:.2} x {} (bound: {bound}), {low:.2} to {high:.2}",
            ours.name, theirs.name
        );
    }
}
