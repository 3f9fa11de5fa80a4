//! The format of named API keys: `gua_` and a secret of 256 bits. The service holds the key; the database
//! has only its SHA-256 and the prefix that is displayed.

use aws_lc_rs::digest::{SHA256, digest as hash};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::session_cookie::is_secret;
use crate::Secret;
use crate::api_key::KEY_PREFIX;

/// Length of the displayed prefix of a key: `gua_` and 8 of its 43 random characters. The other 208 bits cannot be
/// guessed.
pub const SHOWN: usize = KEY_PREFIX.len() + 8;

/// SHA-256 of a key. Keys are looked up by it, so that the time of a lookup reveals nothing about a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct KeyDigest([u8; 32]);

impl KeyDigest {
    /// The digest of a presented key; [`None`] if it is malformed.
    pub fn of(presented: &str) -> Option<Self> {
        let secret = presented.strip_prefix(KEY_PREFIX)?;
        if !is_secret(secret) {
            return None;
        }
        hash(&SHA256, presented.as_bytes()).as_ref().try_into().ok().map(Self)
    }

    /// The text in the database: base64url without padding.
    pub fn text(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }
}

/// The key with this secret of 256 bits in base64url.
pub fn key(secret: &Secret) -> Secret {
    Secret::new(format!("{KEY_PREFIX}{}", secret.expose()))
}

/// The displayed prefix of a key.
pub fn shown(key: &Secret) -> &str {
    key.expose().get(..SHOWN).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jose::opaque;
    use crate::random;

    #[test]
    fn a_key_is_four_letters_and_256_bits() {
        let key = key(&random::token().unwrap());
        assert_eq!(key.expose().len(), 47);
        assert!(key.expose().starts_with("gua_"));
        assert_eq!(shown(&key).len(), 12);
        assert!(key.expose().starts_with(shown(&key)));
        assert_eq!(KeyDigest::of(key.expose()).unwrap().text(), opaque::digest(key.expose()));
    }

    /// enumeration-timing-004, session-revocation-011
    #[test]
    fn what_cannot_be_a_key_has_no_digest() {
        let secret = "A".repeat(43);
        assert!(KeyDigest::of(&format!("gua_{secret}")).is_some());
        for text in [
            String::new(),
            "gua_".to_owned(),
            secret.clone(),
            format!("gua_{secret}A"),
            format!("gua_{}", &secret[1..]),
            format!("GUA_{secret}"),
            format!("gua-{secret}"),
            format!(" gua_{secret}"),
            format!("gua_{}=", &secret[1..]),
            format!("gua_{}é", &secret[2..]),
        ] {
            assert_eq!(KeyDigest::of(&text), None, "{text:?}");
        }
    }

    #[test]
    fn a_digest_does_not_print_the_key() {
        let key = key(&random::token().unwrap());
        let digest = KeyDigest::of(key.expose()).unwrap();
        assert!(!format!("{digest:?} {}", digest.text()).contains(shown(&key)));
    }
}
