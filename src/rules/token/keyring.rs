//! The keys in force: one signs, all verify.

use bytes::Bytes;
use serde_json::json;

use super::fingerprint::fingerprint;
use super::header::Header;
use super::signed::Signed;
use super::{Claims, Expectations, Invalid, KeyFault, SigningKey, VerifyingKey, issue};
use crate::model::{Secret, Timestamp};

/// Most keys that are held together.
pub(super) const MAX_KEYS: usize = 64;

/// The signing key and every key that verifies.
#[derive(Debug)]
pub struct Keyring {
    signing: SigningKey,
    verifying: Box<[VerifyingKey]>,
    jwks: Bytes,
    fingerprint: u64,
}

impl Keyring {
    /// Puts keys together, at most 64. The signing key verifies too; two keys with one id are
    /// refused.
    pub fn new(signing: SigningKey, verifying: Vec<VerifyingKey>) -> Result<Self, KeyFault> {
        let mut keys = vec![signing.verifying_key()];
        for key in verifying {
            if keys.iter().any(|known| known.id() == key.id()) {
                return Err(KeyFault::Duplicate(key.id().to_owned()));
            }
            keys.push(key);
        }
        if keys.len() > MAX_KEYS {
            return Err(KeyFault::TooMany);
        }
        Ok(Self {
            jwks: render(keys.iter()),
            fingerprint: fingerprint(
                keys.iter().map(|key| [key.id(), key.algorithm().as_str()]).collect(),
            ),
            verifying: keys.into(),
            signing,
        })
    }

    /// Verifies size, form, header, signature and claims, in this order: what is not signed by a
    /// key of ours is never read as a claim.
    pub fn verify(
        &self,
        token: &str,
        expected: &Expectations,
        now: Timestamp,
    ) -> Result<Claims, Invalid> {
        let signed = Signed::parse(token, expected.max_length)?;
        let key = self.find(&signed.header)?;
        Claims::read(&signed.payload(key)?, expected, now)
    }

    /// Signs the claims; the header has `alg`, `kid` and `typ: JWT`.
    pub fn issue(&self, claims: &Claims) -> Result<Secret, KeyFault> {
        issue::sign(&self.signing, claims)
    }

    /// The key that signs.
    pub const fn signing(&self) -> &SigningKey {
        &self.signing
    }

    /// The public keys as a JWK Set (RFC 7517), ready to be sent; HS256 keys are never in it.
    pub const fn jwks(&self) -> &Bytes {
        &self.jwks
    }

    /// Every key that verifies.
    pub(super) fn verifying(&self) -> &[VerifyingKey] {
        &self.verifying
    }

    /// A number that changes with the set of keys (a hash of the ids and algorithms, whatever
    /// their order): cached verifications hold only while it stays.
    pub const fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    fn find(&self, header: &Header) -> Result<&VerifyingKey, Invalid> {
        let Some(id) = &header.key_id else {
            let mut keys = self.verifying.iter().filter(|key| key.algorithm() == header.algorithm);
            return match (keys.next(), keys.next()) {
                (Some(key), None) => Ok(key),
                (Some(_), Some(_)) => Err(Invalid::MissingKeyId),
                (None, _) => Err(Invalid::Algorithm),
            };
        };
        let key = self.verifying.iter().find(|key| key.id() == id).ok_or(Invalid::UnknownKey)?;
        if key.algorithm() == header.algorithm { Ok(key) } else { Err(Invalid::Algorithm) }
    }
}

/// A JWK Set of those that are public.
pub(super) fn render<'a>(keys: impl Iterator<Item = &'a VerifyingKey>) -> Bytes {
    let public: Vec<_> =
        keys.filter_map(|key| Some(key.jwk()?.to_json(key.id(), key.algorithm()))).collect();
    json!({ "keys": public }).to_string().into()
}

#[cfg(test)]
mod tests;
