//! Administration of the key files of one purpose.
//!
//! New key files are written first, and the end of older ones is set afterwards: an interruption in between leaves
//! keys that verify for longer, never too few.

use std::path::Path;
use std::time::Duration;

use super::assertion::assertion_directory;
use super::database::{Before, MAX_KEYS, NotAdded};
use super::directory::{Directory, KeyFile, KeyFileContent};
use super::generate::GeneratedKeys;
use super::schedule::{assertions_end, tokens_end};
use crate::keys::listing::{KeyInfo, KeyState};
use guarita_core::Timestamp;
use guarita_core::jose::{Algorithm, KeyFault};
use guarita_store::KeyPurpose;

/// A directory of keys of one purpose.
#[derive(Debug)]
pub(super) struct KeyDirectory {
    path: std::path::PathBuf,
    purpose: KeyPurpose,
    algorithm: Algorithm,
    /// How long a key file of assertions exists before its key signs.
    assertion_publish_ahead: Duration,
}

impl KeyDirectory {
    /// [`None`] for the outbox, whose key is a single file.
    pub(super) fn of(
        directory: &Path,
        purpose: KeyPurpose,
        algorithm: Algorithm,
        assertion_publish_ahead: Duration,
    ) -> Option<Self> {
        let (path, algorithm) = match purpose {
            KeyPurpose::Token => (directory.to_owned(), algorithm),
            KeyPurpose::Assertion => (assertion_directory(directory), Algorithm::Es256),
            KeyPurpose::Outbox => return None,
        };
        Some(Self { path, purpose, algorithm, assertion_publish_ahead })
    }

    /// All files; none if there is no directory yet.
    pub(super) fn list(&self) -> Result<Vec<KeyInfo>, KeyFault> {
        if !self.path.is_dir() {
            return Ok(Vec::new());
        }
        let files = Directory::new(&self.path).read()?;
        Ok(files.iter().map(|file| self.listed(file)).collect())
    }

    /// Writes a key, sets the expiry of older ones, and removes expired ones.
    pub(super) fn add(
        &self,
        draft: &GeneratedKeys,
        before: Before,
        now: Timestamp,
    ) -> Result<Result<(), NotAdded>, KeyFault> {
        let directory = Directory::new(&self.path);
        directory.prepare()?;
        let files = directory.read()?;
        if let Some(why) = self.refuse(&files, draft, before, now) {
            return Ok(Err(why));
        }
        let algorithm = Algorithm::ALL.into_iter().find(|it| it.as_str() == draft.algorithm);
        let algorithm = algorithm.ok_or(KeyFault::Unusable)?;
        // Assertions go by the age of their files.
        let later = draft.signs_from.filter(|from| *from > now);
        let named = later.filter(|_| self.purpose == KeyPurpose::Token);
        directory.write(algorithm, &draft.text, named)?;
        let Some(signs_from) = draft.signs_from else { return Ok(Ok(())) };
        let signed = |file: &&KeyFile| matches!(file.key, KeyFileContent::Private(_));
        match (before, self.purpose) {
            (Before::Void, _) => {
                for file in files.iter().filter(signed) {
                    directory.remove(file)?;
                }
            }
            (Before::Verify, KeyPurpose::Assertion) => {
                self.remove_old_assertions(&directory, &files, now)?;
            }
            (Before::Verify, KeyPurpose::Token | KeyPurpose::Outbox) => {
                let newest = files.iter().rposition(|file| self.signs(file));
                for (position, file) in files.iter().enumerate().filter(|(_, it)| signed(it)) {
                    match file.verifies_until.filter(|_| Some(position) != newest) {
                        None => directory.retire(file, tokens_end(signs_from))?,
                        Some(until) if until <= now => directory.remove(file)?,
                        Some(_) => {}
                    }
                }
            }
        }
        Ok(Ok(()))
    }

    /// Removes a key.
    pub(super) fn remove(&self, id: &str) -> Result<(), KeyFault> {
        let directory = Directory::new(&self.path);
        for file in directory.read()?.iter().filter(|file| self.listed(file).id == id) {
            directory.remove(file)?;
        }
        Ok(())
    }

    fn signs(&self, file: &KeyFile) -> bool {
        matches!(&file.key, KeyFileContent::Private(key) if key.algorithm() == self.algorithm)
    }

    /// Keys older than the signing one, when nothing that they signed can be valid any more.
    fn remove_old_assertions(
        &self,
        directory: &Directory<'_>,
        files: &[KeyFile],
        now: Timestamp,
    ) -> Result<(), KeyFault> {
        let signing: Vec<_> =
            files.iter().filter(|file| matches!(file.key, KeyFileContent::Private(_))).collect();
        let over =
            |file: &KeyFile| assertions_end(file.since.plus(self.assertion_publish_ahead)) <= now;
        if let Some(newest) = signing.iter().rposition(|file| over(file)) {
            for file in signing.into_iter().take(newest) {
                directory.remove(file)?;
            }
        }
        Ok(())
    }

    fn refuse(
        &self,
        files: &[KeyFile],
        draft: &GeneratedKeys,
        before: Before,
        now: Timestamp,
    ) -> Option<NotAdded> {
        let keys: Vec<_> = files.iter().map(|file| self.listed(file)).collect();
        if keys.iter().any(|key| key.id == draft.id) {
            return Some(NotAdded::Known(draft.id.clone()));
        }
        if before == Before::Void {
            return None;
        }
        let mut signing = keys.iter().filter(|key| key.algorithm == self.algorithm.as_str());
        let newest = signing.rfind(|key| key.signs_from.is_some());
        // The first there is signs at once, whatever its age.
        if let (Some(newest), Some(_), Some(_)) = (newest, signing.next(), draft.signs_from)
            && let Some(from) = newest.signs_from.filter(|from| *from > now)
        {
            return Some(NotAdded::Announced(newest.id.clone(), from));
        }
        (keys.len() >= MAX_KEYS).then_some(NotAdded::TooMany)
    }

    fn listed(&self, file: &KeyFile) -> KeyInfo {
        let (id, algorithm, signs) = match &file.key {
            KeyFileContent::Private(key) => {
                (key.id(), key.algorithm().as_str(), key.algorithm() == self.algorithm)
            }
            KeyFileContent::Public(key) => (key.id(), key.algorithm().as_str(), false),
        };
        let from = match self.purpose {
            KeyPurpose::Assertion => file.since.plus(self.assertion_publish_ahead),
            KeyPurpose::Token | KeyPurpose::Outbox => file.signs_from.unwrap_or(file.since),
        };
        KeyInfo {
            id: id.to_owned(),
            purpose: self.purpose,
            algorithm: algorithm.to_owned(),
            since: file.since,
            signs_from: signs.then_some(from),
            verifies_until: file.verifies_until,
            state: KeyState::Verifying,
        }
    }
}
