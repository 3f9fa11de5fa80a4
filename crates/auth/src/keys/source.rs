//! The source of the current keys.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::assertion::{assertion_directory, check_assertion_keys, load_assertion_keys};
use super::database::{OpenedKey, OpenedKeys};
use super::directory::{KeyFileContent, parse};
use super::load::{ConfiguredKeys, check, load, with_given};
use super::schedule::{Timed, schedule};
use guarita_core::jose::{
    Algorithm, AssertionKey, AssertionKeys, KeyFault, Keyring, Retired, VerifyingKey,
};
use guarita_core::{Secret, Timestamp};
use guarita_store::KeyPurpose;

/// The source of the current keys. Clones share it.
#[derive(Clone, Debug)]
pub enum KeySource {
    /// Files in this directory, of this gateway only.
    Directory(PathBuf),
    /// The database, shared by all gateways.
    Vault(Arc<OpenedKeys>),
}

impl KeySource {
    /// The current keyring. Reads and writes files if the source is a directory; for start and reload only, not for
    /// requests.
    ///
    /// # Errors
    /// A key is invalid.
    pub fn keyring(
        &self,
        algorithm: Algorithm,
        given: &ConfiguredKeys,
        now: Timestamp,
    ) -> Result<Keyring, KeyFault> {
        match self {
            Self::Directory(directory) => load(directory, algorithm, given, now),
            Self::Vault(keys) => with_given(algorithm, given, || {
                let keys = keys.of(KeyPurpose::Token).map(timed).collect::<Result<_, _>>()?;
                // Whatever this gateway's configuration says: all of them sign alike.
                schedule(keys, None, now).ok_or(KeyFault::Unusable)
            }),
        }
    }

    /// Reports what [`KeySource::keyring`] and [`KeySource::assertion_keys`] would, but writes no files. The keyring is
    /// for checking other keys against only: where a key would be generated, it has a temporary one.
    ///
    /// # Errors
    /// A key is invalid.
    pub fn check_keyring(
        &self,
        algorithm: Algorithm,
        given: &ConfiguredKeys,
        now: Timestamp,
    ) -> Result<Keyring, KeyFault> {
        match self {
            Self::Directory(directory) => check(directory, algorithm, given, now),
            Self::Vault(_) => self.keyring(algorithm, given, now),
        }
    }

    /// See [`KeySource::check_keyring`].
    ///
    /// # Errors
    /// A key is invalid, or is also in the keyring.
    pub fn check_assertion_keys(
        &self,
        issuer: Arc<str>,
        keyring: &Keyring,
        now: Timestamp,
    ) -> Result<(), KeyFault> {
        match self {
            Self::Directory(directory) => {
                check_assertion_keys(&assertion_directory(directory), issuer, keyring, now)
            }
            Self::Vault(_) => {
                let ahead = Duration::ZERO;
                self.assertion_keys(issuer, ahead, keyring, Vec::new(), now).map(|_| ())
            }
        }
    }

    /// The current keys of assertions; see [`KeySource::keyring`]. `retired` keys stay published if keys are in files.
    /// Keys in the database have an expiry: one that is removed before is void and no longer published.
    ///
    /// # Errors
    /// A key is invalid, or is also in the keyring.
    pub fn assertion_keys(
        &self,
        issuer: Arc<str>,
        publish_ahead: Duration,
        keyring: &Keyring,
        retired: Vec<Retired>,
        now: Timestamp,
    ) -> Result<AssertionKeys, KeyFault> {
        let keys = match self {
            Self::Directory(directory) => {
                let directory = assertion_directory(directory);
                return load_assertion_keys(&directory, issuer, publish_ahead, keyring, retired);
            }
            Self::Vault(keys) => keys,
        };
        let keys = keys.of(KeyPurpose::Assertion).map(timed).collect::<Result<_, _>>()?;
        let (signing, others) =
            schedule(keys, Some(Algorithm::Es256), now).ok_or(KeyFault::Unusable)?;
        let signing = signing.into_iter();
        let signing = signing.map(|it| AssertionKey { key: it.key, signs_from: it.signs_from });
        let others: Vec<VerifyingKey> = others.into_iter().map(|(key, _)| key).collect();
        AssertionKeys::new(issuer, signing.collect(), others, keyring, Vec::new())
    }

    /// The secret of the outbox key, if it is shared by all gateways.
    pub fn outbox(&self) -> Option<&Secret> {
        match self {
            Self::Directory(_) => None,
            Self::Vault(keys) => keys.outbox(),
        }
    }
}

fn timed(key: &OpenedKey) -> Result<Timed, KeyFault> {
    let OpenedKey { stored, text } = key;
    let place = || format!("the key {} in the database", stored.id);
    let algorithm = Algorithm::ALL.into_iter().find(|known| known.as_str() == stored.algorithm);
    let algorithm = algorithm.ok_or_else(|| KeyFault::Unusable.at(place()))?;
    let key = match (stored.signs_from, algorithm) {
        // A secret has no public half: read as what it is here.
        (None, Algorithm::Hs256) => KeyFileContent::Public(VerifyingKey::secret(text)?),
        (Some(_) | None, _) => parse(algorithm, text).map_err(|fault| fault.at(place()))?,
    };
    let (signs_from, verifies_until) = (stored.signs_from, stored.verifies_until);
    Ok(Timed { key, signs_from, verifies_until })
}
