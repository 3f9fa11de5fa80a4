//! Lists, rotates and imports keys, in files and in the database.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::database::{Before, KeyDatabase, NotAdded, OpenedKey, OpenedKeys, VaultFault, generate};
use super::directory::{KeyFileContent, read_offered};
use super::files::KeyDirectory;
use super::generate::GeneratedKeys;
#[cfg(test)]
use super::schedule::tokens_end;
use crate::keys::listing::{KeyInfo, KeyState};
use guarita_core::jose::{Algorithm, KeyFault, SigningKey, VerifyingKey};
use guarita_core::{Secret, Timestamp};
use guarita_store::KeyPurpose;

/// The configuration of keys.
#[derive(Clone, Copy, Debug)]
pub struct KeySettings {
    /// The algorithm of new keys of tokens.
    pub algorithm: Algorithm,
    /// How long a new key of tokens is published before it signs.
    pub publish_ahead: Duration,
    /// The same for keys of assertions.
    pub assertion_publish_ahead: Duration,
    /// Whether `tokens.signing_key` is configured.
    pub given: bool,
}

impl KeySettings {
    const fn ahead(&self, purpose: KeyPurpose) -> Duration {
        match purpose {
            KeyPurpose::Assertion => self.assertion_publish_ahead,
            KeyPurpose::Token | KeyPurpose::Outbox => self.publish_ahead,
        }
    }

    const fn algorithm(&self, purpose: KeyPurpose) -> Algorithm {
        match purpose {
            KeyPurpose::Assertion => Algorithm::Es256,
            KeyPurpose::Token | KeyPurpose::Outbox => self.algorithm,
        }
    }
}

/// The location of keys.
#[derive(Clone, Debug)]
pub enum KeyLocation {
    /// Files in this directory.
    Directory(PathBuf),
    /// The database.
    Vault(Box<KeyDatabase>),
}

/// A generated or imported key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Added {
    /// Its `kid`.
    pub id: String,
    /// Since when it signs; `None` where it only verifies.
    pub signs_from: Option<Timestamp>,
}

/// Why a change is rejected.
#[derive(Debug, thiserror::Error)]
pub enum KeyRejection {
    /// The configured key signs.
    #[error("tokens.signing_key is set and signs: change the key there")]
    Given,
    /// The key has another algorithm and would never sign.
    #[error("the key is for {0}, but tokens.algorithm is {1}")]
    Algorithm(&'static str, &'static str),
    /// The file of a private key or secret is readable by others.
    #[error("{}: is readable by other users (chmod 600)", .0.display())]
    Exposed(PathBuf),
    /// There is no key with this id.
    #[error("there is no key {0}")]
    Unknown(String),
    /// It signs now.
    #[error("the key {0} signs: rotate it first")]
    Signs(String),
    /// Not a key, or a weak one.
    #[error(transparent)]
    Unusable(KeyFault),
    /// The key was not added.
    #[error(transparent)]
    NotAdded(#[from] NotAdded),
}

/// Administration of keys.
#[derive(Debug)]
pub struct KeyAdministration {
    place: KeyLocation,
    settings: KeySettings,
}

impl KeyAdministration {
    /// Creates it for this location.
    pub const fn new(place: KeyLocation, settings: KeySettings) -> Self {
        Self { place, settings }
    }

    /// All keys by purpose, in the order in which they sign.
    ///
    /// # Errors
    /// They cannot be read.
    pub async fn list(&self, now: Timestamp) -> Result<Vec<KeyInfo>, VaultFault> {
        let mut listed = Vec::new();
        for purpose in KeyPurpose::ALL {
            let mut keys = match &self.place {
                KeyLocation::Directory(directory) => {
                    self.files(directory, purpose).map_or(Ok(Vec::new()), |it| it.list())?
                }
                KeyLocation::Vault(vault) => {
                    vault.read().await?.of(purpose).map(listed_key).collect()
                }
            };
            update_states(&mut keys, now);
            let counts = |key: &KeyInfo| key.verifies_until.is_none_or(|until| now < until);
            keys.retain(|key| key.state == KeyState::Signing || counts(key));
            listed.extend(keys);
        }
        Ok(listed)
    }

