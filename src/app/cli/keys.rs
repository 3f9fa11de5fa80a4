//! `guarita keys list|rotate|import|remove|reseal`

use std::future::Future;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::migrate::{Failure, fault, finish, say, with_store};
use super::recorded::{Act, with_recorded_store};
use super::verb::CONFIG;
use crate::adapters::store::Store;
use crate::app::config::Config;
use crate::app::reload::{administration, open_vault};
use crate::model::{Timestamp, clock};
use crate::services::keys::{
    Added, Administration, KeyPurpose, Listed, Refusal, State, VaultFault,
};

/// `guarita keys`
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// List keys with id, algorithm, creation time and state; never the key itself.
    List {
        /// The configuration file.
        #[arg(long, value_name = "FILE", default_value = CONFIG)]
        config: PathBuf,
        /// Print JSON instead of a table.
        #[arg(long)]
        json: bool,
    },
    /// Create a new signing key. It is published at once and signs after tokens.publish_ahead (for assertions:
    /// assertion.publish_ahead). Older keys go on verifying what they signed.
    Rotate {
        /// The configuration file.
        #[arg(long, value_name = "FILE", default_value = CONFIG)]
        config: PathBuf,
        /// What the key is for.
        #[arg(long = "for", value_name = "WHAT", default_value = "tokens")]
        purpose: Purpose,
        /// The present keys are compromised: the new key signs at once, and everything that they signed is void. Keys
        /// of assertions that were in files stay published for two minutes, unless the gateway is restarted.
        #[arg(long)]
        compromised: bool,
    },
    /// Import a key for tokens from a file that only its owner can read. A private key in PEM signs like a
    /// new key, a public key only verifies. A file that is not PEM is a secret for HS256.
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
    /// Remove a key that does not sign: one that is announced (this withdraws the announcement) or one
    /// that only verifies.
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
enum Purpose {
    /// Access tokens.
    Tokens,
    /// Assertions for upstreams.
    Assertions,
}

impl From<Purpose> for KeyPurpose {
    fn from(purpose: Purpose) -> Self {
        match purpose {
            Purpose::Tokens => Self::Token,
            Purpose::Assertions => Self::Assertion,
        }
    }
}

/// Runs the command.
pub fn run(arguments: Arguments) -> ExitCode {
    finish(match arguments.verb {
        Verb::List { config, json } => with_keys(&config, async |keys| list(keys, json).await),
        Verb::Rotate { config, purpose, compromised } => {
            let verb = if compromised { "keys rotate --compromised" } else { "keys rotate" };
            changing(&config, verb, async |keys| {
                added(keys.rotate(purpose.into(), compromised, clock::now()).await)
            })
        }
        Verb::Import { config, file, now } => changing(&config, "keys import", async |keys| {
            added(keys.import(&file, now, clock::now()).await)
        }),
        Verb::Remove { config, id } => changing(&config, "keys remove", async |keys| {
            removed(keys.remove(&id, clock::now()).await, &id)
        }),
        Verb::Reseal { config } => {
            let act = Act { verb: "keys reseal", about: None };
            with_recorded_store(&config, act, async |config, store| reseal(&config, store).await)
        }
    })
}

/// Always opens the store: it may hold keys even if no master key is configured.
fn with_keys<F>(file: &Path, work: impl FnOnce(Administration) -> F) -> Result<(), Failure>
where
    F: Future<Output = Result<(), Failure>>,
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
    work: impl FnOnce(Administration) -> F,
) -> Result<(), Failure>
where
    F: Future<Output = Result<(), Failure>>,
{
    with_recorded_store(file, Act { verb, about: None }, async |config, store| {
        let vault = open_vault(&config, &store).await.map_err(fault)?;
        work(administration(&config, vault)).await
    })
}

fn added(outcome: Result<Result<Added, Refusal>, VaultFault>) -> Result<(), Failure> {
    let refused = |refusal: Refusal| Failure::Refused(refusal.to_string());
    let Added { id, signs_from } = outcome.map_err(fault)?.map_err(refused)?;
    match signs_from {
        Some(from) => say(&format!("{id} signs from {}", from.rfc3339())),
        None => say(&format!("{id} verifies")),
    }
}

fn removed(outcome: Result<Result<(), Refusal>, VaultFault>, id: &str) -> Result<(), Failure> {
    outcome.map_err(fault)?.map_err(|refusal| Failure::Refused(refusal.to_string()))?;
    say(&format!("removed {id}"))
}

async fn reseal(config: &Config, store: Store) -> Result<(), Failure> {
    let vault = open_vault(config, &store).await.map_err(fault)?;
    let vault = vault.ok_or_else(|| {
        Failure::Refused("no master key is configured (store.master_key_file)".to_owned())
    })?;
    let count = vault.reseal(clock::now()).await.map_err(fault)?;
    say(&format!("re-encrypted {count} {}", if count == 1 { "key" } else { "keys" }))
}

async fn list(keys: Administration, json: bool) -> Result<(), Failure> {
    let listed = keys.list(clock::now()).await.map_err(fault)?;
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

fn state(key: &Listed) -> String {
    let until = |word: &str| match key.verifies_until {
        Some(until) => format!("{word} until {}", until.rfc3339()),
        None => word.to_owned(),
    };
    match (key.state, key.signs_from) {
        (State::Announced, Some(from)) => format!("announced, signs from {}", from.rfc3339()),
        (State::Signing | State::Announced, _) => "signing".to_owned(),
        (State::Verifying, _) => until("verifying"),
    }
}

fn as_json(key: &Listed) -> serde_json::Value {
    let state = match key.state {
        State::Signing => "signing",
        State::Announced => "announced",
        State::Verifying => "verifying",
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
        Arguments::augment_args(clap::Command::new("keys")).debug_assert();
    }
}
