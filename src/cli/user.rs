//! `guarita user create|list|show|set-password|disable|enable|reset-mfa|require-mfa|verify|grant|revoke|import`

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use super::import::{ImportArguments, import};
use super::profile::{ProfileArguments, members};
use super::recorded::{AuditedCommand, with_recorded_store};
use crate::cli::command::CONFIG;
use crate::cli::command::{CommandError, fault, finish, say, with_store};
use crate::config::Config;
use crate::reload::open_vault;
use guarita_auth::account::administration::MAX_PAGE;
use guarita_auth::account::{
    Account, AccountRejection, Accounts, MailedLinks, NewAccount, PasswordPolicy,
};
use guarita_auth::grant;
use guarita_auth::login::{Passwords, password};
use guarita_auth::mail::Outbox;
use guarita_auth::session::SessionCache;
use guarita_core::{EmailAddress, Role, Secret, Timestamp, UserId, random, time};
use guarita_store::Store;

/// `guarita user`
#[derive(Debug, clap::Args)]
pub struct UserArgs {
    #[command(subcommand)]
    verb: UserCommand,
}

#[derive(Debug, clap::Subcommand)]
enum UserCommand {
    /// Create a user.
    Create {
        #[command(flatten)]
        target: UserTarget,
        /// The e-mail address.
        #[arg(long, alias = "email-corporativo")]
        email: Option<String>,
        /// A role; may be repeated.
        #[arg(long = "role", value_name = "ROLE", value_parser = parse_role)]
        roles: Vec<Role>,
        /// Whether the user can log in.
        #[arg(long, default_value_t = true, action = clap::ArgAction::Set)]
        ativo: bool,
        /// Create the user as verified: no verification mail is sent.
        #[arg(long)]
        verified: bool,
        #[command(flatten)]
        profile: ProfileArguments,
        #[command(flatten)]
        password: PasswordSource,
    },
    /// List users in the order of their creation.
    List {
        /// The configuration file.
        #[arg(long, value_name = "FILE", default_value = CONFIG)]
        config: PathBuf,
        /// List only users with ids above this one.
        #[arg(long, value_name = "ID", default_value_t = 0)]
        after: i64,
        /// The greatest number of users to list, 1 to 1000.
        #[arg(long, default_value_t = MAX_PAGE)]
        limit: u32,
        /// Print JSON instead of a table.
        #[arg(long)]
        json: bool,
    },
    /// Show one user.
    Show {
        #[command(flatten)]
        target: UserTarget,
        /// Print JSON instead of a table.
        #[arg(long)]
        json: bool,
    },
    /// Replace a user's password and revoke the user's sessions.
    SetPassword {
        #[command(flatten)]
        target: UserTarget,
        #[command(flatten)]
        password: PasswordSource,
    },
    /// Disable a user and revoke the user's sessions.
    Disable {
        #[command(flatten)]
        target: UserTarget,
    },
    /// Enable a user.
    Enable {
        #[command(flatten)]
        target: UserTarget,
    },
    /// Remove a user's second factor, for example after the loss of a phone, and revoke the user's sessions.
    ResetMfa {
        #[command(flatten)]
        target: UserTarget,
    },
    /// Require a second factor of a user, or no longer require it.
    RequireMfa {
        /// The configuration file.
        #[arg(long, value_name = "FILE", default_value = CONFIG)]
        config: PathBuf,
        /// The user name.
        username: String,
        /// Whether it is required; `mfa.required_roles` still applies if `off`.
        demand: Demand,
    },
    /// Mark a user as verified, as if the e-mail address had been verified; also a user without an address.
    Verify {
        #[command(flatten)]
        target: UserTarget,
    },
    /// Grant a role to a user.
    Grant {
        #[command(flatten)]
        target: UserTarget,
        /// The role.
        #[arg(long, value_parser = parse_role)]
        role: Role,
    },
    /// Import the users of a file: all of them, or none.
    Import(ImportArguments),
    /// Revoke a role from a user.
    Revoke {
        #[command(flatten)]
        target: UserTarget,
        /// The role.
        #[arg(long, value_parser = parse_role)]
        role: Role,
    },
}

#[derive(Debug, clap::Args)]
struct UserTarget {
    /// The configuration file.
    #[arg(long, value_name = "FILE", default_value = CONFIG)]
    config: PathBuf,
    /// The user name.
    #[arg(long)]
    username: String,
}

/// Whether a second factor is required.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Demand {
    On,
    Off,
}

/// A password is never an argument: every process of the machine can read those.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct PasswordSource {
    /// Read the password from standard input.
    #[arg(long)]
    password_stdin: bool,
    /// Generate a password of 120 random bits and print it once.
    #[arg(long)]
    generate: bool,
}