    /// Generates a key, which signs after the configured publication time. If the older keys are compromised, it signs
    /// at once, and they are void.
    ///
    /// # Errors
    /// It cannot be generated or written.
    pub async fn rotate(
        &self,
        purpose: KeyPurpose,
        compromised: bool,
        now: Timestamp,
    ) -> Result<Result<Added, KeyRejection>, VaultFault> {
        if purpose == KeyPurpose::Token && self.settings.given {
            return Ok(Err(KeyRejection::Given));
        }
        let (before, signs_from) = match compromised {
            true => (Before::Void, now),
            false => (Before::Verify, now.plus(self.settings.ahead(purpose))),
        };
        let draft = generate(purpose, self.settings.algorithm(purpose), signs_from).await?;
        self.add(draft, before, None, now).await
    }

    /// Generates a key of tokens if the newest key will have this age when the new one signs.
    ///
    /// # Errors
    /// As [`KeyAdministration::rotate`].
    pub async fn rotate_if_due(
        &self,
        every: Duration,
        now: Timestamp,
    ) -> Result<Option<Added>, VaultFault> {
        let signs_from = now.plus(self.settings.publish_ahead);
        // Asked first without making a key: it is made for nothing only where two gateways ask at once.
        let keys = self.list(now).await?;
        let tokens = keys.iter().filter(|key| key.purpose == KeyPurpose::Token);
        let newest = tokens.filter_map(|key| key.signs_from).max();
        let due = newest.is_some_and(|newest| newest <= now && newest.plus(every) <= signs_from);
        if self.settings.given || !due {
            return Ok(None);
        }
        let draft = generate(KeyPurpose::Token, self.settings.algorithm, signs_from).await?;
        Ok(self.add(draft, Before::Verify, Some(every), now).await?.ok())
    }

    /// Imports the key in a file: a private key signs tokens like a new key or, with `at_once`, from now on; a public
    /// key only verifies. A file that is not PEM is an HS256 secret.
    ///
    /// # Errors
    /// It cannot be written.
    pub async fn import(
        &self,
        file: &Path,
        at_once: bool,
        now: Timestamp,
    ) -> Result<Result<Added, KeyRejection>, VaultFault> {
        if self.settings.given {
            return Ok(Err(KeyRejection::Given));
        }
        let (text, exposed) = match read_offered(file) {
            Ok(offered) => offered,
            Err(fault) => return Ok(Err(KeyRejection::Unusable(fault))),
        };
        let (key, text) = match offered_key(text) {
            Ok(key) => key,
            Err(fault) => {
                return Ok(Err(KeyRejection::Unusable(fault.at(file.display().to_string()))));
            }
        };
        let from = if at_once { now } else { now.plus(self.settings.publish_ahead) };
        let (id, algorithm, signs_from) = match &key {
            KeyFileContent::Private(_) if exposed => {
                return Ok(Err(KeyRejection::Exposed(file.to_owned())));
            }
            KeyFileContent::Private(key) => (key.id(), key.algorithm().as_str(), Some(from)),
            KeyFileContent::Public(key) => (key.id(), key.algorithm().as_str(), None),
        };
        let wanted = self.settings.algorithm.as_str();
        if signs_from.is_some() && algorithm != wanted {
            return Ok(Err(KeyRejection::Algorithm(algorithm, wanted)));
        }
        let (id, purpose) = (id.to_owned(), KeyPurpose::Token);
        let draft =
            GeneratedKeys { id, purpose, algorithm, text, signs_from, verifies_until: None };
        self.add(draft, Before::Verify, None, now).await
    }

