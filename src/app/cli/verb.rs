//! Parses the command line and runs the subcommand.

use std::fmt::Display;
use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser;

use super::{
    apikey, audit, check, client, completions, doctor, healthcheck, keys, migrate, quickstart,
    schema, serve, session, store, user,
};

/// The default configuration file.
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
    /// Run a gateway to try out, with a demo upstream and two accounts
    Quickstart(quickstart::Arguments),
    /// Validate a configuration file
    Check(check::Arguments),
    /// Check every dependency of the gateway and tell how to fix what fails
    Doctor(doctor::Arguments),
    /// Migrate the database to the schema of this version
    Migrate(migrate::Arguments),
    /// Copy the database into another one
    Store(store::Arguments),
    /// Manage user accounts
    User(user::Arguments),
    /// List and revoke sessions
    Session(session::Arguments),
    /// Manage the API keys of services
    #[command(name = "apikey")]
    ApiKey(apikey::Arguments),
    /// Manage the clients of the introspection endpoint
    Client(client::Arguments),
    /// List and change the signing keys
    Keys(keys::Arguments),
    /// Verify the audit files
    Audit(audit::Arguments),
    /// Print the JSON Schema of the configuration
    Schema(schema::Arguments),
    /// Check whether a running gateway is ready
    Healthcheck(healthcheck::Arguments),
    /// Print a completion script for a shell
    Completions(completions::Arguments),
}

/// Runs the subcommand that the process's arguments name.
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

/// Writes one error message to standard error.
pub(super) fn complain(message: &dyn Display) {
    // A closed standard error is ignored.
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
