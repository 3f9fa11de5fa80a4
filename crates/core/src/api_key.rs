//! Names and subjects of API keys.

use std::fmt;

/// Longest name, in bytes.
pub const MAX_NAME_LENGTH: usize = 128;
/// The prefix of every key.
pub const KEY_PREFIX: &str = "gua_";
/// The subject of the key in the configuration (`credentials.service_api_key`).
pub const SYSTEM: &str = "system";
/// The prefix of the subject of every named key; reserved, so that no user or provider subject has it.
const SUBJECT_PREFIX: &str = "apikey:";

/// Whether a subject is reserved for services: `system`, or one that begins with `apikey:` (ignoring
/// case).
pub fn is_of_service(subject: &str) -> bool {
    let begins = subject.get(..SUBJECT_PREFIX.len());
    subject.eq_ignore_ascii_case(SYSTEM)
        || begins.is_some_and(|begins| begins.eq_ignore_ascii_case(SUBJECT_PREFIX))
}

/// The id of a named key: the id of its row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ApiKeyId(i64);

impl ApiKeyId {
    /// From the row's id.
    pub const fn new(id: i64) -> Self {
        Self(id)
    }

    /// The row's id.
    pub const fn get(self) -> i64 {
        self.0
    }
}

impl fmt::Display for ApiKeyId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// Not a valid name for a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the name of a key must be 1 to 128 letters, digits, \".\", \"_\" and \"-\", begin with a letter, and \
     not be \"system\" nor begin with \"gua_\""
)]
pub struct InvalidName;

/// The name of a key: 1 to 128 ASCII letters, digits, `.`, `_` and `-`, beginning with a letter. So a
/// name can be confused neither with an id nor with a key that was entered by mistake.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ApiKeyName(Box<str>);

impl ApiKeyName {
    /// Checks the bounds.
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        let fits = (1..=MAX_NAME_LENGTH).contains(&text.len());
        let begins = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic());
        let clean = text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'));
        let key = text
            .get(..KEY_PREFIX.len())
            .is_some_and(|begins| begins.eq_ignore_ascii_case(KEY_PREFIX));
        if fits && begins && clean && !key && !is_of_service(text) {
            Ok(Self(text.into()))
        } else {
            Err(InvalidName)
        }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The subject of a request with a key of this name: `apikey:` and the name, at most 135 bytes.
    pub fn subject(&self) -> String {
        format!("{SUBJECT_PREFIX}{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_neither_an_id_nor_a_key_nor_system() {
        let longest = "a".repeat(MAX_NAME_LENGTH);
        for name in ["jobs", "Nightly.Export-2_x", "a", &longest, "gua", "systems"] {
            assert!(ApiKeyName::parse(name).is_ok(), "{name}");
        }
        let long = "a".repeat(MAX_NAME_LENGTH + 1);
        for name in [
            "", "7", "7a", "-a", "_", "a b", " a", "a:b", "a/b", "a@b", "a,b", "a\r", "é",
            "system", "System", "gua_", "gua_abc", "GUA_abc", &long,
        ] {
            assert_eq!(ApiKeyName::parse(name), Err(InvalidName), "{name:?}");
        }
    }

    #[test]
    fn the_subject_of_a_key_is_nobody_else_s() {
        let longest = ApiKeyName::parse(&"a".repeat(MAX_NAME_LENGTH)).unwrap();
        assert!(is_of_service(&longest.subject()) && longest.subject().len() == 135);
        assert_eq!(ApiKeyName::parse("jobs").unwrap().subject(), "apikey:jobs");
        for subject in ["system", "SYSTEM", "apikey:jobs", "ApiKey:", "apikey:é"] {
            assert!(is_of_service(subject), "{subject}");
        }
        for subject in ["", "alice", "apikey", "xapikey:jobs", "systems", "éééé"] {
            assert!(!is_of_service(subject), "{subject}");
        }
    }
}
