//! Verification of the ID token of a login (OpenID Connect Core 1.0 section 3.1.3.7).
//!
//! It is verified like an access token of the provider: by a key that the provider publishes, with the one algorithm
//! of that key, and only then by its claims.

use aws_lc_rs::digest::{self, SHA256, SHA384, SHA512};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use super::claims;
use super::header::HeaderKind;
use super::key_set::KeySet;
use super::object::Members;
use super::provider::{self, ProviderClaims, ProviderExpectations};
use super::signed::Signed;
use super::{Invalid, SignatureAlgorithm};
use crate::{Secret, Timestamp};

/// Why an ID token is invalid. For logs only: clients get the same response for all reasons.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.as_str())]
pub enum InvalidIdToken {
    /// A rule of all tokens of the provider.
    Token(Invalid),
    /// `azp` is not the client, or is missing beside several audiences.
    AuthorizedParty,
    /// `nonce` is missing or that of another login.
    Nonce,
    /// `at_hash` does not match the access token.
    AccessTokenHash,
}

impl InvalidIdToken {
    /// The reason's name in logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Token(reason) => reason.as_str(),
            Self::AuthorizedParty => "authorized_party",
            Self::Nonce => "nonce",
            Self::AccessTokenHash => "access_token_hash",
        }
    }
}

impl From<Invalid> for InvalidIdToken {
    fn from(reason: Invalid) -> Self {
        Self::Token(reason)
    }
}

/// The requirements on the ID token of one login.
#[derive(Clone, Copy, Debug)]
pub struct IdTokenExpectations<'a> {
    /// Those on all tokens of the provider; its audiences do not apply.
    pub provider: &'a ProviderExpectations,
    /// `client_id`, which must be in `aud`.
    pub client_id: &'a str,
    /// `nonce` of the authorization request.
    pub nonce: &'a Secret,
    /// The access token that was issued with the ID token.
    pub access_token: &'a Secret,
}

impl IdTokenExpectations<'_> {
    /// Verifies size, format, header, signature and claims, in this order. HS256 is never accepted.
    ///
    /// # Errors
    /// Why the token is invalid. [`Invalid::UnknownKey`] if fetching new keys may help.
    pub fn verify(
        &self,
        token: &str,
        published: &KeySet,
        now: Timestamp,
    ) -> Result<ProviderClaims, InvalidIdToken> {
        let signed = Signed::parse(token, self.provider.token.max_length)?;
        match signed.header.kind {
            HeaderKind::Jwt => {}
            HeaderKind::AccessToken => return Err(Invalid::Type.into()),
        }
        let algorithm = signed.header.algorithm;
        let hash = hash_of(algorithm).ok_or(Invalid::Algorithm)?;
        let members = signed.payload(published.find(&signed.header)?)?;
        claims::issuer(&members, &self.provider.token)?;
        self.check_audience(&members)?;
        if !members.get("nonce").and_then(Value::as_str).is_some_and(|it| self.nonce.matches(it)) {
            return Err(InvalidIdToken::Nonce);
        }
        self.check_access_token(&members, hash)?;
        Ok(provider::collect(&members, self.provider, self.client_id, now)?)
    }

    /// `aud` must contain the client. With other audiences beside it, `azp` must be present; where it is present, it
    /// must be the client.
    fn check_audience(&self, members: &Members) -> Result<(), InvalidIdToken> {
        let audiences = claims::audiences(members)?;
        if !audiences.contains(&self.client_id) {
            return Err(Invalid::Audience.into());
        }
        let alone = audiences.iter().all(|audience| *audience == self.client_id);
        let party = members.get("azp");
        match party {
            None if alone => Ok(()),
            Some(Value::String(party)) if party == self.client_id => Ok(()),
            None | Some(_) => Err(InvalidIdToken::AuthorizedParty),
        }
    }

    /// `at_hash`, if present, is the left half of the hash of the access token, in base64url (OpenID Connect Core 1.0
    /// section 3.1.3.6).
    fn check_access_token(
        &self,
        members: &Members,
        hash: &'static digest::Algorithm,
    ) -> Result<(), InvalidIdToken> {
        let Some(said) = members.get("at_hash") else { return Ok(()) };
        let whole = digest::digest(hash, self.access_token.expose().as_bytes());
        let (left, _) = whole.as_ref().split_at(hash.output_len() / 2);
        if said.as_str() == Some(&URL_SAFE_NO_PAD.encode(left)) {
            Ok(())
        } else {
            Err(InvalidIdToken::AccessTokenHash)
        }
    }
}

/// The hash that a signature algorithm uses (for Ed25519: RFC 8032 section 5.1); [`None`] if ID tokens must not be
/// signed with it.
const fn hash_of(algorithm: SignatureAlgorithm) -> Option<&'static digest::Algorithm> {
    use SignatureAlgorithm::{
        EdDsa, Es256, Es384, Hs256, Ps256, Ps384, Ps512, Rs256, Rs384, Rs512,
    };
    match algorithm {
        Rs256 | Ps256 | Es256 => Some(&SHA256),
        Rs384 | Ps384 | Es384 => Some(&SHA384),
        Rs512 | Ps512 | EdDsa => Some(&SHA512),
        Hs256 => None,
    }
}

#[cfg(test)]
#[path = "id_token_tests.rs"]
mod tests;
