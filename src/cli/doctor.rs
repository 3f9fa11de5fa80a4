//! `guarita doctor`: checks every dependency of the gateway and tells how to fix what fails.

use std::fmt;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::cli::command::CONFIG;
use crate::cli::command::{CommandError, fault, finish, say};
use crate::config;
use crate::config::Config;
use crate::reload::open_vault;
use guarita_auth::federation;
use guarita_core::{EmailAddress, Timestamp, random, time};
use guarita_kv as ephemeral;
use guarita_mail::{MailError, MailTemplate, Smtp, render};
use guarita_proxy::upstream::settings::UpstreamServer;
use guarita_store::{SchemaStatus, Store};

/// The approximate date of this version: a clock that shows an earlier time is wrong.
const MADE: Timestamp = Timestamp::from_seconds(1_767_225_600);
/// The greatest difference between two clocks that is accepted.
const LEEWAY: Duration = Duration::from_secs(60);
/// Servers checked at once.
const AT_ONCE: usize = 64;

/// Check every dependency of the gateway and tell how to fix what fails.
#[derive(Debug, clap::Args)]
pub struct DoctorArgs {
    /// The configuration file.
    #[arg(long, value_name = "FILE", default_value = CONFIG)]
    config: PathBuf,
    /// Send a test mail to this address.
    #[arg(long, value_name = "ADDRESS")]
    mail_to: Option<String>,
}

/// The result for one dependency.
#[derive(Debug, PartialEq, Eq)]
enum Finding {
    Well(String),
    /// Not used by this configuration.
    Unused(String),
    Wrong {
        what: String,
        todo: &'static str,
    },
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Well(what) => write!(formatter, "ok      {what}"),
            Self::Unused(what) => write!(formatter, "unused  {what}"),
            Self::Wrong { what, todo } => write!(formatter, "FAILED  {what}; {todo}"),
        }
    }
}

fn wrong(what: impl fmt::Display, todo: &'static str) -> Finding {
    Finding::Wrong { what: what.to_string(), todo }
}

/// Runs the command. Exit code 0 if every check passes, 1 otherwise.
pub fn run(arguments: DoctorArgs) -> ExitCode {
    finish(examine(&arguments))
}

fn examine(arguments: &DoctorArgs) -> Result<(), CommandError> {
    let mail_to = arguments.mail_to.as_deref().map(EmailAddress::parse).transpose();
    let mail_to =
        mail_to.map_err(|_| CommandError::Refused("--mail-to: not an e-mail address".into()))?;
    let config = config::load(&arguments.config).map_err(|problems| {
        CommandError::Refused(format!("the configuration is invalid:\n{problems}"))
    })?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let found = runtime.map_err(fault)?.block_on(ask(&config, mail_to.as_ref()));
    for finding in &found {
        say(&finding.to_string())?;
    }
    let count = found.iter().filter(|found| matches!(found, Finding::Wrong { .. })).count();
    if count > 0 { Err(CommandError::Refused(format!("checks failed: {count}"))) } else { Ok(()) }
}

async fn ask(config: &Config, mail_to: Option<&EmailAddress>) -> Vec<Finding> {
    let now = time::now();
    let (database, last) = ask_database(config).await;
    let mut found = vec![Finding::Well("configuration".into()), database, judge_clock(now, last)];
    if matches!(found.get(1), Some(Finding::Well(_))) {
        found.extend(ask_keys(config).await);
    }
    found.extend(ask_redis(config).await);
    found.push(ask_mail(config, mail_to).await);
    found.extend(ask_providers(config).await);
    found.extend(ask_upstreams(config).await);
    found
}

async fn ask_providers(config: &Config) -> Vec<Finding> {
    let mut asked = JoinSet::new();
    for settings in config.providers.iter().filter(|it| it.published.is_some()).cloned() {
        asked.spawn(async move {
            let label = format!("provider {}", settings.name);
            match federation::fetch_keys(&settings).await {
                Ok(keys) => Finding::Well(format!("{label}: {} keys", keys.len())),
                Err(fault) => {
                    let todo = "check issuer, jwks_uri and ca, and firewalls in between";
                    wrong(format_args!("{label}: {fault}"), todo)
                }
            }
        });
    }
    let mut found = asked.join_all().await;
    found.sort_by_key(ToString::to_string);
    found
}

/// The result for the database, and when its newest session was opened.
async fn ask_database(config: &Config) -> (Finding, Option<Timestamp>) {
    match Store::probe(&config.store).await {
        Ok(SchemaStatus::Ready(last)) => (Finding::Well("database".into()), last),
        Ok(SchemaStatus::Missing) => (
            wrong(
                "database: it does not exist yet",
                "run guarita migrate, or start the gateway once",
            ),
            None,
        ),
        Ok(SchemaStatus::Outdated) => {
            (wrong("database: its schema is of another version", "run guarita migrate"), None)
        }
        Err(fault) => {
            let todo = "check store.database: for a file its path, owner and mode; for a server that it is running, \
                        role and password, and firewalls in between";
            (wrong(format_args!("database: {fault}"), todo), None)
        }
    }
}

/// Whether the keys in the database can be decrypted; [`None`] if no keys are kept there.
async fn ask_keys(config: &Config) -> Option<Finding> {
    let todo = "check store.master_key_file and GUARITA_MASTER_KEY";
    let store = Store::open(&config.store).await.ok()?;
    let found = match open_vault(config, &store).await {
        Ok(None) => None,
        Ok(Some(vault)) => Some(match vault.read().await {
            Ok(_) => Finding::Well("keys in the database".into()),
            Err(fault) => wrong(format_args!("keys: {fault}"), todo),
        }),
        Err(fault) => Some(wrong(format_args!("keys: {fault}"), todo)),
    };
    store.close().await;
    found
}

