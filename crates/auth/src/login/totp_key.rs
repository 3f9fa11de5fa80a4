//! Encryption of the secrets of second factors: bound to their user, with keys that can be rotated.

use zeroize::Zeroizing;

use super::TokenError;
use crate::keys::{SealingKey, Unopened};
use guarita_core::{Secret, UserId};

/// The encryption key, and earlier ones for decryption.
#[derive(Debug)]
pub struct TotpKeys {
    current: SealingKey,
    previous: Vec<SealingKey>,
}

impl TotpKeys {
    /// Derives the keys.
    pub fn new(current: &Secret, previous: &[Secret]) -> Result<Self, TokenError> {
        let derive = |secret| SealingKey::derive("totp", secret).map_err(failed);
        let previous = previous.iter().map(derive).collect::<Result<_, _>>()?;
        Ok(Self { current: derive(current)?, previous })
    }

    /// The id of the current key.
    pub fn id(&self) -> &str {
        self.current.id()
    }

    /// Encrypts a secret, bound to the user.
    pub fn seal(&self, user: UserId, plain: &[u8]) -> Result<String, TokenError> {
        self.current.seal(&row(user), plain).map_err(failed)
    }

    /// Decrypts the secret of a user; a fault if the key is gone or the secret belongs to another user.
    pub fn open(
        &self,
        user: UserId,
        id: &str,
        sealed: &str,
    ) -> Result<Zeroizing<Vec<u8>>, TokenError> {
        let mut keys = std::iter::once(&self.current).chain(&self.previous);
        let key = keys.find(|key| key.id() == id).ok_or_else(|| failed(Unopened))?;
        key.open(&row(user), sealed).map_err(failed)
    }
}

fn row(user: UserId) -> String {
    format!("totp:{user}")
}

fn failed(unopened: Unopened) -> TokenError {
    TokenError(format!("the secret of a second factor cannot be decrypted: {unopened}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_opens_for_its_user_and_under_its_key_only() {
        let (old, new) = (Secret::new("a".repeat(32)), Secret::new("b".repeat(32)));
        let first = TotpKeys::new(&old, &[]).unwrap();
        let (alice, root) = (UserId::new(1), UserId::new(2));
        let sealed = first.seal(alice, b"secret").unwrap();
        assert_ne!(sealed, first.seal(alice, b"secret").unwrap());
        assert_eq!(&**first.open(alice, first.id(), &sealed).unwrap(), b"secret");
        assert!(first.open(root, first.id(), &sealed).is_err());
        let rotated = TotpKeys::new(&new, &[old]).unwrap();
        assert_eq!(&**rotated.open(alice, first.id(), &sealed).unwrap(), b"secret");
        assert!(rotated.open(alice, rotated.id(), &sealed).is_err());
        assert!(TotpKeys::new(&new, &[]).unwrap().open(alice, first.id(), &sealed).is_err());
        assert!(first.open(alice, first.id(), "AA").is_err());
    }
}
