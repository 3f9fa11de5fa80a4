//! The keyring in force, from what was given and what the directory holds.

use std::path::Path;

use super::directory::{Directory, Found};
use crate::model::Secret;
use crate::rules::token::{Algorithm, KeyFault, Keyring, SigningKey, VerifyingKey};

/// Keys an operator gave (`tokens.signing_key`, `tokens.verifying_keys`).
#[derive(Debug, Clone, Default)]
pub struct Given {
    /// PEM of the private key (HS256: the secret itself); `None` to use the data directory's.
    pub signing: Option<Secret>,
    /// PEM of further public keys that verify, each with the algorithm of its type (RSA RS256,
    /// P-256 ES256, Ed25519 EdDSA). Where the algorithm is HS256, what is no PEM is a secret.
    pub verifying: Vec<String>,
}

/// The keyring in force: the given keys, else those of `directory`, where one is made if none is
/// there yet. Reads and writes files: for start and reload, not for the request path.
pub fn load(directory: &Path, algorithm: Algorithm, given: &Given) -> Result<Keyring, KeyFault> {
    let (signing, mut verifying) = match &given.signing {
        Some(text) => {
            let key = SigningKey::parse(algorithm, text)
                .map_err(|fault| fault.at("tokens.signing_key"))?;
            (key, Vec::new())
        }
        None => from_directory(&Directory::new(directory), algorithm)?,
    };
    for (position, text) in given.verifying.iter().enumerate() {
        let key = given_verifying_key(algorithm, text)
            .map_err(|fault| fault.at(format!("tokens.verifying_keys[{position}]")))?;
        verifying.push(key);
    }
    let verifying = without_repeats(&signing, verifying);
    Keyring::new(signing, verifying)
}

fn given_verifying_key(algorithm: Algorithm, text: &str) -> Result<VerifyingKey, KeyFault> {
    if algorithm == Algorithm::Hs256 && !text.contains("-----BEGIN") {
        VerifyingKey::secret(&Secret::new(text))
    } else {
        VerifyingKey::detect(text)
    }
}

/// The newest private key of the algorithm, and all others. Makes one where there is none.
fn from_directory(
    directory: &Directory<'_>,
    algorithm: Algorithm,
) -> Result<(SigningKey, Vec<VerifyingKey>), KeyFault> {
    directory.prepare()?;
    if let Some(keys) = newest_signs(directory.read()?, algorithm) {
        return Ok(keys);
    }
    directory.write(algorithm, &SigningKey::generate(algorithm)?)?;
    // Read again what is there now: another process may have started at the same moment.
    newest_signs(directory.read()?, algorithm).ok_or(KeyFault::Unusable)
}

fn newest_signs(
    found: Vec<Found>,
    algorithm: Algorithm,
) -> Option<(SigningKey, Vec<VerifyingKey>)> {
    let mut signing = None;
    let mut verifying = Vec::new();
    for key in found {
        match key {
            Found::Private(key) if key.algorithm() == algorithm => {
                let older = signing.replace(key);
                verifying.extend(older.map(|key: SigningKey| key.verifying_key()));
            }
            Found::Private(key) => verifying.push(key.verifying_key()),
            Found::Public(key) => verifying.push(key),
        }
    }
    signing.map(|key| (key, verifying))
}

/// A key may be given as a pair of files, or lie in two: once is enough.
fn without_repeats(signing: &SigningKey, keys: Vec<VerifyingKey>) -> Vec<VerifyingKey> {
    let mut distinct: Vec<VerifyingKey> = Vec::with_capacity(keys.len());
    for key in keys {
        let known = key.id() == signing.id() || distinct.iter().any(|other| other.id() == key.id());
        if !known {
            distinct.push(key);
        }
    }
    distinct
}

#[cfg(test)]
mod tests;
