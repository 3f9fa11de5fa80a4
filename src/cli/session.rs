//! `guarita session list|revoke`

use std::path::PathBuf;
use std::process::ExitCode;

use super::recorded::{AuditedCommand, with_recorded_store};
use crate::cli::command::CONFIG;
use crate::cli::command::{CommandError, fault, finish, say, with_store};
use crate::config::Config;
use guarita_auth::session::{SessionCache, Sessions};
use guarita_auth::snapshot::provider::ProviderSettings;
use guarita_core::revocation_key::{MAX_VALUE, MarkKind, RevocationKey, RevokedMark};
use guarita_core::{SessionId, UserId, time};
use guarita_store::{Store, StoredSession};

/// `guarita session`
#[derive(Debug, clap::Args)]
pub struct SessionArgs {
    #[command(subcommand)]
    verb: SessionCommand,
}

#[derive(Debug, clap::Subcommand)]
enum SessionCommand {
    /// List a user's active sessions, newest first.
    List {
        /// The configuration file.
        #[arg(long, value_name = "FILE", default_value = CONFIG)]
        config: PathBuf,
        /// The user name.
        #[arg(long)]
        username: String,
        /// Print JSON instead of a table.
        #[arg(long)]
        json: bool,
    },
    /// Revoke one session, or all sessions of a user. Takes effect on running gateways within 1 s.
    Revoke {
        /// The configuration file.
        #[arg(long, value_name = "FILE", default_value = CONFIG)]
        config: PathBuf,
        #[command(flatten)]
        which: Which,
        /// A provider's `iss`: revokes tokens of this provider, selected by --sid, --subject or --jti.
        #[arg(long, value_name = "ISS", conflicts_with = "username", value_parser = parse_value)]
        issuer: Option<String>,
    },
}

/// What to revoke.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct Which {
    /// The session's id; with --issuer, the `sid` claim of the provider's tokens.
    #[arg(long, value_name = "SID", value_parser = parse_value)]
    sid: Option<String>,
    /// All sessions of this user.
    #[arg(long)]
    username: Option<String>,
    /// All tokens with this `sub` claim that were issued up to now; needs --issuer.
    #[arg(long, value_name = "SUB", requires = "issuer", value_parser = parse_value)]
    subject: Option<String>,
    /// The token with this `jti` claim; needs --issuer.
    #[arg(long, value_name = "JTI", requires = "issuer", value_parser = parse_value)]
    jti: Option<String>,
}

/// Parses the value of a claim that identifies a token, its session or its subject.
fn parse_value(text: &str) -> Result<String, &'static str> {
    let fits = (1..=MAX_VALUE).contains(&text.len()) && !text.chars().any(char::is_control);
    if fits {
        Ok(text.to_owned())
    } else {
        Err("must be 1 to 255 bytes without control characters")
    }
}

/// Runs the command.
pub fn run(arguments: SessionArgs) -> ExitCode {
    finish(match arguments.verb {
        SessionCommand::List { config, username, json } => {
            with_store(&config, async |_, store| list(store, &username, json).await)
        }
        SessionCommand::Revoke { config, which, issuer } => {
            let about = which.username.clone().or_else(|| which.subject.clone());
            let act = AuditedCommand { verb: "session revoke", about: about.as_deref() };
            with_recorded_store(&config, act, async |settings, store| match (issuer, which) {
                (Some(issuer), which) => revoke_tokens(settings, store, &issuer, which).await,
                (None, Which { username: Some(username), .. }) => {
                    revoke_all(store, &username).await
                }
                (None, which) => revoke(store, which.sid.as_deref().unwrap_or_default()).await,
            })
        }
    })
}

/// Revokes tokens of a provider, whether or not they belong to a local account.
async fn revoke_tokens(
    config: Config,
    store: Store,
    issuer: &str,
    which: Which,
) -> Result<(), CommandError> {
    let known = |it: &ProviderSettings| &*it.expected.token.issuer == issuer;
    if !config.providers.iter().any(known) {
        return Err(CommandError::Refused("there is no provider with that issuer".into()));
    }
    let (kind, value) = match (which.jti, which.sid, which.subject) {
        (Some(jti), ..) => (MarkKind::Token, jti),
        (None, Some(sid), _) => (MarkKind::Session, sid),
        (None, None, subject) => (MarkKind::Subject, subject.unwrap_or_default()),
    };
    let now = time::now();
    let revoked = RevokedMark::now(RevocationKey::of(issuer, kind, &value), now);
    sessions(store).revoke_tokens(revoked, now).await.map_err(fault)?;
    say("revoked")
}

fn sessions(store: Store) -> Sessions {
    Sessions::new(store.clone(), SessionCache::new(store))
}

async fn find_user(store: &Store, username: &str) -> Result<UserId, CommandError> {
    let mut transaction = store.read().await.map_err(fault)?;
    let user = transaction.find_user_by_username(username).await.map_err(fault)?;
    user.map(|user| user.id).ok_or_else(|| CommandError::Refused("there is no such user".into()))
}

async fn list(store: Store, username: &str, json: bool) -> Result<(), CommandError> {
    let user = find_user(&store, username).await?;
    let found = sessions(store).list(user, time::now()).await.map_err(fault)?;
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

fn as_json(session: &StoredSession) -> serde_json::Value {
    serde_json::json!({
        "sid": session.id.to_string(),
        "createdAt": session.created_at.rfc3339(),
        "lastUsedAt": session.last_used_at.rfc3339(),
        "expiresAt": session.expires_at.rfc3339(),
        "address": session.address,
        "userAgent": session.user_agent,
    })
}

async fn revoke(store: Store, sid: &str) -> Result<(), CommandError> {
    let unknown = || CommandError::Refused("there is no such session".into());
    let session = SessionId::parse(sid).ok_or_else(unknown)?;
    let sessions = sessions(store);
    sessions.find(session).await.map_err(fault)?.ok_or_else(unknown)?;
    sessions.revoke(session, time::now()).await.map_err(fault)?;
    say("revoked")
}

async fn revoke_all(store: Store, username: &str) -> Result<(), CommandError> {
    let user = find_user(&store, username).await?;
    let revoked = sessions(store).revoke_all(user, None, time::now()).await.map_err(fault)?;
    say(&format!("{revoked} sessions revoked"))
}

#[cfg(test)]
mod tests {
    use clap::Args as _;

    use super::*;

    #[test]
    fn the_arguments_hold_together() {
        SessionArgs::augment_args(clap::Command::new("session")).debug_assert();
    }
}
