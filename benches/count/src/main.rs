//! `make bench-count`: what one request costs, in figures that no busy machine moves.
//!
//! Each proxy answers a fixed number of requests and ends; it does so twice, the second time with more
//! requests. The difference, divided by the requests more, is what one request costs: start, handshakes
//! and end cancel out. Requests come from this program, one on each connection at a time, and all
//! connections in step; it is the upstream too. Instructions and allocations are counted by callgrind,
//! bytes copied by DHAT, system calls by strace.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::cast_precision_loss,
    reason = "a measurement, not the product"
)]

mod client;
mod counts;
#[path = "../../gateway/floor.rs"]
mod floor;
mod guarita;
#[path = "../../gateway/nginx.rs"]
mod nginx;
mod process;
mod report;
mod run;
mod target;
mod tool;
mod upstream;

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;

use guarita::Guarita;
use report::Report;
use target::Ground;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, verb, address, upstream] = arguments.as_slice()
        && verb == "floor"
    {
        return floor::serve(address, upstream);
    }
    rustls::crypto::aws_lc_rs::default_provider().install_default().expect("the first provider");
    let this = std::env::current_exe().expect("the path of this program");
    let path = |name| std::env::var_os(name).filter(|path| !path.is_empty()).map(PathBuf::from);
    let guarita = path("GUARITA").unwrap_or_else(|| this.with_file_name("guarita"));
    // Before the measurement: a file that cannot be read is told at once.
    let baseline = path("BASELINE").map(|path| Report::read(&path));

    // It stays where the measurement fails.
    let folder = std::env::temp_dir().join(format!("bench-count-{}", std::process::id()));
    DirBuilder::new().mode(0o700).create(&folder).expect("a temporary directory");
    process::kill_on_panic(&folder);
    let ground = Ground::prepare(&folder);
    let mut report = Report::default();
    let guarita = Guarita::prepare(&ground, &guarita);
    let targets =
        [ground.guarita(&guarita), ground.pingora(&this, &guarita), ground.nginx(&guarita)];
    for target in &targets {
        for request in &target.requests {
            eprintln!("{}, {}", target.name, request.name);
            report.add(target.name, request.name, counts::of_one_request(&ground, target, request));
        }
    }
    report.print();
    if let Some(baseline) = baseline {
        report.print_difference(&baseline);
    }
    let file = this.parent().and_then(|folder| folder.parent()).expect("the target directory");
    report.write(&file.join("bench-count.json"));
    fs::remove_dir_all(&folder).expect("its own directory");
}
