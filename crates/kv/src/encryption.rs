//! Encryption of ephemeral data in Redis: who has access to Redis can neither read nor forge it.
//!
//! All gateways on one database share a secret, which is in the database. Names are HMAC-SHA-256 with it, so that
//! who reads Redis cannot find out names by trying all addresses. Values are AES-256-GCM with a key derived from it
//! and from the ticket, bound to their name: who writes to Redis cannot forge one, and who also has the database
//! cannot read one.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

use guarita_core::{Secret, random};

/// The keys derived from the secret shared by all gateways on one database.
pub struct Encryption {
    names: hmac::Key,
    values: Salt,
}

impl fmt::Debug for Encryption {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Seal")
    }
}

impl Encryption {
    /// Creates it from the secret, of at least 256 random bits.
    pub fn new(secret: &Secret) -> Self {
        let secret = secret.expose().as_bytes();
        Self {
            names: hmac::Key::new(hmac::HMAC_SHA256, secret),
            values: Salt::new(HKDF_SHA256, secret),
        }
    }

    /// The stored name of a text of this kind: 43 characters.
    pub fn name(&self, kind: &str, text: &str) -> String {
        let mut context = hmac::Context::with_key(&self.names);
        // No kind has a NUL.
        for part in [kind.as_bytes(), b"\0", text.as_bytes()] {
            context.update(part);
        }
        URL_SAFE_NO_PAD.encode(context.sign())
    }

    /// Encrypts the content of a ticket; [`None`] if the random source failed.
    pub fn seal(&self, kind: &str, ticket: &Secret, mut plain: Vec<u8>) -> Option<String> {
        let nonce = random::bytes::<NONCE_LEN>().ok()?;
        let key = self.key(kind, ticket)?;
        let aad = Aad::from(kind.as_bytes());
        key.seal_in_place_append_tag(Nonce::from(&nonce), aad, &mut plain).ok()?;
        Some(URL_SAFE_NO_PAD.encode([nonce.as_slice(), &plain].concat()))
    }

    /// Decrypts the content of a ticket; [`None`] if it was not encrypted for this ticket.
    pub fn open(&self, kind: &str, ticket: &Secret, sealed: &str) -> Option<Zeroizing<Vec<u8>>> {
        let bytes = URL_SAFE_NO_PAD.decode(sealed).ok()?;
        let (nonce, text) = bytes.split_first_chunk::<NONCE_LEN>()?;
        let mut text = Zeroizing::new(text.to_vec());
        let key = self.key(kind, ticket)?;
        let plain = key.open_in_place(Nonce::from(nonce), Aad::from(kind.as_bytes()), &mut text);
        Some(Zeroizing::new(plain.ok()?.to_vec()))
    }

    fn key(&self, kind: &str, ticket: &Secret) -> Option<LessSafeKey> {
        let derived = self.values.extract(ticket.expose().as_bytes());
        let info = [b"guarita ticket ", kind.as_bytes()];
        let key = derived.expand(&info, &AES_256_GCM).ok()?;
        Some(LessSafeKey::new(UnboundKey::from(key)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_opens_by_its_ticket_its_kind_and_the_secret_only() {
        let seal = Encryption::new(&Secret::new("a".repeat(43)));
        let (ticket, other) = (Secret::new("ticket"), Secret::new("other"));
        let sealed = seal.seal("mfa", &ticket, b"value".to_vec()).unwrap();
        assert_ne!(Some(&sealed), seal.seal("mfa", &ticket, b"value".to_vec()).as_ref());
        assert_eq!(&**seal.open("mfa", &ticket, &sealed).unwrap(), b"value");
        assert!(seal.open("mfa", &other, &sealed).is_none());
        assert!(seal.open("ws", &ticket, &sealed).is_none());
        let elsewhere = Encryption::new(&Secret::new("b".repeat(43)));
        assert!(elsewhere.open("mfa", &ticket, &sealed).is_none());
        for text in ["", "AA", "?", &sealed[1..]] {
            assert!(seal.open("mfa", &ticket, text).is_none(), "{text}");
        }
    }

    #[test]
    fn a_name_hangs_on_kind_text_and_secret() {
        let seal = Encryption::new(&Secret::new("a".repeat(43)));
        let name = seal.name("login", "192.0.2.1");
        assert_eq!((name.len(), seal.name("login", "192.0.2.1")), (43, name.clone()));
        assert_ne!(name, seal.name("mfa", "192.0.2.1"));
        assert_ne!(name, seal.name("login", "192.0.2.2"));
        assert_ne!(name, Encryption::new(&Secret::new("b")).name("login", "192.0.2.1"));
    }
}
