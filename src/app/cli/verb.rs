//! Which verb the arguments name.

use std::fmt::Display;
use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser;

use super::{
    apikey, audit, check, client, completions, doctor, healthcheck, keys, migrate, quickstart,
    schema, serve, session, store, user,
};

/// The configuration file, where none is named (contract section 2).
pub(super) const CONFIG: &str = "conf/guarita.toml";

/// An authentication gateway in front of the APIs you already have.
#[derive(Debug, Parser)]
#[command(name = "guarita", version, propagate_version = true, arg_required_else_help = true)]
pub struct Command {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Run the gateway
    Serve(serve::Arguments),
    /// Run a gateway for a first look, with a demo upstream and two accounts
    Quickstart(quickstart::Arguments),
    /// Validate a configuration file
    Check(check::Arguments),
    /// Ask every dependency, and say what is wrong and what to do
    Doctor(doctor::Arguments),
    /// Bring the database up to date
    Migrate(migrate::Arguments),
    /// Copy the database into another
    Store(store::Arguments),
    /// Manage user accounts
    User(user::Arguments),
    /// List and revoke sessions
    Session(session::Arguments),
    /// Manage the API keys of services
    #[command(name = "apikey")]
    ApiKey(apikey::Arguments),
    /// Manage the clients that ask about tokens
    Client(client::Arguments),
    /// List and change the keys that sign
    Keys(keys::Arguments),
    /// Verify the audit files
    Audit(audit::Arguments),
    /// Print the JSON Schema of the configuration
    Schema(schema::Arguments),
    /// Ask a running gateway whether it is ready
    Healthcheck(healthcheck::Arguments),
    /// Print a completion script for a shell
    Completions(completions::Arguments),
}

/// Runs the verb that the process's arguments name.
pub fn run() -> ExitCode {
    if rustls::crypto::aws_lc_rs::default_provider().install_default().is_err() {
        complain(&"the TLS provider was installed twice");
        return ExitCode::FAILURE;
    }
    match Command::parse().verb {
        Verb::Serve(arguments) => serve::run(arguments),
        Verb::Quickstart(arguments) => quickstart::run(arguments),
        Verb::Check(arguments) => check::run(arguments),
        Verb::Doctor(arguments) => doctor::run(arguments),
        Verb::Migrate(arguments) => migrate::run(arguments),
        Verb::Store(arguments) => store::run(arguments),
        Verb::User(arguments) => user::run(arguments),
        Verb::Session(arguments) => session::run(arguments),
        Verb::ApiKey(arguments) => apikey::run(arguments),
        Verb::Client(arguments) => client::run(arguments),
        Verb::Keys(arguments) => keys::run(arguments),
        Verb::Audit(arguments) => audit::run(arguments),
        Verb::Schema(arguments) => schema::run(arguments),
        Verb::Healthcheck(arguments) => healthcheck::run(arguments),
        Verb::Completions(arguments) => completions::run(arguments),
    }
}

/// One complaint on standard error.
pub(super) fn complain(message: &dyn Display) {
    // Nobody is left to be told that standard error is closed.
    drop(writeln!(std::io::stderr(), "{message}"));
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        super::Command::command().debug_assert();
    }
}
