//! `store.redis` and the related keys.

use std::time::Duration;

use super::super::written::RawConfig;
use super::ConfigResolver;
use guarita_core::Secret;
use guarita_kv::{Address, KvSettings, settings};
use guarita_store as store;

/// Longest prefix, in bytes.
const MAX_PREFIX: usize = 64;
const TIMEOUT: Duration = Duration::from_millis(250);

/// The backend of rates and tickets: Redis if configured, else a database that several gateways may share, else
/// memory.
pub(super) fn resolve(
    written: &RawConfig,
    database: &store::StoreSettings,
    reader: &mut ConfigResolver<'_>,
) -> KvSettings {
    let of = &written.store;
    let text = of.redis.as_ref().filter(|redis| !redis.expose().is_empty());
    let ca = of.redis_ca.as_ref().and_then(|name| reader.file("store.redis_ca", name));
    let prefix = reader.text("store.redis_prefix", of.redis_prefix.as_ref(), "guarita", MAX_PREFIX);
    let named = |letter: char| letter.is_ascii_alphanumeric() || ".-_".contains(letter);
    if !prefix.chars().all(named) {
        let hint = "letters, digits, dots, hyphens and underscores";
        reader.report.problem_with_hint("store.redis_prefix", "is not a valid prefix", hint);
    }
    let timeout = reader.time(
        "store.redis_timeout",
        of.redis_timeout.as_ref(),
        TIMEOUT,
        Duration::from_millis(10)..=Duration::from_secs(10),
    );
    let Some((redis, path)) = reader.secret("store.redis", text, of.redis_file.as_ref()) else {
        return without(database);
    };
    match parse(&redis, ca.is_some(), &path, reader) {
        Some(address) => {
            KvSettings::Redis(Box::new(settings::Redis { address, ca, prefix, timeout }))
        }
        None => KvSettings::Memory,
    }
}

fn without(database: &store::StoreSettings) -> KvSettings {
    let database = database.database.expose();
    let several = database.starts_with("postgres:") || database.starts_with("postgresql:");
    if several { KvSettings::Database } else { KvSettings::Memory }
}

fn parse(redis: &Secret, ca: bool, path: &str, reader: &mut ConfigResolver<'_>) -> Option<Address> {
    match Address::parse(redis.expose()) {
        Ok(address) if ca && !address.tls => {
            let what = "has no effect without TLS";
            let hint = "with TLS, store.redis begins with rediss";
            reader.report.problem_with_hint("store.redis_ca", what, hint);
            None
        }
        Ok(address) => Some(address),
        Err(malformed) => {
            let hint = "for example redis://user:password@host:6379/0, \
                        redis-sentinel://host:26379/service or redis-cluster://host:6379";
            reader.report.problem_with_hint(path, malformed, hint);
            None
        }
    }
}
