//! `guarita doctor`: asks everything that the gateway depends on, and says what to do.

use std::fmt;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::migrate::{Failure, fault, finish, say};
use super::verb::CONFIG;
use crate::adapters::ephemeral;
use crate::adapters::mail::{Failure as MailFailure, Letter, Smtp, render};
use crate::adapters::store::{Probed, Store};
use crate::adapters::upstream::settings::Server;
use crate::app::config::{self, Config};
use crate::app::reload::open_vault;
use crate::model::{EmailAddress, Timestamp, clock, random};
use crate::services::federation;

/// When this version was made, more or less: no clock is right that says less.
const MADE: Timestamp = Timestamp::from_seconds(1_767_225_600);
/// What two clocks may differ by.
const LEEWAY: Duration = Duration::from_secs(60);
/// Servers asked at once.
const AT_ONCE: usize = 64;

/// Ask every dependency of the gateway, and say what is wrong and what to do.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The configuration file.
    #[arg(long, value_name = "FILE", default_value = CONFIG)]
    config: PathBuf,
    /// Sends a test mail to this address.
    #[arg(long, value_name = "ADDRESS")]
    mail_to: Option<String>,
}

/// What was found of one dependency.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    Well(String),
    /// Not used here.
    Unused(String),
    Wrong {
        what: String,
        todo: &'static str,
    },
}

impl fmt::Display for Found {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Well(what) => write!(formatter, "ok      {what}"),
            Self::Unused(what) => write!(formatter, "unused  {what}"),
            Self::Wrong { what, todo } => write!(formatter, "WRONG   {what}; {todo}"),
        }
    }
}

fn wrong(what: impl fmt::Display, todo: &'static str) -> Found {
    Found::Wrong { what: what.to_string(), todo }
}

/// Runs the verb. Exit code 0 where all is well, 1 where anything is wrong.
pub fn run(arguments: Arguments) -> ExitCode {
    finish(examine(&arguments))
}

fn examine(arguments: &Arguments) -> Result<(), Failure> {
    let mail_to = arguments.mail_to.as_deref().map(EmailAddress::parse).transpose();
    let mail_to = mail_to.map_err(|_| Failure::Refused("--mail-to is no e-mail address".into()))?;
    let config = config::load(&arguments.config).map_err(|problems| {
        Failure::Refused(format!("the configuration cannot be used:\n{problems}"))
    })?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let found = runtime.map_err(fault)?.block_on(ask(&config, mail_to.as_ref()));
    for finding in &found {
        say(&finding.to_string())?;
    }
    let count = found.iter().filter(|found| matches!(found, Found::Wrong { .. })).count();
    if count > 0 { Err(Failure::Refused(format!("{count} of them wrong"))) } else { Ok(()) }
}

async fn ask(config: &Config, mail_to: Option<&EmailAddress>) -> Vec<Found> {
    let now = clock::now();
    let (database, last) = ask_database(config).await;
    let mut found = vec![Found::Well("configuration".into()), database, judge_clock(now, last)];
    if matches!(found.get(1), Some(Found::Well(_))) {
        found.extend(ask_keys(config).await);
    }
    found.extend(ask_redis(config).await);
    found.push(ask_mail(config, mail_to).await);
    found.extend(ask_providers(config).await);
    found.extend(ask_upstreams(config).await);
    found
}

async fn ask_providers(config: &Config) -> Vec<Found> {
    let mut asked = JoinSet::new();
    for settings in config.providers.iter().filter(|it| it.published.is_some()).cloned() {
        asked.spawn(async move {
            let label = format!("provider {}", settings.name);
            match federation::fetch_keys(&settings).await {
                Ok(keys) => Found::Well(format!("{label}: {} keys", keys.len())),
                Err(fault) => {
                    let todo = "see its issuer and jwks_uri, the ca, and firewalls on the way";
                    wrong(format_args!("{label}: {fault}"), todo)
                }
            }
        });
    }
    let mut found = asked.join_all().await;
    found.sort_by_key(ToString::to_string);
    found
}

/// What there is to say of the database, and when it last had a session opened.
async fn ask_database(config: &Config) -> (Found, Option<Timestamp>) {
    match Store::probe(&config.store).await {
        Ok(Probed::Ready(last)) => (Found::Well("database".into()), last),
        Ok(Probed::Missing) => {
            (wrong("database: there is none yet", "run guarita migrate, or start once"), None)
        }
        Ok(Probed::Outdated) => {
            (wrong("database: its schema is older or newer", "run guarita migrate"), None)
        }
        Err(fault) => {
            let todo = "see store.database: the path, owner and mode of a file; of a server, that it runs, \
                        its role and password, and firewalls on the way";
            (wrong(format_args!("database: {fault}"), todo), None)
        }
    }
}

