//! The application: configuration, reload, server, command line.

pub mod config;
pub mod reload;
pub mod server;
pub mod cli;
