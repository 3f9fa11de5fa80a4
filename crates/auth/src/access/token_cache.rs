//! The cache of verified tokens, by their bytes and the keys that verified them.
//!
//! Cached are the fact that the signature is valid, and the identity with its header values. Everything else is
//! checked again on every hit: the current keys, issuer, audience, size and times. So the cache need not be
//! cleared at a reload, and no entry is used after `exp`.

use std::sync::{Arc, Weak};

use quick_cache::Weighter;
use quick_cache::sync::Cache;

use super::verified_credential::VerifiedCredential;
use crate::federation::LinkedAccount;
use crate::snapshot::{Provider, Providers};
use guarita_core::identity::InvalidIdentity;
use guarita_core::jose::{Claims, Expectations, Keyring, ProviderClaims};
use guarita_core::{Identity, SessionId, Source, Timestamp};
use guarita_kv::{bounded, weight_of};

/// Estimated overhead of an entry besides its texts: structs, header values, table slot.
const FIXED_ENTRY_BYTES: usize = 768;

/// A verified token.
#[derive(Debug)]
pub struct VerifiedToken {
    identity: Arc<Identity>,
    /// [`None`] for a provider token without a local account.
    session: Option<SessionId>,
    issued_at: Timestamp,
    not_before: Timestamp,
    expires_at: Timestamp,
    by: VerifiedBy,
}

/// The issuer whose keys verified it.
#[derive(Debug)]
enum VerifiedBy {
    Ourselves {
        /// Shared with the expectations, so that the comparison is local in memory.
        issuer: Arc<str>,
        audience: Arc<str>,
        fingerprint: u64,
        /// The earliest expiry of the keys at that time; after it, the key is checked again.
        until: Option<Timestamp>,
    },
    /// The provider with the settings that the token was verified with; changed settings make a new provider.
    Provider { provider: Weak<Provider>, fingerprint: u64 },
}

/// The accepted issuers.
#[derive(Clone, Copy, Debug)]
pub struct Issuers<'a> {
    /// Guarita's own keys.
    pub keyring: &'a Keyring,
    /// The requirements on Guarita's own tokens.
    pub expectations: &'a Expectations,
    /// The identity providers.
    pub providers: &'a Providers,
}

impl VerifiedToken {
    /// Creates it from claims that the keyring has just verified.
    ///
    /// # Errors
    /// A claim is not valid in a header field.
    pub fn new(
        claims: Claims,
        source: Source,
        keyring: &Keyring,
        expected: &Expectations,
        now: Timestamp,
    ) -> Result<Self, InvalidIdentity> {
        let identity = Identity::new(
            claims.subject,
            claims.user,
            Some(claims.session),
            claims.roles,
            source,
            Some(&claims.token_id),
        )?
        .with_second_factor(claims.second_factor_at.is_some());
        Ok(Self {
            identity: Arc::new(identity),
            session: Some(claims.session),
            issued_at: claims.issued_at,
            not_before: claims.not_before,
            expires_at: claims.expires_at,
            by: VerifiedBy::Ourselves {
                issuer: shared(&claims.issuer, [&expected.issuer]),
                audience: shared(&claims.audience, &expected.audiences),
                fingerprint: keyring.fingerprint(),
                until: keyring.first_end(now),
            },
        })
    }

    /// Creates it from claims that a provider's keys with this fingerprint have just verified, and from the local
    /// account, if any.
    ///
    /// # Errors
    /// A claim is not valid in a header field.
    pub(super) fn foreign(
        claims: ProviderClaims,
        admitted: Option<LinkedAccount>,
        source: Source,
        provider: &Arc<Provider>,
        fingerprint: u64,
    ) -> Result<Self, InvalidIdentity> {
        let marks = Arc::new(claims.marks(provider.issuer()));
        let session = admitted.as_ref().map(|admitted| admitted.session);
        let user = admitted.as_ref().map(|admitted| admitted.user);
        // With an account, its name: one person is one subject, however they come.
        let subject = admitted.map_or(claims.subject, |admitted| admitted.username);
        let token_id = claims.token_id.as_deref();
        let identity = Identity::new(subject, user, session, claims.roles, source, token_id)?
            .with_second_factor(claims.second_factor)
            .with_scopes(claims.scopes)
            .with_provider_roles()
            .with_marks(marks)
            .of_provider();
        Ok(Self {
            identity: Arc::new(identity),
            session,
            issued_at: claims.issued_at,
            not_before: claims.not_before,
            expires_at: claims.expires_at,
            by: VerifiedBy::Provider { provider: Arc::downgrade(provider), fingerprint },
        })
    }

    /// The identity.
    pub const fn identity(&self) -> &Arc<Identity> {
        &self.identity
    }

