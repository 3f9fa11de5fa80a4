//! Encryption of secrets at rest: AES-256-GCM with a key derived by HKDF (RFC 5869), bound to the row of the secret.
//! A copy of the database alone is not enough to decrypt them.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

use guarita_core::{Secret, random};

/// Encryption or decryption failed: another key, another row, or modified data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it cannot be encrypted or decrypted with the present key")]
pub struct Unopened;

impl From<Unspecified> for Unopened {
    fn from(_: Unspecified) -> Self {
        Self
    }
}

/// An encryption key for one purpose.
pub struct SealingKey {
    id: String,
    key: LessSafeKey,
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("SealingKey").field("id", &self.id).finish_non_exhaustive()
    }
}

impl SealingKey {
    /// Derives the key for a purpose; keys for other purposes reveal nothing about it.
    pub fn derive(purpose: &str, secret: &Secret) -> Result<Self, Unopened> {
        let derived = Salt::new(HKDF_SHA256, b"guarita").extract(secret.expose().as_bytes());
        let encryption = format!("{purpose} encryption");
        let key = UnboundKey::from(derived.expand(&[encryption.as_bytes()], &AES_256_GCM)?);
        let mut id = [0; 32];
        derived.expand(&[format!("{purpose} key id").as_bytes()], HKDF_SHA256)?.fill(&mut id)?;
        Ok(Self { id: URL_SAFE_NO_PAD.encode(id), key: LessSafeKey::new(key) })
    }

    /// The id of the key, 43 characters; it reveals nothing about the key.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Encrypts data, bound to the row that `bound_to` names.
    pub fn seal(&self, bound_to: &str, plain: &[u8]) -> Result<String, Unopened> {
        let nonce = random::bytes::<NONCE_LEN>().map_err(|_| Unopened)?;
        let mut text = plain.to_vec();
        let row = Aad::from(bound_to.as_bytes());
        self.key.seal_in_place_append_tag(Nonce::from(&nonce), row, &mut text)?;
        Ok(URL_SAFE_NO_PAD.encode([nonce.as_slice(), &text].concat()))
    }

    /// Decrypts data that was encrypted with this key for this row.
    pub fn open(&self, bound_to: &str, sealed: &str) -> Result<Zeroizing<Vec<u8>>, Unopened> {
        let bytes = URL_SAFE_NO_PAD.decode(sealed).map_err(|_| Unopened)?;
        let (nonce, text) = bytes.split_first_chunk::<NONCE_LEN>().ok_or(Unopened)?;
        let mut text = Zeroizing::new(text.to_vec());
        let row = Aad::from(bound_to.as_bytes());
        let plain = self.key.open_in_place(Nonce::from(nonce), row, &mut text)?;
        Ok(Zeroizing::new(plain.to_vec()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(purpose: &str, secret: &str) -> SealingKey {
        SealingKey::derive(purpose, &Secret::new(secret)).unwrap()
    }

    #[test]
    fn what_is_sealed_opens_for_its_row_purpose_and_key_only() {
        let one = key("outbox", "one");
        let sealed = one.seal("outbox:1", b"secret").unwrap();
        assert_ne!(sealed, one.seal("outbox:1", b"secret").unwrap());
        assert_eq!(&**one.open("outbox:1", &sealed).unwrap(), b"secret");
        assert_eq!(&**key("outbox", "one").open("outbox:1", &sealed).unwrap(), b"secret");
        for other in [key("outbox", "other"), key("totp", "one")] {
            assert_ne!(other.id(), one.id());
            assert!(other.open("outbox:1", &sealed).is_err());
        }
        for (row, text) in [("outbox:2", sealed.as_str()), ("outbox:1", "AA"), ("outbox:1", "")] {
            assert!(one.open(row, text).is_err());
        }
    }

    /// Made by another implementation (Python's cryptography): what rests in databases must open.
    #[test]
    fn keys_and_rows_are_bound_as_documented() {
        let key = key("totp", "0123456789abcdef0123456789abcdef");
        assert_eq!(key.id(), "qWA9r9GJb15k5q2kOJ-bciFUq_gJfAQy5LYPZakhfkM");
        let sealed = "AAECAwQFBgcICQoL4BLr-bXPq5jrjb1Sq5FsU90o8aNsDA";
        assert_eq!(&**key.open("totp:1", sealed).unwrap(), b"secret");
    }
}
