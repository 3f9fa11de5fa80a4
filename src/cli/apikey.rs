//! `guarita apikey create|list|revoke`

use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use ipnet::IpNet;

use super::credential::{self, ListArgs, parse_lifetime};
use super::recorded::{AuditedCommand, with_recorded_store};
use crate::cli::command::CONFIG;
use crate::cli::command::{CommandError, fault, finish, say, with_store};
use guarita_auth::api_key::{ApiKey, ApiKeyAdministration, ApiKeyRejection, Grant};
use guarita_auth::session::SessionCache;
use guarita_core::{ApiKeyId, ApiKeyName, Role, Roles, Scope, Scopes, Timestamp, time};
use guarita_store::Store;

/// `guarita apikey`
#[derive(Debug, clap::Args)]
pub struct ApiKeyArgs {
    #[command(subcommand)]
    verb: ApiKeyCommand,
}

#[derive(Debug, clap::Subcommand)]
enum ApiKeyCommand {
    /// Create a key and print it once.
    ///
    /// Creating a second key under a name rotates it: the first stays valid until it is revoked.
    Create {
        /// The configuration file.
        #[arg(long, value_name = "FILE", default_value = CONFIG)]
        config: PathBuf,
        /// The key's name: letters, digits, ".", "_" and "-". Upstreams receive it as apikey:NAME.
        #[arg(long, value_parser = parse_name)]
        name: ApiKeyName,
        /// A role; may be repeated.
        #[arg(long = "role", value_name = "ROLE", value_parser = parse_role)]
        roles: Vec<Role>,
        /// A scope; may be repeated.
        #[arg(long = "scope", value_name = "SCOPE", value_parser = parse_scope)]
        scopes: Vec<Scope>,
        /// A network or address that the key may be used from; may be repeated. Default: any address.
        #[arg(long = "network", value_name = "CIDR", value_parser = parse_network)]
        networks: Vec<IpNet>,
        /// How long the key is valid: 1s to 3650d, for example 90d. Default: no expiry.
        #[arg(long, value_name = "TIME", value_parser = parse_lifetime)]
        expires_in: Option<Duration>,
    },
    /// List keys in the order of their creation, without revoked ones; never the key itself.
    List(ListArgs),
    /// Revoke a key, or every key of a name. Takes effect on running gateways within 1 s.
    Revoke {
        /// The configuration file.
        #[arg(long, value_name = "FILE", default_value = CONFIG)]
        config: PathBuf,
        /// The key's id or prefix, as listed, or a name: then every key of that name.
        #[arg(value_name = "ID|PREFIX|NAME")]
        which: String,
    },
}

fn parse_name(text: &str) -> Result<ApiKeyName, String> {
    ApiKeyName::parse(text).map_err(|error| error.to_string())
}

fn parse_role(text: &str) -> Result<Role, String> {
    Role::parse(text).map_err(|error| error.to_string())
}

fn parse_scope(text: &str) -> Result<Scope, String> {
    Scope::parse(text).map_err(|error| error.to_string())
}

/// A network, or one address.
fn parse_network(text: &str) -> Result<IpNet, &'static str> {
    let address = || text.parse::<IpAddr>().map(IpNet::from);
    let network = text.parse::<IpNet>().or_else(|_| address());
    network
        .map(|network| network.trunc())
        .map_err(|_| "must be an IP address or a network in CIDR notation")
}

/// Runs the command.
pub fn run(arguments: ApiKeyArgs) -> ExitCode {
    finish(match arguments.verb {
        ApiKeyCommand::Create { config, name, roles, scopes, networks, expires_in } => {
            let known_as = name.as_str().to_owned();
            parse_grant(name, roles, scopes, networks, expires_in).and_then(|grant| {
                let act = AuditedCommand { verb: "apikey create", about: Some(&known_as) };
                with_recorded_store(&config, act, async |_, store| create(store, grant).await)
            })
        }
        ApiKeyCommand::List(listing) => {
            with_store(&listing.config, async |_, store| list(store, &listing).await)
        }
        ApiKeyCommand::Revoke { config, which } => {
            let act = AuditedCommand { verb: "apikey revoke", about: None };
            with_recorded_store(&config, act, async |_, store| revoke(store, &which).await)
        }
    })
}

