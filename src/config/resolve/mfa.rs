//! `[mfa]`

use std::time::Duration;

use super::super::written::RawConfig;
use super::ConfigResolver;
use guarita_auth::login::FactorSettings;
use guarita_core::{Role, Secret};

const LEAST: usize = 32;
const MOST: usize = 4096;

pub(super) fn resolve(written: &RawConfig, reader: &mut ConfigResolver<'_>) -> FactorSettings {
    let of = &written.mfa;
    let (text, file) = (of.encryption_key.as_ref(), of.encryption_key_file.as_ref());
    let encryption_key = reader
        .secret("mfa.encryption_key", text, file)
        .and_then(|(key, path)| checked(&path, key, reader));
    let mut previous_keys = Vec::new();
    for (position, key) in of.previous_keys.iter().flatten().enumerate() {
        let path = format!("mfa.previous_keys[{position}]");
        previous_keys.extend(checked(&path, key.clone(), reader));
    }
    let bounds = Duration::from_secs(60)..=Duration::from_secs(3600);
    let default = Duration::from_secs(300);
    let replay_ttl = reader.time("mfa.replay_ttl", of.replay_ttl.as_ref(), default, bounds);
    let bounds = Duration::ZERO..=Duration::from_secs(86_400);
    let default = Duration::from_secs(600);
    let recent_login = reader.time("mfa.recent_login", of.recent_login.as_ref(), default, bounds);
    FactorSettings { encryption_key, previous_keys, replay_ttl, recent_login }
}

/// `mfa.required_roles`
pub(super) fn required_roles(written: &RawConfig, reader: &mut ConfigResolver<'_>) -> Vec<Role> {
    let of = &written.mfa;
    let roles = reader.roles("mfa.required_roles", of.required_roles.as_ref());
    if !roles.is_empty() && of.encryption_key.is_none() && of.encryption_key_file.is_none() {
        reader.report.problem_with_hint(
            "mfa.required_roles",
            "cannot be met, because second factors are not configured",
            "set mfa.encryption_key_file or TOTP_ENC_KEY",
        );
    }
    roles
}

fn checked(path: &str, key: Secret, reader: &mut ConfigResolver<'_>) -> Option<Secret> {
    if key.expose().len() <= MOST && key.expose().chars().count() >= LEAST {
        return Some(key);
    }
    let what = "must have at least 32 characters and at most 4096 bytes";
    reader.report.problem_with_hint(path, what, "for example from openssl rand -base64 32");
    None
}