    /// Removes a key that does not sign: one that is announced, which withdraws the announcement, or one that only
    /// verifies.
    ///
    /// # Errors
    /// It cannot be removed.
    pub async fn remove(
        &self,
        id: &str,
        now: Timestamp,
    ) -> Result<Result<(), KeyRejection>, VaultFault> {
        let listed = self.list(now).await?;
        let Some(key) = listed.iter().find(|key| key.id == id) else {
            return Ok(Err(KeyRejection::Unknown(id.to_owned())));
        };
        let signs = || Ok(Err(KeyRejection::Signs(id.to_owned())));
        if key.state == KeyState::Signing {
            return signs();
        }
        match &self.place {
            KeyLocation::Vault(vault) => {
                // It may have begun to sign since.
                let may_go = |keys: &OpenedKeys| {
                    let mut keys: Vec<_> = keys.of(key.purpose).map(listed_key).collect();
                    update_states(&mut keys, now);
                    keys.iter().any(|it| it.id == id && it.state != KeyState::Signing)
                };
                if !vault.remove(id, may_go, now).await? {
                    return signs();
                }
            }
            KeyLocation::Directory(directory) => {
                if let Some(files) = self.files(directory, key.purpose) {
                    files.remove(id)?;
                }
            }
        }
        Ok(Ok(()))
    }

    async fn add(
        &self,
        draft: GeneratedKeys,
        before: Before,
        unless_younger: Option<Duration>,
        now: Timestamp,
    ) -> Result<Result<Added, KeyRejection>, VaultFault> {
        let purpose = draft.purpose;
        let (id, from) = (draft.id.clone(), draft.signs_from);
        let done = match &self.place {
            KeyLocation::Vault(vault) => vault.add(draft, before, unless_younger, now).await?,
            KeyLocation::Directory(directory) => match self.files(directory, purpose) {
                Some(files) => files.add(&draft, before, now)?.map(|()| from),
                None => return Err(VaultFault::Seal),
            },
        };
        Ok(done.map(|signs_from| Added { id, signs_from }).map_err(KeyRejection::NotAdded))
    }

    /// The directory of a purpose; [`None`] for the outbox, whose key is a single file.
    fn files(&self, directory: &Path, purpose: KeyPurpose) -> Option<KeyDirectory> {
        let ahead = self.settings.assertion_publish_ahead;
        KeyDirectory::of(directory, purpose, self.settings.algorithm, ahead)
    }
}

/// A private key, a public one, or a secret.
fn offered_key(text: Secret) -> Result<(KeyFileContent, Secret), KeyFault> {
    if !text.expose().contains("-----BEGIN") {
        return Ok((KeyFileContent::Private(SigningKey::parse(Algorithm::Hs256, &text)?), text));
    }
    let mut weak = None;
    for algorithm in [Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa] {
        match SigningKey::parse(algorithm, &text) {
            Ok(key) => return Ok((KeyFileContent::Private(key), text)),
            Err(KeyFault::NotPrivate) => {
                return Ok((KeyFileContent::Public(VerifyingKey::detect(text.expose())?), text));
            }
            Err(fault @ KeyFault::WeakRsa) => weak = Some(fault),
            Err(_) => {}
        }
    }
    Err(weak.unwrap_or(KeyFault::Unusable))
}

fn listed_key(key: &OpenedKey) -> KeyInfo {
    let stored = &key.stored;
    KeyInfo {
        id: stored.id.clone(),
        purpose: stored.purpose,
        algorithm: stored.algorithm.clone(),
        since: stored.created_at,
        signs_from: stored.signs_from,
        verifies_until: stored.verifies_until,
        state: KeyState::Verifying,
    }
}

/// Sets the current state of keys, given in the order in which they sign.
fn update_states(keys: &mut [KeyInfo], now: Timestamp) {
    let ready = keys.iter().rposition(|key| key.signs_from.is_some_and(|from| from <= now));
    let signing = ready.or_else(|| keys.iter().position(|key| key.signs_from.is_some()));
    for (position, key) in keys.iter_mut().enumerate() {
        key.state = match key.signs_from {
            Some(_) if Some(position) == signing => KeyState::Signing,
            Some(from) if from > now => KeyState::Announced,
            Some(_) | None => KeyState::Verifying,
        };
    }
}

#[cfg(test)]
#[path = "administration_tests.rs"]
mod tests;
