//! `store.master_key` and the rotation of token keys, which several gateways must have in common.

use std::time::Duration;

use super::super::values::Mode;
use super::super::written::RawConfig;
use super::ConfigResolver;
use guarita_auth::keys::{ConfiguredKeys, MasterKeys, PUBLISH_AHEAD};
use guarita_core::Secret;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

/// `store.master_key`
pub(super) fn master_key(written: &RawConfig, reader: &mut ConfigResolver<'_>) -> Option<Secret> {
    let of = &written.store;
    let (text, file) = (of.master_key.as_ref(), of.master_key_file.as_ref());
    let (key, path) = reader.secret("store.master_key", text, file)?;
    if let Err(fault) = MasterKeys::parse(&key) {
        reader.report.problem_with_hint(&path, fault, "for example from openssl rand -base64 32");
        return None;
    }
    Some(key)
}

/// Warns that several gateways on a database server would not know each other's keys.
pub(super) fn warn_of_keys_apart(
    written: &RawConfig,
    database: &Secret,
    mode: Mode,
    given: &ConfiguredKeys,
    reader: &mut ConfigResolver<'_>,
) {
    let server = ["postgres:", "postgresql:"];
    let is_server = server.iter().any(|scheme| database.expose().starts_with(scheme));
    let of = &written.store;
    let configured = of.master_key.is_some() || of.master_key_file.is_some();
    if !is_server || configured {
        return;
    }
    let keys = match (mode, &given.signing) {
        (Mode::External, _) | (_, Some(_)) => None,
        (Mode::Local | Mode::Off, None) => Some("tokens"),
    };
    let assertions = (written.assertion.enabled == Some(true)).then_some("assertions");
    for of in keys.into_iter().chain(assertions) {
        reader.report.warning(
            "store.database",
            format!(
                "one gateway alone may use this database: the keys of {of} are in its data_dir. Set \
                 store.master_key_file to a file with the output of openssl rand -base64 32, the same on \
                 every gateway, and they are shared"
            ),
        );
    }
}

/// `tokens.publish_ahead`
pub(super) fn publish_ahead(written: &RawConfig, reader: &mut ConfigResolver<'_>) -> Duration {
    let ahead = written.tokens.publish_ahead.as_ref();
    reader.time("tokens.publish_ahead", ahead, PUBLISH_AHEAD, SECOND..=DAY)
}

/// `tokens.rotate_every`
pub(super) fn rotate_every(
    written: &RawConfig,
    publish_ahead: Duration,
    reader: &mut ConfigResolver<'_>,
) -> Option<Duration> {
    let path = "tokens.rotate_every";
    let every = written.tokens.rotate_every.as_ref()?;
    let every = reader.time(path, Some(every), DAY, HOUR..=3650 * DAY);
    if every < 4 * publish_ahead {
        reader.report.problem(path, "must be at least four times tokens.publish_ahead");
    }
    if written.tokens.signing_key.is_some() || written.tokens.signing_key_file.is_some() {
        reader.report.warning(path, "has no effect, because tokens.signing_key is set");
    }
    Some(every)
}
