//! Secret text.

use std::fmt;

use aws_lc_rs::digest::{Digest, SHA256, digest};
use subtle::{Choice, ConstantTimeEq};
use zeroize::Zeroizing;

/// Text that must never reach a log, a metric or an error. Its memory is wiped when dropped.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Wraps the text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// The text itself.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Compares in a time that depends on the lengths only.
    pub fn matches(&self, other: &str) -> bool {
        self.0.as_bytes().ct_eq(other.as_bytes()).into()
    }
}

/// SHA-256 of a secret, to keep and compare instead of the secret itself.
#[derive(Clone, Debug)]
pub struct SecretDigest(Digest);

impl SecretDigest {
    /// The digest of a text.
    pub fn of(text: &str) -> Self {
        Self(digest(&SHA256, text.as_bytes()))
    }
}

/// Compares in constant time.
impl ConstantTimeEq for SecretDigest {
    fn ct_eq(&self, other: &Self) -> Choice {
        self.0.as_ref().ct_eq(other.0.as_ref())
    }
}

/// Equality in constant time, for settings that hold a secret.
impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.matches(other.expose())
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("[secret]")
    }
}

impl<'de> serde::Deserialize<'de> for Secret {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_never_prints_itself() {
        let secret = Secret::new("hunter2");
        assert_eq!(format!("{secret:?}"), "[secret]");
        assert!(secret.matches("hunter2"));
        assert!(!secret.matches("hunter22"));
    }
}