fn parse_role(text: &str) -> Result<Role, String> {
    Role::parse(text).map_err(|error| error.to_string())
}

/// Runs the command.
pub fn run(arguments: UserArgs) -> ExitCode {
    finish(match arguments.verb {
        UserCommand::Create { target, email, roles, ativo, verified, profile, password } => {
            profile.parse().and_then(|profile| {
                let new = NewAccount {
                    username: target.username.clone(),
                    email,
                    password: obtain(&password)?,
                    roles,
                    profile,
                    active: ativo,
                    verified,
                };
                create(&target.config, new, password.generate)
            })
        }
        UserCommand::Import(arguments) => {
            let act = AuditedCommand { verb: "user import", about: None };
            changing(&arguments.config, act, async |accounts| import(&accounts, &arguments).await)
        }
        UserCommand::List { config, after, limit, json } => {
            with_accounts(&config, async |accounts| list(&accounts, after, limit, json).await)
        }
        UserCommand::Show { target, json } => with_accounts(&target.config, async |accounts| {
            show(&accounts, &target.username, json).await
        }),
        UserCommand::SetPassword { target, password } => set_password(&target, &password),
        UserCommand::Disable { target } => target.change("user disable", async |accounts| {
            let revoked = accept(accounts.disable(&target.username, time::now()).await)?;
            say(&format!("disabled, {revoked} sessions revoked"))
        }),
        UserCommand::Enable { target } => target.change("user enable", async |accounts| {
            accept(accounts.enable(&target.username, time::now()).await)?;
            say("enabled")
        }),
        UserCommand::ResetMfa { target } => target.change("user reset-mfa", async |accounts| {
            let outcome = accounts.reset_second_factor(&target.username, time::now()).await;
            say(if accept(outcome)? {
                "second factor removed"
            } else {
                "the user had no second factor"
            })
        }),
        UserCommand::RequireMfa { config, username, demand } => {
            let on = demand == Demand::On;
            let verb = if on { "user require-mfa on" } else { "user require-mfa off" };
            let target = UserTarget { config, username };
            target.change(verb, async |accounts| {
                let now = time::now();
                accept(accounts.require_second_factor(&target.username, on, now).await)?;
                say(if on { "second factor required" } else { "second factor not required" })
            })
        }
        UserCommand::Verify { target } => target.change("user verify", async |accounts| {
            accept(accounts.mark_verified(&target.username, time::now()).await)?;
            say("verified")
        }),
        UserCommand::Grant { target, role } => {
            let verb = format!("user grant {}", role.as_str());
            target.change(&verb, async |accounts| {
                let new = accept(accounts.grant(&target.username, &role, time::now()).await)?;
                say(if new { "granted" } else { "the user has this role already" })
            })
        }
        UserCommand::Revoke { target, role } => {
            let verb = format!("user revoke {}", role.as_str());
            target.change(&verb, async |accounts| {
                let removed = accept(accounts.revoke(&target.username, &role, time::now()).await)?;
                say(if removed { "revoked" } else { "the user does not have this role" })
            })
        }
    })
}

fn create(config: &Path, new: NewAccount, generated: bool) -> Result<(), CommandError> {
    let username = new.username.clone();
    let act = AuditedCommand { verb: "user create", about: Some(&username) };
    changing(config, act, async |accounts| {
        let password = new.password.clone();
        let id = accept(accounts.create(new, time::now()).await)?;
        if generated { say(password.expose()) } else { say(&format!("created user {id}")) }
    })
}

fn set_password(target: &UserTarget, source: &PasswordSource) -> Result<(), CommandError> {
    let password = obtain(source)?;
    target.change("user set-password", async |accounts| {
        let changed = accounts.set_password(&target.username, &password, time::now()).await;
        let revoked = accept(changed)?;
        if source.generate {
            say(password.expose())
        } else {
            say(&format!("password set, {revoked} sessions revoked"))
        }
    })
}

fn obtain(source: &PasswordSource) -> Result<Secret, CommandError> {
    if source.generate {
        return random::password().map_err(fault);
    }
    let bound = u64::try_from(password::MAX_LENGTH + 2).map_err(fault)?;
    let mut text = String::new();
    std::io::stdin().lock().take(bound).read_to_string(&mut text).map_err(fault)?;
    let line = text.strip_suffix('\n').unwrap_or(&text);
    Ok(Secret::new(line.strip_suffix('\r').unwrap_or(line)))
}

fn with_accounts<F>(file: &Path, work: impl FnOnce(Accounts) -> F) -> Result<(), CommandError>
where
    F: Future<Output = Result<(), CommandError>>,
{
    with_store(file, async |config, store| work(accounts(&config, store).await?).await)
}

