//! Parses the command line and runs the subcommand.

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser};

use super::{
    apikey, audit, check, client, completions, doctor, healthcheck, keys, migrate, quickstart,
    schema, serve, session, store, user,
};
use crate::cli::command::complain;

/// An authentication gateway in front of the APIs you already have.
#[derive(Debug, Parser)]
#[command(name = "guarita", version, propagate_version = true, arg_required_else_help = true)]
pub struct Command {
    #[command(subcommand)]
    verb: Subcommand,
}

#[derive(Debug, clap::Subcommand)]
enum Subcommand {
    /// Run the gateway
    Serve(serve::ServeArgs),
    /// Run a gateway to try out, with a demo upstream and two accounts
    Quickstart(quickstart::QuickstartArgs),
    /// Validate a configuration file
    Check(check::CheckArgs),
    /// Check every dependency of the gateway and tell how to fix what fails
    Doctor(doctor::DoctorArgs),
    /// Migrate the database to the schema of this version
    Migrate(migrate::MigrateArgs),
    /// Copy the database into another one
    Store(store::StoreArgs),
    /// Manage user accounts
    User(user::UserArgs),
    /// List and revoke sessions
    Session(session::SessionArgs),
    /// Manage the API keys of services
    #[command(name = "apikey")]
    ApiKey(apikey::ApiKeyArgs),
    /// Manage the clients of the introspection endpoint
    Client(client::ClientArgs),
    /// List and change the signing keys
    Keys(keys::KeysArgs),
    /// Verify the audit files
    Audit(audit::AuditArgs),
    /// Print the JSON Schema of the configuration
    Schema(schema::SchemaArgs),
    /// Check whether a running gateway is ready
    Healthcheck(healthcheck::HealthcheckArgs),
    /// Print a completion script for a shell
    Completions(completions::CompletionsArgs),
}

/// Runs the subcommand that the process's arguments name.
pub fn run() -> ExitCode {
    if rustls::crypto::aws_lc_rs::default_provider().install_default().is_err() {
        complain(&"the TLS provider was installed twice");
        return ExitCode::FAILURE;
    }
    match Command::parse().verb {
        Subcommand::Serve(arguments) => serve::run(arguments),
        Subcommand::Quickstart(arguments) => quickstart::run(arguments),
        Subcommand::Check(arguments) => check::run(arguments),
        Subcommand::Doctor(arguments) => doctor::run(arguments),
        Subcommand::Migrate(arguments) => migrate::run(arguments),
        Subcommand::Store(arguments) => store::run(arguments),
        Subcommand::User(arguments) => user::run(arguments),
        Subcommand::Session(arguments) => session::run(arguments),
        Subcommand::ApiKey(arguments) => apikey::run(arguments),
        Subcommand::Client(arguments) => client::run(arguments),
        Subcommand::Keys(arguments) => keys::run(arguments),
        Subcommand::Audit(arguments) => audit::run(arguments),
        Subcommand::Schema(arguments) => schema::run(arguments),
        Subcommand::Healthcheck(arguments) => healthcheck::run(arguments),
        Subcommand::Completions(arguments) => completions::run(arguments, Command::command()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        super::Command::command().debug_assert();
    }
}
