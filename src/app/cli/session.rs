//! `guarita session list|revoke`

use std::path::PathBuf;
use std::process::ExitCode;

use super::migrate::{Failure, fault, finish, say, with_store};
use crate::adapters::store::{Session, Store};
use crate::model::{SessionId, UserId, clock};
use crate::services::session::{Registry, Sessions};

/// `guarita session`
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Lists a user's live sessions, newest first.
    List {
        /// The configuration file.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// The user name.
        #[arg(long)]
        username: String,
        /// JSON instead of a table.
        #[arg(long)]
        json: bool,
    },
    /// Revokes one session, or all of a user; holds on running gateways within 1 s.
    Revoke {
        /// The configuration file.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// The session's id.
        #[arg(long, value_name = "SID", required_unless_present = "username")]
        sid: Option<String>,
        /// Every session of this user.
        #[arg(long, conflicts_with = "sid")]
        username: Option<String>,
    },
}

/// Runs the verb.
pub fn run(arguments: Arguments) -> ExitCode {
    finish(match arguments.verb {
        Verb::List { config, username, json } => {
            with_store(&config, async |_, store| list(store, &username, json).await)
        }
        Verb::Revoke { config, sid: Some(sid), username: _ } => {
            with_store(&config, async |_, store| revoke(store, &sid).await)
        }
        Verb::Revoke { config, sid: None, username } => with_store(&config, async |_, store| {
            revoke_all(store, username.as_deref().unwrap_or_default()).await
        }),
    })
}

fn sessions(store: Store) -> Sessions {
    Sessions::new(store.clone(), Registry::new(store))
}

async fn find_user(store: &Store, username: &str) -> Result<UserId, Failure> {
    let mut transaction = store.read().await.map_err(fault)?;
    let user = transaction.find_user_by_username(username).await.map_err(fault)?;
    user.map(|user| user.id).ok_or_else(|| Failure::Refused("there is no such user".into()))
}

async fn list(store: Store, username: &str, json: bool) -> Result<(), Failure> {
    let user = find_user(&store, username).await?;
    let found = sessions(store).list(user, clock::now()).await.map_err(fault)?;
    if json {
        let rows: Vec<_> = found.iter().map(as_json).collect();
        return say(&serde_json::Value::from(rows).to_string());
    }
    say(&format!("{:<36}  {:<20}  {:<20}  {}", "SID", "LAST USED", "EXPIRES", "ADDRESS"))?;
    for session in &found {
        say(&format!(
            "{:<36}  {:<20}  {:<20}  {}",
            session.id.to_string(),
            session.last_used_at.rfc3339(),
            session.expires_at.rfc3339(),
            session.address.as_deref().unwrap_or("-"),
        ))?;
    }
    Ok(())
}

fn as_json(session: &Session) -> serde_json::Value {
    serde_json::json!({
        "sid": session.id.to_string(),
        "createdAt": session.created_at.rfc3339(),
        "lastUsedAt": session.last_used_at.rfc3339(),
        "expiresAt": session.expires_at.rfc3339(),
        "address": session.address,
        "userAgent": session.user_agent,
    })
}

async fn revoke(store: Store, sid: &str) -> Result<(), Failure> {
    let unknown = || Failure::Refused("there is no such session".into());
    let session = SessionId::parse(sid).ok_or_else(unknown)?;
    let sessions = sessions(store);
    sessions.find(session).await.map_err(fault)?.ok_or_else(unknown)?;
    sessions.revoke(session, clock::now()).await.map_err(fault)?;
    say("revoked")
}

async fn revoke_all(store: Store, username: &str) -> Result<(), Failure> {
    let user = find_user(&store, username).await?;
    let revoked = sessions(store).revoke_all(user, clock::now()).await.map_err(fault)?;
    say(&format!("{revoked} sessions revoked"))
}

#[cfg(test)]
mod tests {
    use clap::Args as _;

    use super::*;

    #[test]
    fn the_arguments_hold_together() {
        Arguments::augment_args(clap::Command::new("session")).debug_assert();
    }
}
