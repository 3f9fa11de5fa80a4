//! `[tokens]`, `[passwords]` and `[lockout]`

use std::time::Duration;

use super::super::values::SourceLocations;
use super::super::written::{self, RawConfig, RawRotation, RawRotationWord};
use super::{ConfigResolver, section};
use guarita_auth::account::PolicySettings;
use guarita_auth::account::breached::Breached;
use guarita_auth::session::{KEEP_SUCCESSOR_SEEDS, Lifetimes};
use guarita_auth::{grant, keys, login};
use guarita_core::Secret;
use guarita_core::jose::Algorithm;

/// Fewest bytes of an HS256 secret (RFC 7518 section 3.2).
const MIN_SHARED_SECRET: usize = 32;

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(86_400);

/// The settings of issued tokens.
pub(super) fn tokens(written: &RawConfig, reader: &mut ConfigResolver<'_>) -> grant::TokenSettings {
    let of = &written.tokens;
    grant::TokenSettings {
        issuer: reader.text("tokens.issuer", of.issuer.as_ref(), "ms-auth", 255),
        audience: reader.text("tokens.audience", of.audience.as_ref(), "api", 255),
        access_ttl: reader.time(
            "tokens.access_ttl",
            of.access_ttl.as_ref(),
            Duration::from_secs(3600),
            SECOND..=keys::LONGEST_TOKEN_LIFE,
        ),
        refresh_ttl: reader.time(
            "tokens.refresh_ttl",
            of.refresh_ttl.as_ref(),
            30 * DAY,
            SECOND..=365 * DAY,
        ),
        refresh_rotation: rotation(of.refresh_rotation),
        refresh_grace: reader.time(
            "tokens.refresh_grace",
            of.refresh_grace.as_ref(),
            10 * SECOND,
            Duration::ZERO..=KEEP_SUCCESSOR_SEEDS,
        ),
        session_ttl: reader.time(
            "tokens.session_ttl",
            of.session_ttl.as_ref(),
            90 * DAY,
            SECOND..=3650 * DAY,
        ),
    }
}

fn rotation(written: Option<written::RawRotation>) -> grant::RefreshRotation {
    match written {
        None | Some(RawRotation::Switch(true) | RawRotation::Word(RawRotationWord::Rotate)) => {
            grant::RefreshRotation::Rotate
        }
        Some(RawRotation::Switch(false) | RawRotation::Word(RawRotationWord::Static)) => {
            grant::RefreshRotation::Static
        }
        Some(RawRotation::Word(RawRotationWord::Off)) => grant::RefreshRotation::Off,
    }
}

/// `tokens.algorithm`
pub(super) fn algorithm(written: &RawConfig) -> Algorithm {
    match written.tokens.algorithm {
        None | Some(written::RawAlgorithm::Rs256) => Algorithm::Rs256,
        Some(written::RawAlgorithm::Es256) => Algorithm::Es256,
        Some(written::RawAlgorithm::EdDsa) => Algorithm::EdDsa,
        Some(written::RawAlgorithm::Hs256) => Algorithm::Hs256,
    }
}

/// `tokens.leeway`
pub(super) fn leeway(written: &RawConfig, reader: &mut ConfigResolver<'_>) -> Duration {
    let leeway = written.tokens.leeway.as_ref();
    reader.time("tokens.leeway", leeway, 30 * SECOND, Duration::ZERO..=60 * SECOND)
}

/// `tokens.max_length`
pub(super) fn max_length(written: &RawConfig, reader: &mut ConfigResolver<'_>) -> usize {
    let length = written.tokens.max_length.as_ref();
    let length = reader.size("tokens.max_length", length, 16 << 10, 1 << 10..=64 << 10);
    usize::try_from(length).unwrap_or(16 << 10)
}