fn parse_grant(
    name: ApiKeyName,
    roles: Vec<Role>,
    scopes: Vec<Scope>,
    networks: Vec<IpNet>,
    lifetime: Option<Duration>,
) -> Result<Grant, CommandError> {
    let roles = Roles::new(roles).map_err(|error| CommandError::Refused(error.to_string()))?;
    let scopes = Scopes::new(scopes).map_err(|error| CommandError::Refused(error.to_string()))?;
    Ok(Grant { name, roles, scopes, networks, lifetime })
}

fn administration(store: Store) -> ApiKeyAdministration {
    ApiKeyAdministration::new(store.clone(), SessionCache::new(store))
}

fn refused(refusal: ApiKeyRejection) -> CommandError {
    CommandError::Refused(refusal.to_string())
}

async fn create(store: Store, grant: Grant) -> Result<(), CommandError> {
    let made = administration(store).create(grant, time::now()).await;
    say(made.map_err(fault)?.map_err(refused)?.key.expose())
}

async fn revoke(store: Store, which: &str) -> Result<(), CommandError> {
    let revoked = administration(store).revoke(which, time::now()).await;
    let count = revoked.map_err(fault)?.map_err(refused)?;
    say(&format!("revoked {count} {}", if count == 1 { "key" } else { "keys" }))
}

async fn list(store: Store, listing: &ListArgs) -> Result<(), CommandError> {
    let now = time::now();
    let found = administration(store)
        .list(ApiKeyId::new(listing.after), listing.all)
        .await
        .map_err(fault)?;
    if listing.json {
        let rows: Vec<_> = found.iter().map(|key| as_json(key, now)).collect();
        return say(&serde_json::Value::from(rows).to_string());
    }
    say(&format!(
        "{:>6}  {:<12}  {:<24}  {:<7}  {:<20}  {:<20}  {}",
        "ID", "PREFIX", "NAME", "STATE", "EXPIRES", "LAST USED", "ROLES / SCOPES / NETWORKS"
    ))?;
    for key in &found {
        let time = |time: Option<Timestamp>| time.map_or("-".to_owned(), Timestamp::rfc3339);
        say(&format!(
            "{:>6}  {:<12}  {:<24}  {:<7}  {:<20}  {:<20}  {} / {} / {}",
            key.id.get(),
            key.prefix,
            key.name.as_str(),
            state(key, now),
            time(key.expires_at),
            time(key.last_used_at),
            joined(key.roles.iter()),
            joined(key.scopes.iter()),
            joined(networks(key).iter().map(String::as_str)),
        ))?;
    }
    Ok(())
}

fn state(key: &ApiKey, now: Timestamp) -> &'static str {
    credential::state(key.revoked_at.is_some(), key.is_live(now))
}

fn networks(key: &ApiKey) -> Vec<String> {
    key.networks.iter().map(ToString::to_string).collect()
}

fn joined<'a>(texts: impl Iterator<Item = &'a str>) -> String {
    let text = texts.collect::<Vec<_>>().join(",");
    if text.is_empty() { "-".to_owned() } else { text }
}

fn as_json(key: &ApiKey, now: Timestamp) -> serde_json::Value {
    serde_json::json!({
        "id": key.id.get(),
        "prefix": key.prefix,
        "name": key.name.as_str(),
        "state": state(key, now),
        "roles": key.roles.iter().collect::<Vec<_>>(),
        "scopes": key.scopes.iter().collect::<Vec<_>>(),
        "networks": networks(key),
        "createdAt": key.created_at.rfc3339(),
        "expiresAt": key.expires_at.map(Timestamp::rfc3339),
        "revokedAt": key.revoked_at.map(Timestamp::rfc3339),
        "lastUsedAt": key.last_used_at.map(Timestamp::rfc3339),
    })
}

#[cfg(test)]
mod tests {
    use clap::Args as _;

    use super::*;

    #[test]
    fn the_arguments_hold_together() {
        ApiKeyArgs::augment_args(clap::Command::new("apikey")).debug_assert();
    }

    #[test]
    fn a_network_is_one_or_an_address() {
        for (text, network) in [
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("10.1.2.3/8", "10.0.0.0/8"),
            ("10.1.2.3", "10.1.2.3/32"),
            ("2001:db8::1", "2001:db8::1/128"),
        ] {
            assert_eq!(parse_network(text).unwrap().to_string(), network);
        }
        for text in ["", "10.0.0.0/33", "10.0.0", "localhost", "10.0.0.0/8,11.0.0.0/8"] {
            assert!(parse_network(text).is_err(), "{text:?}");
        }
    }
}
