//! Newly generated keys, before they are written to the database.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::assertion_directory;
use super::directory::{Directory, KeyFileContent};
use super::schedule::{assertions_end, tokens_end};
use super::sealing::SealingKey;
use guarita_core::jose::{Algorithm, KeyFault, SigningKey};
use guarita_core::{Secret, Timestamp, random};
use guarita_store::KeyPurpose;

/// The algorithm name of the outbox key.
const SEALING: &str = "A256GCM";

/// The keys that a gateway had in files.
#[derive(Debug, Clone, Default)]
pub struct EarlierKeys {
    /// The directory of token keys; those of assertions are in a subdirectory.
    pub directory: PathBuf,
    /// The key of the outbox, if there is one.
    pub outbox: Option<Secret>,
}

/// A key to be written.
#[derive(Debug)]
pub(super) struct GeneratedKeys {
    pub(super) id: String,
    pub(super) purpose: KeyPurpose,
    pub(super) algorithm: &'static str,
    pub(super) text: Secret,
    pub(super) signs_from: Option<Timestamp>,
    pub(super) verifies_until: Option<Timestamp>,
}

impl GeneratedKeys {
    /// Generates a key that signs from this time on.
    pub(super) fn generate(
        purpose: KeyPurpose,
        algorithm: Algorithm,
        signs_from: Timestamp,
    ) -> Result<Self, KeyFault> {
        let text = SigningKey::generate(algorithm)?;
        let id = SigningKey::parse(algorithm, &text)?.id().to_owned();
        let algorithm = algorithm.as_str();
        let signs_from = Some(signs_from);
        Ok(Self { id, purpose, algorithm, text, signs_from, verifies_until: None })
    }
}

/// The first keys of a purpose: those from the files if there are any, otherwise generated. Blocks.
pub(super) fn first_keys(
    purpose: KeyPurpose,
    files: &EarlierKeys,
    algorithm: Algorithm,
    now: Timestamp,
) -> Result<Vec<GeneratedKeys>, KeyFault> {
    match purpose {
        KeyPurpose::Token => signing_keys(purpose, &files.directory, algorithm, tokens_end, now),
        KeyPurpose::Assertion => {
            let directory = assertion_directory(&files.directory);
            signing_keys(purpose, &directory, Algorithm::Es256, assertions_end, now)
        }
        KeyPurpose::Outbox => {
            let text = match &files.outbox {
                Some(text) => text.clone(),
                None => random::token()?,
            };
            let key = SealingKey::derive("outbox", &text).map_err(|_| KeyFault::Cryptography)?;
            let (id, signs_from) = (key.id().to_owned(), Some(now));
            Ok(vec![GeneratedKeys {
                id,
                purpose,
                algorithm: SEALING,
                text,
                signs_from,
                verifies_until: None,
            }])
        }
    }
}

fn signing_keys(
    purpose: KeyPurpose,
    directory: &Path,
    algorithm: Algorithm,
    end: fn(Timestamp) -> Timestamp,
    now: Timestamp,
) -> Result<Vec<GeneratedKeys>, KeyFault> {
    let mut drafts: Vec<GeneratedKeys> = Vec::new();
    let found = if directory.is_dir() { Directory::new(directory).read()? } else { Vec::new() };
    // Those that sign come last, in the order of their files' names.
    let (signing, others): (Vec<_>, Vec<_>) = found.into_iter().partition(
        |file| matches!(&file.key, KeyFileContent::Private(key) if key.algorithm() == algorithm),
    );
    let signs = !signing.is_empty();
    let count = signing.len() + others.len();
    for (position, file) in others.into_iter().chain(signing).enumerate() {
        let before = Duration::from_secs(u64::try_from(count - position).unwrap_or(1));
        let from = file.signs_from.filter(|from| *from > now).unwrap_or(now.minus(before));
        let (id, algorithm, signs_from) = match &file.key {
            KeyFileContent::Private(key) => (key.id(), key.algorithm().as_str(), Some(from)),
            KeyFileContent::Public(key) => (key.id(), key.algorithm().as_str(), None),
        };
        let id = id.to_owned();
        drafts.retain(|draft| draft.id != id);
        let (text, verifies_until) = (file.text, file.verifies_until);
        drafts.push(GeneratedKeys { id, purpose, algorithm, text, signs_from, verifies_until });
    }
    if !signs {
        drafts.push(GeneratedKeys::generate(purpose, algorithm, now)?);
    }
    let last = drafts.iter().filter_map(|draft| draft.signs_from).max();
    for draft in drafts.iter_mut().filter(|draft| draft.signs_from < last) {
        if draft.signs_from.is_some() && draft.verifies_until.is_none() {
            draft.verifies_until = Some(end(now.max(last.unwrap_or(now))));
        }
    }
    Ok(drafts)
}