/// The configured keys and their locations.
pub(super) fn keys(
    written: &RawConfig,
    reader: &mut ConfigResolver<'_>,
) -> (keys::ConfiguredKeys, SourceLocations) {
    let (signing, signing_path) = signing_key(written, reader);
    let mut verifying = Vec::new();
    let mut places = Vec::new();
    for (position, pem) in written.tokens.verifying_keys.iter().flatten().enumerate() {
        places.push(reader.report.place(&format!("tokens.verifying_keys[{position}]")));
        verifying.push(pem.clone());
    }
    for (position, name) in written.tokens.verifying_keys_files.iter().flatten().enumerate() {
        let path = format!("tokens.verifying_keys_files[{position}]");
        let Some(bytes) = reader.file(&path, name) else { continue };
        match String::from_utf8(bytes) {
            Ok(pem) => {
                places.push(reader.report.place(&path));
                verifying.push(pem);
            }
            Err(_) => reader.report.problem(&path, "is not UTF-8 text"),
        }
    }
    if algorithm(written) == Algorithm::Hs256 && !verifying.is_empty() {
        let what = "is symmetric and has no public keys";
        reader.report.problem_with_hint("tokens.algorithm", what, "remove the verifying keys");
    }
    let signing_place = reader.report.place(&signing_path);
    let places =
        SourceLocations { signing: signing_place, verifying: places, ..SourceLocations::default() };
    (keys::ConfiguredKeys { signing, verifying }, places)
}

fn signing_key(written: &RawConfig, reader: &mut ConfigResolver<'_>) -> (Option<Secret>, String) {
    let of = &written.tokens;
    let (text, file) = (of.signing_key.as_ref(), of.signing_key_file.as_ref());
    let Some((secret, path)) = reader.secret("tokens.signing_key", text, file) else {
        return (None, "tokens".to_owned());
    };
    let shared = algorithm(written) == Algorithm::Hs256;
    if shared && secret.expose().len() < MIN_SHARED_SECRET {
        reader.report.problem(&path, "must have at least 32 bytes for HS256");
    }
    (Some(secret), path)
}

/// `[passwords]` and `[lockout]`. The bounds of numbers were checked against the schema.
pub(super) fn login(written: &RawConfig, reader: &mut ConfigResolver<'_>) -> login::LoginSettings {
    let (of, lockout) = (&written.passwords, &written.lockout);
    let memory = reader.size("passwords.memory", of.memory.as_ref(), 19 << 20, 8 << 20..=1 << 30);
    login::LoginSettings {
        lockout_failures: number(lockout.failures, 5),
        lockout_duration: reader.time(
            "lockout.duration",
            lockout.duration.as_ref(),
            Duration::from_secs(300),
            SECOND..=DAY,
        ),
        min_length: number(of.min_length, 15),
        require_verified_email: written.verification.required.unwrap_or(false),
        hashing: login::Hashing {
            memory_kib: u32::try_from(memory >> 10).unwrap_or(19 << 10),
            iterations: number(of.iterations, 2),
            parallelism: number(of.parallelism, 1),
            concurrency: number(of.concurrency, section::cores()),
            queue: number(of.queue, 256),
        },
        browser: browser(written, reader),
    }
}

/// `[sessions]`
fn browser(written: &RawConfig, reader: &mut ConfigResolver<'_>) -> Lifetimes {
    let of = &written.sessions;
    let (minute, half_a_day) = (60 * SECOND, DAY / 2);
    let idle = reader.time("sessions.idle", of.idle.as_ref(), half_a_day, minute..=30 * DAY);
    let path = "sessions.lifetime";
    let absolute = reader.time(path, of.lifetime.as_ref(), 7 * DAY, minute..=365 * DAY);
    Lifetimes { idle, absolute }
}

/// The policy for new passwords.
pub(super) fn policy(written: &RawConfig, reader: &mut ConfigResolver<'_>) -> PolicySettings {
    let of = &written.passwords;
    let breached = of.breached_file.as_ref().and_then(|name| {
        let file = reader.locate(name);
        let opened = Breached::open(&file);
        let told = |error| {
            let what = format_args!("{} cannot be used: {error}", file.display());
            reader.report.problem("passwords.breached_file", what);
        };
        opened.map_err(told).ok()
    });
    PolicySettings { min_score: number(of.min_score, 3), breached }
}

fn number<T: TryFrom<i64>>(written: Option<i64>, default: T) -> T {
    written.and_then(|number| number.try_into().ok()).unwrap_or(default)
}