    /// The verified credential, as of its `iat`.
    pub(super) fn proof(&self) -> VerifiedCredential {
        let identity = Arc::clone(&self.identity);
        VerifiedCredential {
            identity,
            session: self.session,
            as_of: self.issued_at,
            ends_at: Some(self.expires_at),
            ambient: self.identity.source() == Source::Session,
        }
    }

    /// Whether it is still valid.
    fn holds(&self, issuers: Issuers<'_>, now: Timestamp) -> bool {
        let Self { issued_at, not_before, expires_at, .. } = *self;
        match &self.by {
            VerifiedBy::Ourselves { issuer, audience, fingerprint, until } => {
                let expected = issuers.expectations;
                *fingerprint == issuers.keyring.fingerprint()
                    && until.is_none_or(|until| now < until)
                    && *issuer == expected.issuer
                    && expected.accepts_audience(audience)
                    && expected.check_times(issued_at, not_before, expires_at, now).is_ok()
            }
            VerifiedBy::Provider { provider, fingerprint } => {
                let known = |it: &&Arc<Provider>| std::ptr::eq(Arc::as_ptr(it), provider.as_ptr());
                issuers.providers.iter().find(known).is_some_and(|provider| {
                    provider.holds(*fingerprint, issued_at, not_before, expires_at, now)
                })
            }
        }
    }

    /// Size of the texts that only it holds, in bytes.
    fn texts(&self) -> usize {
        match &self.by {
            VerifiedBy::Ourselves { issuer, audience, .. } => issuer.len() + audience.len(),
            VerifiedBy::Provider { .. } => 0,
        }
    }
}

fn shared<'a>(text: &str, known: impl IntoIterator<Item = &'a Arc<str>>) -> Arc<str> {
    known.into_iter().find(|known| ***known == *text).map_or_else(|| text.into(), Arc::clone)
}

/// The cache of verified tokens, bounded by number and by size. Rejections are not cached.
#[derive(Debug)]
pub struct VerifiedTokens {
    tokens: Cache<Box<str>, Arc<VerifiedToken>, TokenWeight>,
}

impl VerifiedTokens {
    /// An empty cache of at most `capacity` tokens and `capacity` x 2 KiB.
    pub fn new(capacity: usize) -> Self {
        Self { tokens: bounded(capacity, TokenWeight) }
    }

    /// The cached token, if it is still valid.
    pub fn find(
        &self,
        token: &str,
        issuers: Issuers<'_>,
        now: Timestamp,
    ) -> Option<Arc<VerifiedToken>> {
        if token.len() > issuers.expectations.max_length {
            return None;
        }
        self.tokens.get(token).filter(|verified| verified.holds(issuers, now))
    }

    /// Caches a token, replacing an older entry of the same bytes.
    pub fn insert(&self, token: &str, verified: Arc<VerifiedToken>) {
        self.tokens.insert(token.into(), verified);
    }

    /// The number of cached tokens.
    pub fn len(&self) -> usize {
        self.tokens.len()
    }

    /// Whether the cache is empty.
    pub fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }
}

#[derive(Clone, Debug)]
struct TokenWeight;

