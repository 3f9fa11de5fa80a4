//! `guarita keys list|rotate|import|remove|reseal`

use std::future::Future;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::recorded::{AuditedCommand, with_recorded_store};
use crate::cli::command::CONFIG;
use crate::cli::command::{CommandError, fault, finish, say, with_store};
use crate::config::Config;
use crate::reload::{administration, open_vault};
use guarita_auth::keys::{
    Added, KeyAdministration, KeyInfo, KeyPurpose, KeyRejection, KeyState, VaultFault,
};
use guarita_core::{Timestamp, time};
use guarita_store::Store;

/// `guarita keys`
#[derive(Debug, clap::Args)]
pub struct KeysArgs {
    #[command(subcommand)]
    verb: KeysCommand,
}

#[derive(Debug, clap::Subcommand)]
enum KeysCommand {
    /// List keys with id, algorithm, creation time and state; never the key itself.
    List {
        /// The configuration file.
        #[arg(long, value_name = "FILE", default_value = CONFIG)]
        config: PathBuf,
        /// Print JSON instead of a table.
        #[arg(long)]
        json: bool,
    },
    /// Create a new signing key.
    ///
    /// It is published at once and signs after tokens.publish_ahead (for assertions: assertion.publish_ahead).
    /// Older keys go on verifying what they signed.
    Rotate {
        /// The configuration file.
        #[arg(long, value_name = "FILE", default_value = CONFIG)]
        config: PathBuf,
        /// What the key is for.
        #[arg(long = "for", value_name = "WHAT", default_value = "tokens")]
        purpose: KeyPurposeArg,
        /// The present keys are compromised: the new key signs at once, and everything that they signed is void. Keys
        /// of assertions that were in files stay published for two minutes, unless the gateway is restarted.
        #[arg(long)]
        compromised: bool,
    },
    /// Import a key for tokens from a file that only its owner can read.
    ///
    /// A private key in PEM signs like a new key, a public key only verifies. A file that is not PEM is a secret
    /// for HS256.
    Import {
        /// The configuration file.
        #[arg(long, value_name = "FILE", default_value = CONFIG)]
        config: PathBuf,
        /// The file of the key.
        #[arg(value_name = "PEM")]
        file: PathBuf,
        /// Sign with the key at once: every verifier knows it already.
        #[arg(long)]
        now: bool,
    },
    /// Remove a key that does not sign.
    ///
    /// That is one that is announced (this withdraws the announcement) or one that only verifies.
    Remove {
        /// The configuration file.
        #[arg(long, value_name = "FILE", default_value = CONFIG)]
        config: PathBuf,
        /// The key's id, as listed.
        #[arg(value_name = "KID")]
        id: String,
    },
    /// Re-encrypt the keys in the database with the first of the two configured master keys.
    Reseal {
        /// The configuration file.
        #[arg(long, value_name = "FILE", default_value = CONFIG)]
        config: PathBuf,
    },
}

/// What a key is for.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum KeyPurposeArg {
    /// Access tokens.
    Tokens,
    /// Assertions for upstreams.
    Assertions,
}

impl From<KeyPurposeArg> for KeyPurpose {
    fn from(purpose: KeyPurposeArg) -> Self {
        match purpose {
            KeyPurposeArg::Tokens => Self::Token,
            KeyPurposeArg::Assertions => Self::Assertion,
        }
    }
}

/// Runs the command.
pub fn run(arguments: KeysArgs) -> ExitCode {
    finish(match arguments.verb {
        KeysCommand::List { config, json } => {
            with_keys(&config, async |keys| list(keys, json).await)
        }
        KeysCommand::Rotate { config, purpose, compromised } => {
            let verb = if compromised { "keys rotate --compromised" } else { "keys rotate" };
            changing(&config, verb, async |keys| {
                added(keys.rotate(purpose.into(), compromised, time::now()).await)
            })
        }
        KeysCommand::Import { config, file, now } => {
            changing(&config, "keys import", async |keys| {
                added(keys.import(&file, now, time::now()).await)
            })
        }
        KeysCommand::Remove { config, id } => changing(&config, "keys remove", async |keys| {
            removed(keys.remove(&id, time::now()).await, &id)
        }),
        KeysCommand::Reseal { config } => {
            let act = AuditedCommand { verb: "keys reseal", about: None };
            with_recorded_store(&config, act, async |config, store| reseal(&config, store).await)
        }
    })
}

