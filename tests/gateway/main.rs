//! Drives the real executable over real sockets; one module per capability.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test fails by panicking"
)]

mod harness;

mod answers;
mod login;
mod identity;
mod real_upstreams;
mod reload;
mod routes;
mod operation;
mod streaming;
mod upstreams;