/// Whether the keys in the database open, where any are to be there.
async fn ask_keys(config: &Config) -> Option<Found> {
    let todo = "see store.master_key_file and GUARITA_MASTER_KEY";
    let store = Store::open(&config.store).await.ok()?;
    let found = match open_vault(config, &store).await {
        Ok(None) => None,
        Ok(Some(vault)) => Some(match vault.read().await {
            Ok(_) => Found::Well("keys in the database".into()),
            Err(fault) => wrong(format_args!("keys: {fault}"), todo),
        }),
        Err(fault) => Some(wrong(format_args!("keys: {fault}"), todo)),
    };
    store.close().await;
    found
}

async fn ask_redis(config: &Config) -> Vec<Found> {
    let settings = match &config.ephemeral {
        ephemeral::Settings::Redis(settings) => settings,
        ephemeral::Settings::Database => {
            return vec![Found::Unused("Redis: rates and tickets are in the database".into())];
        }
        ephemeral::Settings::Memory => {
            return vec![Found::Unused("Redis: rates and tickets are in memory".into())];
        }
    };
    match ephemeral::examine(settings).await {
        Ok(found) => {
            let version = found.version.as_deref().unwrap_or("of a version that it does not tell");
            let redis = Found::Well(format!("Redis {version}"));
            let policy = found.evicts.map(|policy| {
                let what =
                    format!("Redis: maxmemory-policy {policy} may remove tickets and counts");
                wrong(what, "set it to noeviction")
            });
            std::iter::once(redis).chain(policy).collect()
        }
        Err(what) => {
            let todo = "see store.redis, its user's rights and store.redis_ca";
            vec![wrong(format_args!("Redis: {what}"), todo)]
        }
    }
}

/// Coarse: a clock that is far off makes tokens that nobody takes.
fn judge_clock(now: Timestamp, last: Option<Timestamp>) -> Found {
    let todo = "set the clock, by NTP for example";
    if now < MADE {
        return wrong(format_args!("clock: it says {}", now.rfc3339()), todo);
    }
    if last.is_some_and(|last| last > now.plus(LEEWAY)) {
        let what = "clock: the database has a session from later than now";
        return wrong(format_args!("{what} ({})", now.rfc3339()), todo);
    }
    Found::Well(format!("clock: {}", now.rfc3339()))
}

async fn ask_mail(config: &Config, mail_to: Option<&EmailAddress>) -> Found {
    let Some(settings) = &config.mail else {
        return match mail_to {
            None => Found::Unused("mail server: none is set, so no mail is sent".into()),
            Some(_) => wrong("mail server: none is set", "set mail.server and mail.sender"),
        };
    };
    let name = format!("mail server {}:{}", settings.server, settings.port);
    let smtp = match Smtp::new(settings) {
        Ok(smtp) => smtp,
        Err(what) => return wrong(format_args!("{name}: {what}"), "see [mail]"),
    };
    let asked = match mail_to {
        None => smtp.probe().await,
        Some(recipient) => {
            let letter = render(Letter::Test, settings.language, &settings.sender_name, None);
            let Ok(message) = letter else {
                return wrong("mail: a template failed", "report this as a fault of Guarita");
            };
            smtp.send(&random::ordered_uuid().to_string(), recipient, &message).await
        }
    };
    match (asked, mail_to) {
        (Ok(()), None) => Found::Well(name),
        (Ok(()), Some(_)) => Found::Well(format!("{name}: it took the test mail")),
        (Err(failure), _) => wrong(format_args!("{name}: {failure}"), remedy(&failure)),
    }
}

const fn remedy(failure: &MailFailure) -> &'static str {
    match failure {
        MailFailure::Rejected(_) => "see whether it takes mails from mail.sender to that address",
        MailFailure::Unwelcome(_) => "see mail.username, mail.password and mail.tls",
        MailFailure::PutOff(_) => "try again later, or ask whoever runs the server",
        MailFailure::Timeout => "see mail.server and mail.port, and firewalls on the way",
        MailFailure::Tls(_) => "see mail.tls, mail.ca and the name in the server's certificate",
        MailFailure::Unreachable(_) => "see mail.server, mail.port and mail.tls, and that it runs",
    }
}

async fn ask_upstreams(config: &Config) -> Vec<Found> {
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

async fn ask_server(name: &str, server: &Server, patience: Duration) -> Found {
    let label = format!("upstream {name}: {}", server.authority());
    match timeout(patience, TcpStream::connect((&*server.host, server.port))).await {
        Ok(Ok(_)) => Found::Well(label),
        Ok(Err(error)) => {
            let todo = "see the server's address, and that it runs";
            wrong(format_args!("{label} cannot be reached: {error}"), todo)
        }
        Err(_) => {
            let todo = "see the server's address, and firewalls on the way";
            wrong(format_args!("{label} does not answer in time"), todo)
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
            assert!(matches!(judge_clock(now, last), Found::Well(_)), "{last:?}");
        }
        let later = now.plus(LEEWAY + Duration::from_secs(1));
        assert!(matches!(judge_clock(now, Some(later)), Found::Wrong { .. }));
        let epoch = Timestamp::from_seconds(0);
        let told = judge_clock(epoch, None).to_string();
        assert_eq!(
            told,
            "WRONG   clock: it says 1970-01-01T00:00:00Z; set the clock, by NTP for example"
        );
    }
}
