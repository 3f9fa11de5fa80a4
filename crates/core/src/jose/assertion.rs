//! Assertions: short-lived JWTs that assert the caller's identity to one upstream.
//!
//! An assertion is not a credential. Three independent measures prevent that it is accepted as an access
//! token: its keys sign nothing else and are in no [`Keyring`]; it has its own `typ` (RFC 8725 section 3.11);
//! and its audience is an upstream.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jsonwebtoken::Header;
use serde::Serialize;

use super::keyring::{MAX_KEYS, Verifying, render};
use super::{Algorithm, KeyFault, Keyring, SigningKey, VerifyingKey};
use crate::{Principal, Secret, Timestamp, UserId, random};

/// Lifetime of an assertion.
pub const LIFE: Duration = Duration::from_secs(60);
/// How long a removed key stays published: the lifetime of what it signed last, and the same again for clocks that
/// differ.
const RETIREMENT: Duration = Duration::from_secs(120);
/// `typ` of the header.
const KIND: &str = "assertion+jwt";

/// The payload. `app_roles` is always present, even if empty.
#[derive(Serialize)]
struct Payload<'a> {
    iss: &'a str,
    aud: &'a str,
    sub: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    uid: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sid: Option<&'a str>,
    app_roles: Vec<&'a str>,
    source: &'a str,
    /// Present if a second factor was verified (RFC 8176).
    #[serde(skip_serializing_if = "Option::is_none")]
    amr: Option<[&'a str; 1]>,
    iat: i64,
    nbf: i64,
    exp: i64,
    jti: String,
}

/// A private key, and from when it signs.
#[derive(Debug)]
pub struct AssertionKey {
    /// ES256.
    pub key: SigningKey,
    /// Before this time it is only published, so that verifiers know it before it is used.
    pub signs_from: Timestamp,
}

/// The keys of assertions: one signs at a time; all are published together with those of access tokens.
#[derive(Debug)]
pub struct AssertionKeys {
    issuer: Arc<str>,
    first: SigningKey,
    later: Box<[AssertionKey]>,
    /// The keys of access tokens.
    tokens: Box<[Verifying]>,
    published: Box<[VerifyingKey]>,
    retired: Box<[Retired]>,
    jwks: Bytes,
}

/// A removed key that is still published.
#[derive(Clone, Debug)]
pub struct Retired {
    key: VerifyingKey,
    until: Timestamp,
}

impl AssertionKeys {
    /// Creates it from keys that sign, oldest first, and `others` that are only published. `retired` is the result of
    /// [`AssertionKeys::retire`] of the previous keys.
    ///
    /// # Errors
    /// No key signs, one is not an ES256 key, one is a duplicate or also in the keyring, or there are more than 64.
    pub fn new(
        issuer: Arc<str>,
        signing: Vec<AssertionKey>,
        others: Vec<VerifyingKey>,
        keyring: &Keyring,
        retired: Vec<Retired>,
    ) -> Result<Self, KeyFault> {
        let tokens: Box<[Verifying]> = keyring.verifying().into();
        let mut published: Vec<VerifyingKey> = Vec::with_capacity(signing.len() + others.len());
        let all = signing.iter().map(|it| it.key.verifying_key());
        for key in all.chain(others) {
            if key.algorithm() != Algorithm::Es256 {
                return Err(KeyFault::Unusable);
            }
            let mut known = published.iter().chain(tokens.iter().map(|it| &it.key));
            if known.any(|other| other.id() == key.id()) {
                return Err(KeyFault::Duplicate(key.id().to_owned()));
            }
            published.push(key);
        }
        if published.len() > MAX_KEYS {
            return Err(KeyFault::TooMany);
        }
        let mut signing = signing.into_iter();
        let first = signing.next().ok_or(KeyFault::Unusable)?.key;
        let gone = |it: &Retired| {
            let mut known = published.iter().chain(tokens.iter().map(|it| &it.key));
            !known.any(|other| other.id() == it.key.id())
        };
        let retired: Box<[_]> = retired.into_iter().filter(gone).take(MAX_KEYS).collect();
        Ok(Self {
            issuer,
            first,
            later: signing.collect(),
            jwks: render(tokens.iter().map(|it| &it.key).chain(&published)),
            tokens,
            published: published.into(),
            retired,
        })
    }

    /// The keys that stay published for a while after these are replaced.
    pub fn retire(&self, now: Timestamp) -> Vec<Retired> {
        let until = now.plus(RETIREMENT);
        let fresh = self.published.iter().map(|key| Retired { key: key.clone(), until });
        fresh.chain(self.retired.iter().filter(|it| it.until > now).cloned()).collect()
    }

    /// The key that signs now: the newest that is due, else the oldest.
    pub fn signing(&self, now: Timestamp) -> &SigningKey {
        let ready = self.later.iter().rev().find(|it| it.signs_from <= now);
        ready.map_or(&self.first, |it| &it.key)
    }

    /// `iss` of the assertions.
    pub const fn issuer(&self) -> &Arc<str> {
        &self.issuer
    }

    /// All public keys as a JWK Set (RFC 7517), including those of the keyring.
    pub fn jwks(&self, now: Timestamp) -> Bytes {
        let mut retired = self.retired.iter().filter(|it| it.until > now).peekable();
        if retired.peek().is_none() && self.tokens.iter().all(|it| it.counts(now)) {
            return self.jwks.clone();
        }
        let tokens = self.tokens.iter().filter(|it| it.counts(now)).map(|it| &it.key);
        render(tokens.chain(&self.published).chain(retired.map(|it| &it.key)))
    }

    /// Issues an assertion about the caller for one upstream; it is valid for [`LIFE`] from `now`.
    ///
    /// # Errors
    /// The cryptographic library failed.
    pub fn issue(
        &self,
        principal: &Principal,
        audience: &str,
        now: Timestamp,
    ) -> Result<Secret, KeyFault> {
        let key = self.signing(now);
        let mut header = Header::new(key.algorithm().jose());
        header.typ = Some(KIND.to_owned());
        header.kid = Some(key.id().to_owned());
        let identity = principal.identity();
        let payload = Payload {
            iss: &self.issuer,
            aud: audience,
            sub: identity.subject().as_str(),
            uid: identity.user().map(UserId::get),
            sid: identity.session_header().and_then(|text| text.to_str().ok()),
            app_roles: principal.roles().iter().collect(),
            source: identity.source().as_str(),
            amr: principal.second_factor().then_some(["mfa"]),
            iat: now.seconds(),
            nbf: now.seconds(),
            exp: now.plus(LIFE).seconds(),
            jti: random::ordered_uuid().to_string(),
        };
        jsonwebtoken::encode(&header, &payload, &key.encoding)
            .map(Secret::new)
            .map_err(|_| KeyFault::Cryptography)
    }
}

#[cfg(test)]
mod tests;
