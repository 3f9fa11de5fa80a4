//! The signing keys: one signs at a time, all verify. Which one signs, and which no longer verify, depends on
//! the time only, so that all gateways with the same keys agree.

use bytes::Bytes;
use serde_json::json;

use super::fingerprint::fingerprint;
use super::header::Header;
use super::signed::Signed;
use super::{Claims, Expectations, Invalid, KeyFault, SigningKey, VerifyingKey, issue};
use crate::{Secret, Timestamp};

/// Maximum number of keys.
pub(super) const MAX_KEYS: usize = 64;

/// A private key and its validity.
#[derive(Debug)]
pub struct ScheduledKey {
    /// The key.
    pub key: SigningKey,
    /// Before this time it only verifies and is published, so that everybody knows it before it is used.
    pub signs_from: Timestamp,
    /// From this second on it neither verifies nor is published; [`None`] for no expiry.
    pub verifies_until: Option<Timestamp>,
}

/// A key that verifies, and its expiry.
#[derive(Clone, Debug)]
pub(super) struct Verifying {
    pub(super) key: VerifyingKey,
    until: Option<Timestamp>,
}

impl Verifying {
    pub(super) fn counts(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}

/// The signing keys, one of which signs at a time, and every key that verifies.
#[derive(Debug)]
pub struct Keyring {
    first: SigningKey,
    later: Box<[(SigningKey, Timestamp)]>,
    verifying: Box<[Verifying]>,
    jwks: Bytes,
    fingerprint: u64,
}

impl Keyring {
    /// Creates a keyring of at most 64 keys. The signing key also verifies, and may be repeated in `verifying`; other
    /// duplicates are rejected.
    pub fn new(signing: SigningKey, verifying: Vec<VerifyingKey>) -> Result<Self, KeyFault> {
        let signs_from = Timestamp::from_seconds(0);
        Self::scheduled(
            vec![ScheduledKey { key: signing, signs_from, verifies_until: None }],
            verifying.into_iter().map(|key| (key, None)).collect(),
        )
    }

    /// Like [`Keyring::new`], with signing keys in the order in which they sign: the last one that is due signs, or the
    /// first if none is due. The others verify until they expire.
    ///
    /// # Errors
    /// As [`Keyring::new`]; or there is no signing key.
    pub fn scheduled(
        signing: Vec<ScheduledKey>,
        verifying: Vec<(VerifyingKey, Option<Timestamp>)>,
    ) -> Result<Self, KeyFault> {
        let mut keys: Vec<Verifying> = Vec::with_capacity(signing.len() + verifying.len());
        let signs = signing
            .iter()
            .map(|it| Verifying { key: it.key.verifying_key(), until: it.verifies_until });
        let others = verifying.into_iter().map(|(key, until)| Verifying { key, until });
        for it in signs.chain(others) {
            if let Some(known) = keys.iter().find(|known| known.key.id() == it.key.id()) {
                // The public half beside its private one says nothing new.
                if known.key == it.key && known.until.is_none() {
                    continue;
                }
                return Err(KeyFault::Duplicate(it.key.id().to_owned()));
            }
            keys.push(it);
        }
        if keys.len() > MAX_KEYS {
            return Err(KeyFault::TooMany);
        }
        let mut signing = signing.into_iter().map(|it| (it.key, it.signs_from));
        let (first, _) = signing.next().ok_or(KeyFault::Unusable)?;
        Ok(Self {
            jwks: render(keys.iter().map(|it| &it.key)),
            fingerprint: fingerprint(
                keys.iter().map(|it| [it.key.id(), it.key.algorithm().as_str()]).collect(),
            ),
            verifying: keys.into(),
            first,
            later: signing.collect(),
        })
    }

    /// Verifies size, format, header, signature and claims, in this order; unsigned claims are never read.
    pub fn verify(
        &self,
        token: &str,
        expected: &Expectations,
        now: Timestamp,
    ) -> Result<Claims, Invalid> {
        let signed = Signed::parse(token, expected.max_length)?;
        let key = self.find(&signed.header, now)?;
        Claims::read(&signed.payload(key)?, expected, now)
    }

    /// Signs the claims with the key that signs at their time of issue; the header has `alg`, `kid` and `typ: JWT`.
    pub fn issue(&self, claims: &Claims) -> Result<Secret, KeyFault> {
        issue::sign(self.signing(claims.issued_at), claims)
    }

    /// The key that signs now.
    pub fn signing(&self, now: Timestamp) -> &SigningKey {
        let ready = self.later.iter().rev().find(|(_, from)| *from <= now);
        ready.map_or(&self.first, |(key, _)| key)
    }

    /// The private keys that verify now: those that sign, signed or will sign.
    pub fn private_keys(&self, now: Timestamp) -> impl Iterator<Item = &SigningKey> {
        let later = self.later.iter().map(|(key, _)| key);
        [&self.first].into_iter().chain(later).filter(move |key| self.verifies(key.id(), now))
    }

    /// Whether the key with this id verifies now.
    pub fn verifies(&self, id: &str, now: Timestamp) -> bool {
        self.verifying.iter().any(|it| it.key.id() == id && it.counts(now))
    }

    /// The public keys as a JWK Set (RFC 7517); never with HS256 keys.
    pub fn jwks(&self, now: Timestamp) -> Bytes {
        if self.verifying.iter().all(|it| it.counts(now)) {
            return self.jwks.clone();
        }
        render(self.verifying.iter().filter(|it| it.counts(now)).map(|it| &it.key))
    }

    /// All keys that verify, with their expiry.
    pub(super) fn verifying(&self) -> &[Verifying] {
        &self.verifying
    }

    /// A fingerprint of the keys (a hash of ids and algorithms, independent of the order): cached verifications are valid
    /// only for the same fingerprint.
    pub const fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    /// The earliest expiry of the keys that verify now; [`None`] if none expires. Cached verifications are valid until
    /// then.
    pub fn first_end(&self, now: Timestamp) -> Option<Timestamp> {
        self.verifying.iter().filter(|it| it.counts(now)).filter_map(|it| it.until).min()
    }

    fn find(&self, header: &Header, now: Timestamp) -> Result<&VerifyingKey, Invalid> {
        let mut counting = self.verifying.iter().filter(|it| it.counts(now)).map(|it| &it.key);
        let Some(id) = &header.key_id else {
            let mut keys = counting.filter(|key| key.algorithm() == header.algorithm);
            return match (keys.next(), keys.next()) {
                (Some(key), None) => Ok(key),
                (Some(_), Some(_)) => Err(Invalid::MissingKeyId),
                (None, _) => Err(Invalid::Algorithm),
            };
        };
        let key = counting.find(|key| key.id() == id).ok_or(Invalid::UnknownKey)?;
        if key.algorithm() == header.algorithm { Ok(key) } else { Err(Invalid::Algorithm) }
    }
}

/// Renders a JWK Set of the public keys.
pub(super) fn render<'a>(keys: impl Iterator<Item = &'a VerifyingKey>) -> Bytes {
    let public: Vec<_> =
        keys.filter_map(|key| Some(key.jwk()?.to_json(key.id(), key.algorithm()))).collect();
    json!({ "keys": public }).to_string().into()
}

#[cfg(test)]
mod tests;
