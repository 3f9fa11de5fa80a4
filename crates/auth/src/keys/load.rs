//! Builds the keyring from configured keys and key files.

use std::path::Path;

use super::directory::{Directory, KeyFileContent};
use super::schedule::{Others, Timed, schedule};
use guarita_core::jose::{Algorithm, KeyFault, Keyring, ScheduledKey, SigningKey, VerifyingKey};
use guarita_core::{Secret, Timestamp};

/// Configured keys (`tokens.signing_key`, `tokens.verifying_keys`).
#[derive(Debug, Clone, Default)]
pub struct ConfiguredKeys {
    /// PEM of the private key (HS256: the secret itself); [`None`] to use those in the data directory.
    pub signing: Option<Secret>,
    /// PEM of further public keys that verify, each with the algorithm of its type (RSA RS256, P-256 ES256, Ed25519
    /// EdDSA). If the algorithm is HS256, a text that is not PEM is a secret.
    pub verifying: Vec<String>,
}

/// Loads the keyring: the configured keys, otherwise those in `directory`, where one is generated if there is none.
/// Reads and writes files: for start and reload only, not for requests.
pub fn load(
    directory: &Path,
    algorithm: Algorithm,
    given: &ConfiguredKeys,
    now: Timestamp,
) -> Result<Keyring, KeyFault> {
    with_given(algorithm, given, || from_directory(&Directory::new(directory), algorithm, now))
}

/// What [`load`] would return, but writes nothing: where a key would be generated, a temporary one stands in for it.
pub(super) fn check(
    directory: &Path,
    algorithm: Algorithm,
    given: &ConfiguredKeys,
    now: Timestamp,
) -> Result<Keyring, KeyFault> {
    with_given(algorithm, given, || {
        let read = || -> Result<Vec<Timed>, KeyFault> {
            let files = Directory::new(directory).read_if_exists()?;
            Ok(files.into_iter().map(Timed::from).collect())
        };
        if let Some(keys) = schedule(read()?, Some(algorithm), now) {
            return Ok(keys);
        }
        // Whatever the algorithm: this one takes the least time to generate.
        let temporary = temporary_key(Algorithm::EdDsa)?;
        let mut keys = read()?;
        keys.push(Timed { key: temporary, signs_from: None, verifies_until: None });
        schedule(keys, Some(Algorithm::EdDsa), now).ok_or(KeyFault::Unusable)
    })
}

/// A key that is written nowhere.
pub(super) fn temporary_key(algorithm: Algorithm) -> Result<KeyFileContent, KeyFault> {
    let text = SigningKey::generate(algorithm)?;
    Ok(KeyFileContent::Private(SigningKey::parse(algorithm, &text)?))
}

/// The configured keys, otherwise the stored ones, and the further configured ones.
pub(super) fn with_given(
    algorithm: Algorithm,
    given: &ConfiguredKeys,
    kept: impl FnOnce() -> Result<(Vec<ScheduledKey>, Others), KeyFault>,
) -> Result<Keyring, KeyFault> {
    let (signing, mut verifying) = match &given.signing {
        Some(text) => {
            let key = SigningKey::parse(algorithm, text)
                .map_err(|fault| fault.at("tokens.signing_key"))?;
            let signs_from = Timestamp::from_seconds(0);
            (vec![ScheduledKey { key, signs_from, verifies_until: None }], Others::new())
        }
        None => kept()?,
    };
    for (position, text) in given.verifying.iter().enumerate() {
        let key = given_verifying_key(algorithm, text)
            .map_err(|fault| fault.at(format!("tokens.verifying_keys[{position}]")))?;
        verifying.push((key, None));
    }
    let verifying = without_repeats(&signing, verifying);
    Keyring::scheduled(signing, verifying)
}

fn given_verifying_key(algorithm: Algorithm, text: &str) -> Result<VerifyingKey, KeyFault> {
    if algorithm == Algorithm::Hs256 && !text.contains("-----BEGIN") {
        VerifyingKey::secret(&Secret::new(text))
    } else {
        VerifyingKey::detect(text)
    }
}

/// The private keys of the algorithm, and all others. Generates one if there is none.
fn from_directory(
    directory: &Directory<'_>,
    algorithm: Algorithm,
    now: Timestamp,
) -> Result<(Vec<ScheduledKey>, Others), KeyFault> {
    directory.prepare()?;
    let read = || -> Result<_, KeyFault> {
        let keys = directory.read()?.into_iter().map(Timed::from).collect();
        Ok(schedule(keys, Some(algorithm), now))
    };
    if let Some(keys) = read()? {
        return Ok(keys);
    }
    directory.write(algorithm, &SigningKey::generate(algorithm)?, None)?;
    // Read again what is there now: another process may have started at the same moment.
    read()?.ok_or(KeyFault::Unusable)
}

/// Removes duplicates: a key may be given as a pair of files, or be in two files.
fn without_repeats(signing: &[ScheduledKey], keys: Others) -> Others {
    let mut distinct = Others::with_capacity(keys.len());
    for (key, until) in keys {
        let known = signing.iter().any(|it| it.key.id() == key.id())
            || distinct.iter().any(|(other, _)| other.id() == key.id());
        if !known {
            distinct.push((key, until));
        }
    }
    distinct
}

#[cfg(test)]
mod tests;
