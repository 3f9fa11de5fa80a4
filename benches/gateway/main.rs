//! `make bench`: Guarita beside its rivals and its floor, one table.
//!
//! Each proxy runs alone on one core, load and upstream on the other. Targets take turns in every
//! round, forwards and backwards, so that a slow minute of the machine hits all of them; figures are
//! medians, and ratios are medians of the ratios of each round. The steadiest figure is the CPU time
//! of the proxy process per request.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::cast_precision_loss,
    reason = "a measurement, not the product"
)]

mod drip;
mod floor;
mod load;
mod logins;
mod nginx;
mod paced;
mod process;
mod rivals;
mod subject;
mod table;

use std::time::Duration;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Rounds, there and back, whose median counts. On a shared machine the cost of one and the same
/// request doubles and halves within seconds, so rounds are many and short.
const ROUNDS: usize = 21;
/// Length of one load.
const LOAD: Duration = Duration::from_secs(1);
/// Length of one load whose p99 is all that counts.
const WAITS: Duration = Duration::from_secs(4);

fn main() {
    rlimit::increase_nofile_limit(u64::MAX).expect("open files");
    rustls::crypto::aws_lc_rs::default_provider().install_default().expect("the first provider");
    let arguments: Vec<String> = std::env::args().collect();
    if arguments.get(1).is_some_and(|verb| verb == "floor") {
        return floor::serve(&arguments[2], &arguments[3]);
    }
    if arguments.get(1).is_some_and(|verb| verb == "drip") {
        return drip::serve(&arguments[2]);
    }
    if arguments.get(1).is_some_and(|verb| verb == "paced") {
        return paced::serve(&arguments[2], &arguments[3], &arguments[4], &arguments[5]);
    }
    if arguments.get(1).is_some_and(|verb| verb == "logins") {
        return logins::serve(&arguments[2]);
    }
    let rounds = std::env::var("BENCH_ROUNDS").ok().and_then(|text| text.parse().ok());
    let rounds = rounds.unwrap_or(ROUNDS);

    let directory = tempfile::tempdir().expect("a temporary directory");
    let folder = directory.path();
    let tokens = subject::prepare(folder);
    let upstream = rivals::upstream(folder);
    let beside = || logins::print(folder, &subject::start(folder, 2), &tokens.logins, WAITS);
    if std::env::var("BENCH_ONLY").is_ok_and(|part| part == "logins") {
        return beside();
    }
    let redis = tokens.shared.is_some().then(subject::redis);
    let sharing = tokens.shared.as_ref().map(|tokens| {
        let running = subject::start(folder, subject::SHARING);
        table::Target::new("(f) as (b), PostgreSQL+Redis", running, tokens)
    });
    let mut targets = vec![
        table::Target::new("(a) bare pingora", rivals::floor(), &tokens.one),
        table::Target::new("(b) guarita, 1 token", subject::start(folder, 0), &tokens.one),
        table::Target::new("(c) guarita, 10,000 tokens", subject::start(folder, 1), &tokens.many),
        table::Target::new("(d) haproxy jwt_verify", rivals::haproxy(folder), &tokens.one),
        table::Target::new("(e) nginx, no check", rivals::nginx(folder), &tokens.one),
    ];
    if sharing.is_none() {
        println!("no PostgreSQL, so no (f): make bench starts one (scripts/with-servers.sh)");
    }
    targets.extend(sharing);
    let only_stores = std::env::var("BENCH_ONLY").is_ok_and(|part| part == "stores");
    if only_stores {
        targets.retain(|target| ["(b)", "(f)"].iter().any(|name| target.name().starts_with(name)));
    }
    for target in &mut targets {
        target.warm(folder);
    }
    if std::env::var("BENCH_ONLY").is_ok_and(|part| part == "drip") {
        return drip::print(&[&targets[0], &targets[1]], &tokens.one, WAITS);
    }
    for _ in 0..rounds {
        // There and back: nobody is always the one after another.
        targets.iter_mut().for_each(|target| target.measure(folder, LOAD));
        targets.iter_mut().rev().for_each(|target| target.measure(folder, LOAD));
    }
    if only_stores {
        return table::compare(&targets);
    }
    table::print(&targets);
    table::compare(&targets);
    drip::print(&[&targets[0], &targets[1]], &tokens.one, WAITS);
    drop(targets);
    drop(redis);
    beside();
    drop(upstream);
}
