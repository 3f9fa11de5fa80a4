//! Secrets of factors at rest: AES-256-GCM under a key derived by HKDF, bound to the user's row.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

use super::Fault;
use crate::model::{Secret, UserId, random};

struct Key {
    id: String,
    key: LessSafeKey,
}

/// The key that seals, and earlier ones that still open.
pub struct Keys {
    current: Key,
    previous: Vec<Key>,
}

impl fmt::Debug for Keys {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Keys").field("current", &self.current.id).finish_non_exhaustive()
    }
}

impl Keys {
    /// Derives the keys.
    pub fn new(current: &Secret, previous: &[Secret]) -> Result<Self, Fault> {
        let derived = |secret| derive(secret).map_err(|Unspecified| failed());
        let previous = previous.iter().map(derived).collect::<Result<_, _>>()?;
        Ok(Self { current: derived(current)?, previous })
    }

    /// Names the key that seals now.
    pub fn id(&self) -> &str {
        &self.current.id
    }

    /// Encrypts for that user only.
    pub fn seal(&self, user: UserId, plain: &[u8]) -> Result<String, Fault> {
        let nonce = random::bytes::<NONCE_LEN>()?;
        let mut text = plain.to_vec();
        self.current
            .key
            .seal_in_place_append_tag(Nonce::from(&nonce), aad(user), &mut text)
            .map_err(|Unspecified| failed())?;
        Ok(URL_SAFE_NO_PAD.encode([nonce.as_slice(), &text].concat()))
    }

    /// Decrypts what was sealed for that user; a fault where the key is gone or the row is not its.
    pub fn open(&self, user: UserId, id: &str, sealed: &str) -> Result<Zeroizing<Vec<u8>>, Fault> {
        let mut keys = std::iter::once(&self.current).chain(&self.previous);
        let key = keys.find(|key| key.id == id).ok_or_else(failed)?;
        let bytes = URL_SAFE_NO_PAD.decode(sealed).map_err(|_| failed())?;
        let (nonce, text) = bytes.split_first_chunk::<NONCE_LEN>().ok_or_else(failed)?;
        let mut text = Zeroizing::new(text.to_vec());
        let plain = key
            .key
            .open_in_place(Nonce::from(nonce), aad(user), &mut text)
            .map_err(|Unspecified| failed())?;
        Ok(Zeroizing::new(plain.to_vec()))
    }
}

fn failed() -> Fault {
    Fault("the secret of a second factor cannot be sealed or opened with the keys at hand".into())
}

fn aad(user: UserId) -> Aad<Vec<u8>> {
    Aad::from(format!("totp:{user}").into_bytes())
}

fn derive(secret: &Secret) -> Result<Key, Unspecified> {
    let derived = Salt::new(HKDF_SHA256, b"guarita").extract(secret.expose().as_bytes());
    let key = UnboundKey::from(derived.expand(&[b"totp encryption"], &AES_256_GCM)?);
    let mut id = [0; 32];
    derived.expand(&[b"totp key id"], HKDF_SHA256)?.fill(&mut id)?;
    Ok(Key { id: URL_SAFE_NO_PAD.encode(id), key: LessSafeKey::new(key) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_opens_for_its_user_and_under_its_key_only() {
        let (old, new) = (Secret::new("a".repeat(32)), Secret::new("b".repeat(32)));
        let first = Keys::new(&old, &[]).unwrap();
        let (alice, root) = (UserId::new(1), UserId::new(2));
        let sealed = first.seal(alice, b"secret").unwrap();
        assert_ne!(sealed, first.seal(alice, b"secret").unwrap());
        assert_eq!(&**first.open(alice, first.id(), &sealed).unwrap(), b"secret");
        assert!(first.open(root, first.id(), &sealed).is_err());
        let rotated = Keys::new(&new, &[old]).unwrap();
        assert_eq!(&**rotated.open(alice, first.id(), &sealed).unwrap(), b"secret");
        assert!(rotated.open(alice, rotated.id(), &sealed).is_err());
        assert!(Keys::new(&new, &[]).unwrap().open(alice, first.id(), &sealed).is_err());
        assert!(first.open(alice, first.id(), "AA").is_err());
    }
}