/// Like [`with_accounts`], with a line in the audit files.
fn changing<F>(
    file: &Path,
    act: AuditedCommand<'_>,
    work: impl FnOnce(Accounts) -> F,
) -> Result<(), CommandError>
where
    F: Future<Output = Result<(), CommandError>>,
{
    with_recorded_store(file, act, async |config, store| {
        work(accounts(&config, store).await?).await
    })
}

impl UserTarget {
    /// Runs a change of this user, with a line in the audit files.
    fn change<F>(&self, verb: &str, work: impl FnOnce(Accounts) -> F) -> Result<(), CommandError>
    where
        F: Future<Output = Result<(), CommandError>>,
    {
        changing(&self.config, AuditedCommand { verb, about: Some(&self.username) }, work)
    }
}

/// The administration of the accounts in a store.
pub(super) async fn accounts(config: &Config, store: Store) -> Result<Accounts, CommandError> {
    let passwords = Arc::new(Passwords::new(&config.login.hashing).map_err(fault)?);
    let outbox = outbox(config, &store).await?;
    let policy = PasswordPolicy::new(config.login.min_length, config.policy.clone());
    let registry = SessionCache::new(store.clone());
    let links = MailedLinks::new(store, passwords, Arc::new(outbox), config.links.clone());
    Ok(Accounts::new(registry, Arc::new(policy), Arc::new(links)))
}

/// Reads the keys in the database and creates none: a new key would not take over those in the gateway's files, and
/// the algorithm of this machine's configuration would become that of all gateways.
async fn outbox(config: &Config, store: &Store) -> Result<Outbox, CommandError> {
    // The key that encrypts links is needed only if mail is sent.
    let vault = match &config.mail {
        Some(_) => open_vault(config, store).await.map_err(fault)?,
        None => None,
    };
    let Some(vault) = vault else {
        return Outbox::open(config.mail.as_ref(), &config.data_dir).map_err(fault);
    };
    let keys = vault.read().await.map_err(fault)?;
    Outbox::of_vault(config.mail.as_ref(), keys.outbox()).map_err(fault)
}

fn accept<T>(
    outcome: Result<Result<T, AccountRejection>, grant::TokenError>,
) -> Result<T, CommandError> {
    outcome.map_err(fault)?.map_err(|refusal| CommandError::Refused(refusal.to_string()))
}

async fn list(accounts: &Accounts, after: i64, limit: u32, json: bool) -> Result<(), CommandError> {
    let found = accounts.list(UserId::new(after), limit).await.map_err(fault)?;
    if json {
        let rows: Vec<_> = found.iter().map(as_json).collect();
        return say(&serde_json::Value::from(rows).to_string());
    }
    table(&found)
}

async fn show(accounts: &Accounts, username: &str, json: bool) -> Result<(), CommandError> {
    let found = accounts.show(username).await.map_err(fault)?;
    let account =
        found.ok_or_else(|| CommandError::Refused(AccountRejection::UnknownUser.to_string()))?;
    if json {
        return say(&as_json(&account).to_string());
    }
    let profile = members(&account);
    table(&[account])?;
    for (name, value) in profile.as_object().into_iter().flatten() {
        if let Some(text) = value.as_str() {
            say(&format!("{name}: {text}"))?;
        }
    }
    Ok(())
}

fn table(accounts: &[Account]) -> Result<(), CommandError> {
    say(&format!(
        "{:>6}  {:<24}  {:<8}  {:<20}  {}",
        "ID", "USERNAME", "STATE", "CREATED", "ROLES"
    ))?;
    for Account { user, roles, .. } in accounts {
        say(&format!(
            "{:>6}  {:<24}  {:<8}  {:<20}  {}",
            user.id.get(),
            user.username.as_str(),
            if user.active { "active" } else { "disabled" },
            user.created_at.rfc3339(),
            roles.iter().collect::<Vec<_>>().join(","),
        ))?;
    }
    Ok(())
}

fn as_json(account: &Account) -> serde_json::Value {
    let Account { user, roles, .. } = account;
    serde_json::json!({
        "id": user.id.get(),
        "username": user.username.as_str(),
        "email": user.email.as_ref().map(EmailAddress::expose),
        "active": user.active,
        "roles": roles.iter().collect::<Vec<_>>(),
        "mfaRequired": user.second_factor_required,
        "lockedUntil": user.locked_until.map(Timestamp::rfc3339),
        "verifiedAt": user.email_verified_at.map(Timestamp::rfc3339),
        "createdAt": user.created_at.rfc3339(),
        "profile": members(account),
    })
}

#[cfg(test)]
mod tests {
    use clap::Args as _;

    use super::*;

    #[test]
    fn the_arguments_hold_together() {
        UserArgs::augment_args(clap::Command::new("user")).debug_assert();
    }
}
