//! The master key, which encrypts the keys in the database. It is never in the database.

use zeroize::Zeroizing;

use super::sealing::{SealingKey, Unopened};
use guarita_core::Secret;
use guarita_store::KeyPurpose;

/// Minimum and maximum length of a master key, in bytes.
const LENGTH: std::ops::RangeInclusive<usize> = 32..=4096;
/// Minimum number of distinct bytes.
const DISTINCT: usize = 8;
/// Maximum number of master keys: one and, while it is being changed, its predecessor.
const MOST: usize = 2;

/// Why a master key is invalid. Never contains the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be 32 to 4096 bytes without white space, at least 8 of them distinct; while it is being changed, \
     two keys separated by white space, the new one first"
)]
pub struct InvalidMasterKey;

/// The configured master keys, the new one first.
#[derive(Debug)]
pub struct MasterKeys(Vec<SealingKey>);

impl MasterKeys {
    /// Parses one master key, or two separated by white space.
    ///
    /// # Errors
    /// A key is too short, too long or easy to guess; or there are more than two.
    pub fn parse(text: &Secret) -> Result<Self, InvalidMasterKey> {
        let mut keys = Vec::new();
        for word in text.expose().split_whitespace() {
            let distinct: std::collections::HashSet<_> = word.bytes().collect();
            if !LENGTH.contains(&word.len()) || distinct.len() < DISTINCT || keys.len() == MOST {
                return Err(InvalidMasterKey);
            }
            let key = SealingKey::derive("master", &Secret::new(word));
            keys.push(key.map_err(|_| InvalidMasterKey)?);
        }
        if keys.is_empty() { Err(InvalidMasterKey) } else { Ok(Self(keys)) }
    }

    /// The id of the first key.
    pub(super) fn first(&self) -> Option<&str> {
        self.0.first().map(SealingKey::id)
    }

    /// The id of the second key, if there are two. Every gateway has it until the change is complete.
    pub(super) fn last(&self) -> Option<&str> {
        self.0.last().map(SealingKey::id)
    }

    /// Whether a key with this id is configured.
    pub(super) fn knows(&self, id: &str) -> bool {
        self.0.iter().any(|key| key.id() == id)
    }

    /// Encrypts a key for its row, with the master key of this id.
    pub(super) fn seal(
        &self,
        by: &str,
        row: &SealedRow<'_>,
        plain: &Secret,
    ) -> Result<String, Unopened> {
        self.find(by)?.seal(&row.name(), plain.expose().as_bytes())
    }

    /// Decrypts it.
    pub(super) fn open(
        &self,
        by: &str,
        row: &SealedRow<'_>,
        sealed: &str,
    ) -> Result<Secret, Unopened> {
        let plain: Zeroizing<Vec<u8>> = self.find(by)?.open(&row.name(), sealed)?;
        Ok(Secret::new(std::str::from_utf8(&plain).map_err(|_| Unopened)?))
    }

    fn find(&self, by: &str) -> Result<&SealingKey, Unopened> {
        self.0.iter().find(|key| key.id() == by).ok_or(Unopened)
    }
}

/// The row that an encrypted key is bound to.
#[derive(Debug)]
pub(super) struct SealedRow<'a> {
    pub(super) purpose: KeyPurpose,
    pub(super) id: &'a str,
    pub(super) algorithm: &'a str,
}

impl SealedRow<'_> {
    fn name(&self) -> String {
        format!("{}:{}:{}", self.purpose.as_str(), self.id, self.algorithm)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "0123456789abcdef0123456789abcdef";
    const NEW: &str = "fedcba9876543210fedcba9876543210";

    fn keys(text: &str) -> Result<MasterKeys, InvalidMasterKey> {
        MasterKeys::parse(&Secret::new(text))
    }

    #[test]
    fn what_is_short_long_or_guessable_is_no_master_key() {
        for text in [
            String::new(),
            OLD[1..].to_owned(),
            "a".repeat(32),
            "ab".repeat(2049),
            format!("{OLD} short"),
            format!("{OLD} {NEW} {OLD}"),
        ] {
            assert!(keys(&text).is_err(), "{text}");
        }
        for text in [OLD.to_owned(), format!("{NEW}\n{OLD}\n"), OLD.repeat(128)] {
            assert!(keys(&text).is_ok(), "{text}");
        }
    }

    #[test]
    fn a_key_opens_in_its_row_under_its_master_key_only() {
        let row = SealedRow { purpose: KeyPurpose::Token, id: "id", algorithm: "ES256" };
        let (old, both) = (keys(OLD).unwrap(), keys(&format!("{NEW} {OLD}")).unwrap());
        assert_eq!((both.last(), old.first()), (old.last(), old.last()));
        let (by, plain) = (old.first().unwrap(), Secret::new("pem"));
        let sealed = old.seal(by, &row, &plain).unwrap();
        assert_eq!(both.open(by, &row, &sealed).unwrap(), plain);
        assert!(keys(NEW).unwrap().open(by, &row, &sealed).is_err());
        for other in [
            SealedRow { purpose: KeyPurpose::Assertion, ..row },
            SealedRow { id: "di", ..row },
            SealedRow { algorithm: "RS256", ..row },
        ] {
            assert!(old.open(by, &other, &sealed).is_err());
        }
    }
}
