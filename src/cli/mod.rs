//! The command line: one module per subcommand.

pub mod apikey;
pub mod audit;
pub mod check;
pub mod client;
pub mod completions;
pub mod credential;
pub mod demo_upstream;
pub mod doctor;
pub mod healthcheck;
pub mod import;
pub mod keys;
mod command;
pub mod migrate;
pub mod profile;
pub mod quickstart;
mod recorded;
pub mod schema;
pub mod serve;
pub mod session;
pub mod store;
pub mod user;
pub mod verb;

pub use verb::run;
