//! `guarita client create|list|revoke`

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use super::credential::{self, ListArgs, parse_lifetime};
use super::recorded::{AuditedCommand, with_recorded_store};
use crate::cli::command::CONFIG;
use crate::cli::command::{CommandError, fault, finish, say, with_store};
use guarita_auth::client::{ClientAdministration, ClientRejection};
use guarita_core::{Timestamp, time};
use guarita_store::{ClientSecret, Store};

/// `guarita client`
#[derive(Debug, clap::Args)]
pub struct ClientArgs {
    #[command(subcommand)]
    verb: ClientCommand,
}

#[derive(Debug, clap::Subcommand)]
enum ClientCommand {
    /// Create a secret for a client and print it once.
    ///
    /// Creating a second secret rotates it: the first stays valid until it is revoked.
    Create {
        /// The configuration file.
        #[arg(long, value_name = "FILE", default_value = CONFIG)]
        config: PathBuf,
        /// The client's client_id.
        #[arg(long)]
        name: String,
        /// How long the secret is valid: 1s to 3650d, for example 90d. Default: no expiry.
        #[arg(long, value_name = "TIME", value_parser = parse_lifetime)]
        expires_in: Option<Duration>,
    },
    /// List secrets in the order of their creation; never the secret itself.
    ///
    /// Revoked secrets and those of the configuration are not listed.
    List(ListArgs),
    /// Revoke a secret, or all secrets of a client. Takes effect on running gateways within 1 s.
    Revoke {
        /// The configuration file.
        #[arg(long, value_name = "FILE", default_value = CONFIG)]
        config: PathBuf,
        /// The secret's id, as listed, or the client's name: then all of its secrets.
        #[arg(value_name = "ID|NAME")]
        which: String,
    },
}

/// Runs the command.
pub fn run(arguments: ClientArgs) -> ExitCode {
    finish(match arguments.verb {
        ClientCommand::Create { config, name, expires_in } => {
            let act = AuditedCommand { verb: "client create", about: Some(&name) };
            with_recorded_store(&config, act, async |_, store| {
                create(store, &name, expires_in).await
            })
        }
        ClientCommand::List(listing) => {
            with_store(&listing.config, async |_, store| list(store, &listing).await)
        }
        ClientCommand::Revoke { config, which } => {
            let act = AuditedCommand { verb: "client revoke", about: None };
            with_recorded_store(&config, act, async |_, store| revoke(store, &which).await)
        }
    })
}

fn refused(refusal: ClientRejection) -> CommandError {
    CommandError::Refused(refusal.to_string())
}

async fn create(store: Store, name: &str, lifetime: Option<Duration>) -> Result<(), CommandError> {
    let made = ClientAdministration::new(store).create(name, lifetime, time::now()).await;
    say(made.map_err(fault)?.map_err(refused)?.expose())
}

async fn revoke(store: Store, which: &str) -> Result<(), CommandError> {
    let revoked = ClientAdministration::new(store).revoke(which, time::now()).await;
    let count = revoked.map_err(fault)?.map_err(refused)?;
    say(&format!("revoked {count} {}", if count == 1 { "secret" } else { "secrets" }))
}

async fn list(store: Store, listing: &ListArgs) -> Result<(), CommandError> {
    let now = time::now();
    let found =
        ClientAdministration::new(store).list(listing.after, listing.all).await.map_err(fault)?;
    if listing.json {
        let rows: Vec<_> = found.iter().map(|secret| as_json(secret, now)).collect();
        return say(&serde_json::Value::from(rows).to_string());
    }
    say(&format!("{:>6}  {:<24}  {:<7}  {:<20}  {}", "ID", "NAME", "STATE", "CREATED", "EXPIRES"))?;
    for secret in &found {
        say(&format!(
            "{:>6}  {:<24}  {:<7}  {:<20}  {}",
            secret.id,
            secret.name,
            state(secret, now),
            secret.created_at.rfc3339(),
            secret.expires_at.map_or("-".to_owned(), Timestamp::rfc3339),
        ))?;
    }
    Ok(())
}

fn state(secret: &ClientSecret, now: Timestamp) -> &'static str {
    credential::state(secret.revoked_at.is_some(), secret.is_live(now))
}

fn as_json(secret: &ClientSecret, now: Timestamp) -> serde_json::Value {
    serde_json::json!({
        "id": secret.id,
        "name": secret.name,
        "state": state(secret, now),
        "createdAt": secret.created_at.rfc3339(),
        "expiresAt": secret.expires_at.map(Timestamp::rfc3339),
        "revokedAt": secret.revoked_at.map(Timestamp::rfc3339),
    })
}

#[cfg(test)]
mod tests {
    use clap::Args as _;

    use super::*;

    #[test]
    fn the_arguments_hold_together() {
        ClientArgs::augment_args(clap::Command::new("client")).debug_assert();
    }
}