async fn ask_redis(config: &Config) -> Vec<Finding> {
    let settings = match &config.ephemeral {
        ephemeral::KvSettings::Redis(settings) => settings,
        ephemeral::KvSettings::Database => {
            return vec![Finding::Unused(
                "Redis: rate limits and tickets are kept in the database".into(),
            )];
        }
        ephemeral::KvSettings::Memory => {
            return vec![Finding::Unused(
                "Redis: rate limits and tickets are kept in memory".into(),
            )];
        }
    };
    match ephemeral::examine(settings).await {
        Ok(found) => {
            let version = found.version.as_deref().unwrap_or("of unknown version");
            let redis = Finding::Well(format!("Redis {version}"));
            let policy = found.evicts.map(|policy| {
                let what =
                    format!("Redis: maxmemory-policy {policy} may evict tickets and counters");
                wrong(what, "set it to noeviction")
            });
            std::iter::once(redis).chain(policy).collect()
        }
        Err(what) => {
            let todo = "check store.redis, the permissions of its user, and store.redis_ca";
            vec![wrong(format_args!("Redis: {what}"), todo)]
        }
    }
}

/// A coarse check: tokens made with a clock that is far off are rejected everywhere.
fn judge_clock(now: Timestamp, last: Option<Timestamp>) -> Finding {
    let todo = "set the clock, for example by NTP";
    if now < MADE {
        return wrong(format_args!("clock: it shows {}", now.rfc3339()), todo);
    }
    if last.is_some_and(|last| last > now.plus(LEEWAY)) {
        let what = "clock: the database has a session from the future";
        return wrong(format_args!("{what} ({})", now.rfc3339()), todo);
    }
    Finding::Well(format!("clock: {}", now.rfc3339()))
}

async fn ask_mail(config: &Config, mail_to: Option<&EmailAddress>) -> Finding {
    let Some(settings) = &config.mail else {
        return match mail_to {
            None => Finding::Unused("mail server: not configured, no mail is sent".into()),
            Some(_) => wrong("mail server: not configured", "set mail.server and mail.sender"),
        };
    };
    let name = format!("mail server {}:{}", settings.server, settings.port);
    let smtp = match Smtp::new(settings) {
        Ok(smtp) => smtp,
        Err(what) => return wrong(format_args!("{name}: {what}"), "check [mail]"),
    };
    let asked = match mail_to {
        None => smtp.probe().await,
        Some(recipient) => {
            let letter = render(MailTemplate::Test, settings.language, &settings.sender_name, None);
            let Ok(message) = letter else {
                return wrong("mail: a template failed", "report this as a bug of Guarita");
            };
            smtp.send(&random::ordered_uuid().to_string(), recipient, &message).await
        }
    };
    match (asked, mail_to) {
        (Ok(()), None) => Finding::Well(name),
        (Ok(()), Some(_)) => Finding::Well(format!("{name}: accepted the test mail")),
        (Err(failure), _) => wrong(format_args!("{name}: {failure}"), remedy(&failure)),
    }
}

const fn remedy(failure: &MailError) -> &'static str {
    match failure {
        MailError::Rejected(_) => {
            "check that the server accepts mail from mail.sender to this address"
        }
        MailError::Unwelcome(_) => "check mail.username, mail.password and mail.tls",
        MailError::PutOff(_) => "try again later, or ask the server's operator",
        MailError::Timeout => "check mail.server and mail.port, and firewalls in between",
        MailError::Tls(_) => "check mail.tls, mail.ca and the name in the server's certificate",
        MailError::Unreachable(_) => {
            "check mail.server, mail.port and mail.tls, and that the server is running"
        }
    }
}

async fn ask_upstreams(config: &Config) -> Vec<Finding> {
    let all = config.upstreams.iter().flat_map(|upstream| {
        upstream
            .servers
            .iter()
            .map(|server| (upstream.name.clone(), server.clone(), upstream.connect_timeout))
    });
    let all: Vec<_> = all.collect();
    let mut found = Vec::new();
    for some in all.chunks(AT_ONCE) {
        let mut asked = JoinSet::new();
        for (name, server, patience) in some.iter().cloned() {
            asked.spawn(async move { ask_server(&name, &server, patience).await });
        }
        found.extend(asked.join_all().await);
    }
    found.sort_by_key(ToString::to_string);
    found
}

async fn ask_server(name: &str, server: &UpstreamServer, patience: Duration) -> Finding {
    let label = format!("upstream {name}: {}", server.authority());
    match timeout(patience, TcpStream::connect((&*server.host, server.port))).await {
        Ok(Ok(_)) => Finding::Well(label),
        Ok(Err(error)) => {
            let todo = "check the server's address, and that it is running";
            wrong(format_args!("{label} cannot be reached: {error}"), todo)
        }
        Err(_) => {
            let todo = "check the server's address, and firewalls in between";
            wrong(format_args!("{label} did not respond in time"), todo)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_far_off_is_told() {
        let now = MADE.plus(Duration::from_secs(86_400));
        for last in [None, Some(now), Some(now.plus(LEEWAY))] {
            assert!(matches!(judge_clock(now, last), Finding::Well(_)), "{last:?}");
        }
        let later = now.plus(LEEWAY + Duration::from_secs(1));
        assert!(matches!(judge_clock(now, Some(later)), Finding::Wrong { .. }));
        let epoch = Timestamp::from_seconds(0);
        let told = judge_clock(epoch, None).to_string();
        assert_eq!(
            told,
            "FAILED  clock: it shows 1970-01-01T00:00:00Z; set the clock, for example by NTP"
        );
    }
}