impl Weighter<Box<str>, Arc<VerifiedToken>> for TokenWeight {
    fn weight(&self, token: &Box<str>, verified: &Arc<VerifiedToken>) -> u64 {
        let identity = &verified.identity;
        // Roles are held as names and once more as a header value.
        let roles = identity.roles().header().len() * 2;
        let texts = token.len() + roles + identity.subject().as_str().len() * 2;
        let bytes = texts + verified.texts() + FIXED_ENTRY_BYTES;
        weight_of(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::{claims, expectations, keyring, now};
    use super::*;
    use guarita_core::jose::{Algorithm, ScheduledKey, SigningKey};
    use guarita_core::time::Timestamp;
    use guarita_kv::bounded::MEAN_ENTRY_BYTES;
    use std::time::Duration;

    fn verified(keyring: &Keyring) -> Arc<VerifiedToken> {
        let verified =
            VerifiedToken::new(claims(), Source::Bearer, keyring, &expectations(), now());
        Arc::new(verified.unwrap())
    }

    fn find(
        tokens: &VerifiedTokens,
        text: &str,
        keyring: &Keyring,
        expectations: &Expectations,
        now: Timestamp,
    ) -> Option<Arc<VerifiedToken>> {
        let providers = &Providers::default();
        tokens.find(text, Issuers { keyring, expectations, providers }, now)
    }

    fn later(seconds: u64) -> Timestamp {
        now().plus(Duration::from_secs(seconds))
    }

    #[test]
    fn a_verified_token_is_found_by_all_of_its_bytes() {
        let (keyring, tokens) = (keyring(), VerifiedTokens::new(100));
        let token = keyring.issue(&claims()).unwrap();
        let find = |text: &str| find(&tokens, text, &keyring, &expectations(), now());
        assert!(find(token.expose()).is_none());
        tokens.insert(token.expose(), verified(&keyring));
        assert_eq!(find(token.expose()).unwrap().identity().subject().as_str(), "alice");
        // jwt-forgery-020
        assert!(find(&token.expose()[..token.expose().len() - 1]).is_none());
        assert!(find(&format!("{}A", token.expose())).is_none());
        let (message, _) = token.expose().rsplit_once('.').unwrap();
        assert!(find(&format!("{message}.AAAA")).is_none());
    }

    #[test]
    fn a_hit_never_outlives_the_token_nor_comes_before_it() {
        let (keyring, tokens) = (keyring(), VerifiedTokens::new(100));
        tokens.insert("t", verified(&keyring));
        let at = |now| find(&tokens, "t", &keyring, &expectations(), now).is_some();
        // exp is now + 600 s, leeway 30 s: the edges are those of verify.
        assert!(at(later(629)));
        assert!(!at(later(630)));
        assert!(!at(now().minus(Duration::from_secs(31))));
        assert!(at(now().minus(Duration::from_secs(30))));
    }

    #[test]
    fn a_hit_holds_only_under_the_keys_that_verified_it() {
        let tokens = VerifiedTokens::new(100);
        let (before, after) = (keyring(), keyring());
        tokens.insert("t", verified(&before));
        assert!(find(&tokens, "t", &before, &expectations(), now()).is_some());
        assert!(find(&tokens, "t", &after, &expectations(), now()).is_none());
    }

    /// Nothing tells when a key ends: its time does.
    #[test]
    fn a_hit_never_outlives_the_key_that_verified_it() {
        let key = || {
            let text = SigningKey::generate(Algorithm::EdDsa).unwrap();
            SigningKey::parse(Algorithm::EdDsa, &text).unwrap()
        };
        let ends = |key, seconds| (key, Some(later(seconds)));
        let (other, gone) = (key(), key());
        let token = Keyring::new(other, Vec::new()).unwrap();
        let public = token.private_keys(now()).next().unwrap().verifying_key();
        let signing = ScheduledKey { key: key(), signs_from: now(), verifies_until: None };
        let others = vec![ends(public, 60), ends(gone.verifying_key(), 0)];
        let keyring = Keyring::scheduled(vec![signing], others).unwrap();
        let token = token.issue(&claims()).unwrap();
        let tokens = VerifiedTokens::new(100);
        tokens.insert(token.expose(), verified(&keyring));
        for (at, holds) in [(later(59), true), (later(60), false), (later(120), false)] {
            let found = find(&tokens, token.expose(), &keyring, &expectations(), at);
            assert_eq!(found.is_some(), holds, "{at:?}");
            let verified = keyring.verify(token.expose(), &expectations(), at);
            assert_eq!(verified.is_ok(), holds, "{at:?}");
        }
    }

    #[test]
    fn a_hit_meets_the_expectations_of_now() {
        // jwt-forgery-020, session-revocation-003
        let (keyring, tokens) = (keyring(), VerifiedTokens::new(100));
        tokens.insert("t", verified(&keyring));
        let find =
            |expected: Expectations| find(&tokens, "t", &keyring, &expected, now()).is_some();
        assert!(find(expectations()));
        assert!(!find(Expectations { issuer: "other".into(), ..expectations() }));
        assert!(!find(Expectations { audiences: vec!["other".into()], ..expectations() }));
        assert!(!find(Expectations { audiences: Vec::new(), ..expectations() }));
        assert!(!find(Expectations { max_length: 0, ..expectations() }));
    }

    #[test]
    fn tokens_are_bounded_in_number() {
        let (keyring, tokens) = (keyring(), VerifiedTokens::new(100));
        for at in 0..2_000 {
            tokens.insert(&format!("token-{at}"), verified(&keyring));
        }
        assert!(tokens.len() <= 100 && tokens.len() > 50, "{}", tokens.len());
    }

    #[test]
    fn tokens_are_bounded_in_bytes() {
        let (keyring, tokens) = (keyring(), VerifiedTokens::new(100));
        let length = 16 * 1024;
        for at in 0..500 {
            tokens.insert(&format!("{at:0>length$}"), verified(&keyring));
        }
        let most = usize::try_from(MEAN_ENTRY_BYTES).unwrap() * 100 / length;
        assert!(tokens.len() <= most && tokens.len() > most / 2, "{}", tokens.len());
    }
}