/// Always opens the store: it may hold keys even if no master key is configured.
fn with_keys<F>(file: &Path, work: impl FnOnce(KeyAdministration) -> F) -> Result<(), CommandError>
where
    F: Future<Output = Result<(), CommandError>>,
{
    with_store(file, async |config, store| {
        let vault = open_vault(&config, &store).await.map_err(fault)?;
        work(administration(&config, vault)).await
    })
}

/// Like [`with_keys`], with a line in the audit files.
fn changing<F>(
    file: &Path,
    verb: &str,
    work: impl FnOnce(KeyAdministration) -> F,
) -> Result<(), CommandError>
where
    F: Future<Output = Result<(), CommandError>>,
{
    with_recorded_store(file, AuditedCommand { verb, about: None }, async |config, store| {
        let vault = open_vault(&config, &store).await.map_err(fault)?;
        work(administration(&config, vault)).await
    })
}

fn added(outcome: Result<Result<Added, KeyRejection>, VaultFault>) -> Result<(), CommandError> {
    let refused = |refusal: KeyRejection| CommandError::Refused(refusal.to_string());
    let Added { id, signs_from } = outcome.map_err(fault)?.map_err(refused)?;
    match signs_from {
        Some(from) => say(&format!("{id} signs from {}", from.rfc3339())),
        None => say(&format!("{id} verifies")),
    }
}

fn removed(
    outcome: Result<Result<(), KeyRejection>, VaultFault>,
    id: &str,
) -> Result<(), CommandError> {
    outcome.map_err(fault)?.map_err(|refusal| CommandError::Refused(refusal.to_string()))?;
    say(&format!("removed {id}"))
}

async fn reseal(config: &Config, store: Store) -> Result<(), CommandError> {
    let vault = open_vault(config, &store).await.map_err(fault)?;
    let vault = vault.ok_or_else(|| {
        CommandError::Refused("no master key is configured (store.master_key_file)".to_owned())
    })?;
    let count = vault.reseal(time::now()).await.map_err(fault)?;
    say(&format!("re-encrypted {count} {}", if count == 1 { "key" } else { "keys" }))
}

async fn list(keys: KeyAdministration, json: bool) -> Result<(), CommandError> {
    let listed = keys.list(time::now()).await.map_err(fault)?;
    if json {
        let rows: Vec<_> = listed.iter().map(as_json).collect();
        return say(&serde_json::Value::from(rows).to_string());
    }
    say(&format!(
        "{:<43}  {:<10}  {:<9}  {:<20}  {}",
        "KID", "FOR", "ALGORITHM", "SINCE", "STATE"
    ))?;
    for key in &listed {
        say(&format!(
            "{:<43}  {:<10}  {:<9}  {:<20}  {}",
            key.id,
            used_for(key.purpose),
            key.algorithm,
            key.since.rfc3339(),
            state(key),
        ))?;
    }
    Ok(())
}

const fn used_for(purpose: KeyPurpose) -> &'static str {
    match purpose {
        KeyPurpose::Token => "tokens",
        KeyPurpose::Assertion => "assertions",
        KeyPurpose::Outbox => "mails",
    }
}

fn state(key: &KeyInfo) -> String {
    let until = |word: &str| match key.verifies_until {
        Some(until) => format!("{word} until {}", until.rfc3339()),
        None => word.to_owned(),
    };
    match (key.state, key.signs_from) {
        (KeyState::Announced, Some(from)) => format!("announced, signs from {}", from.rfc3339()),
        (KeyState::Signing | KeyState::Announced, _) => "signing".to_owned(),
        (KeyState::Verifying, _) => until("verifying"),
    }
}

fn as_json(key: &KeyInfo) -> serde_json::Value {
    let state = match key.state {
        KeyState::Signing => "signing",
        KeyState::Announced => "announced",
        KeyState::Verifying => "verifying",
    };
    serde_json::json!({
        "kid": key.id,
        "for": used_for(key.purpose),
        "algorithm": key.algorithm,
        "since": key.since.rfc3339(),
        "state": state,
        "signsFrom": key.signs_from.map(Timestamp::rfc3339),
        "verifiesUntil": key.verifies_until.map(Timestamp::rfc3339),
    })
}

#[cfg(test)]
mod tests {
    use clap::Args as _;

    use super::*;

    #[test]
    fn the_arguments_hold_together() {
        KeysArgs::augment_args(clap::Command::new("keys")).debug_assert();
    }
}
