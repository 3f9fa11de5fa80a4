//! The binary `guarita`: command line, configuration, reload, and the wiring of all crates into a running gateway.
//!
//! `ARCHITECTURE.md` shows the crates and what each may know.

pub mod config;
pub mod reload;
pub mod server;
pub mod cli;
