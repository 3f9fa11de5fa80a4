//! The JWK Set that a provider publishes (RFC 7517 section 5). Each key is pinned to one algorithm.

use serde_json::Value;

use super::fingerprint::fingerprint;
use super::header::Header;
use super::{Invalid, VerifyingKey};

/// Maximum number of entries of a set.
const MAX_KEYS: usize = 64;
/// Maximum length of `kid`, in bytes.
const MAX_KEY_ID_LENGTH: usize = 256;

/// Why a set is invalid. The previous set is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeySetFault {
    /// Not a JSON object with an array `keys`.
    #[error("not a JWK Set")]
    NotASet,
    /// More than 64 entries.
    #[error("the JWK Set has more than 64 keys")]
    TooMany,
    /// It has no key for signatures.
    #[error("the JWK Set has no usable key")]
    Empty,
}

#[derive(Clone, Debug)]
struct KeySetEntry {
    key_id: Option<Box<str>>,
    key: VerifyingKey,
}

/// The public keys of a provider. Empty before the first fetch.
#[derive(Debug, Default)]
pub struct KeySet {
    keys: Box<[KeySetEntry]>,
    fingerprint: u64,
}

impl KeySet {
    /// Parses a JWK Set. Entries for another use, weak and unknown ones are ignored, and those that tokens cannot
    /// distinguish.
    pub fn parse(bytes: &[u8]) -> Result<Self, KeySetFault> {
        let set: Value = serde_json::from_slice(bytes).map_err(|_| KeySetFault::NotASet)?;
        let entries = set.get("keys").and_then(Value::as_array).ok_or(KeySetFault::NotASet)?;
        if entries.len() > MAX_KEYS {
            return Err(KeySetFault::TooMany);
        }
        let mut keys: Vec<KeySetEntry> = Vec::with_capacity(entries.len());
        let entries: Vec<_> = entries.iter().filter_map(read).collect();
        for entry in entries.iter().cloned() {
            let twin = |other: &KeySetEntry| {
                other.key_id == entry.key_id && other.key.algorithm() == entry.key.algorithm()
            };
            let clear = entries.iter().filter(|other| twin(other)).all(|it| it.key == entry.key);
            if clear && !keys.iter().any(twin) {
                keys.push(entry);
            }
        }
        if keys.is_empty() {
            return Err(KeySetFault::Empty);
        }
        Ok(Self {
            fingerprint: fingerprint(keys.iter().map(KeySetEntry::texts).collect()),
            keys: keys.into(),
        })
    }

    /// A fingerprint of the keys: cached verifications are valid only for the same fingerprint. 0 if there are no
    /// keys.
    pub const fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    /// The number of keys, at most 64.
    pub const fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there are no keys.
    pub const fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The key that a header names; without `kid`, the only one of its algorithm.
    pub(super) fn find(&self, header: &Header) -> Result<&VerifyingKey, Invalid> {
        let named = |entry: &&KeySetEntry| {
            header.key_id.is_none() || entry.key_id.as_deref() == header.key_id.as_deref()
        };
        let fits = |entry: &&KeySetEntry| entry.key.algorithm() == header.algorithm;
        let mut known = self.keys.iter().filter(named).peekable();
        if known.peek().is_none() {
            return Err(Invalid::UnknownKey);
        }
        let mut keys = known.filter(fits);
        match (keys.next(), keys.next()) {
            (Some(entry), None) => Ok(&entry.key),
            (Some(_), Some(_)) => Err(Invalid::MissingKeyId),
            (None, _) => Err(Invalid::Algorithm),
        }
    }
}

fn read(entry: &Value) -> Option<KeySetEntry> {
    let key_id = match entry.get("kid") {
        None => None,
        Some(id) => Some(id.as_str().filter(|id| id.len() <= MAX_KEY_ID_LENGTH)?.into()),
    };
    match VerifyingKey::foreign(entry) {
        Ok(key) => Some(KeySetEntry { key_id, key }),
        Err(fault) => {
            tracing::debug!(%fault, "key of a JWK Set ignored");
            None
        }
    }
}

impl KeySetEntry {
    fn texts(&self) -> [&str; 3] {
        let key_id = self.key_id.as_deref().unwrap_or_default();
        [key_id, self.key.algorithm().as_str(), self.key.id()]
    }
}

#[cfg(test)]
#[path = "key_set_tests.rs"]
mod tests;
