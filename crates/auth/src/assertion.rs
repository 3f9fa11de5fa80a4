//! Assertions for upstreams, cached while they are fresh.
//!
//! The cache key covers every claim: a change of roles yields a new assertion at once. A caller's first request
//! to an upstream costs one ES256 signature (tens of microseconds), and after that about one request in half a
//! minute does.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use guarita_core::jose::{AssertionKeys, KeyFault};
use guarita_core::{Principal, Source, Timestamp, UserId};
use guarita_kv::{bounded, weight_of};

/// How long an assertion is reused: half of its lifetime, so that the upstream has the other half.
const FRESH: Duration = Duration::from_secs(30);
/// Estimated overhead of an entry besides its texts: structs, header values, table slot.
const FIXED_ENTRY_BYTES: usize = 512;

/// The cache key: all claims except the times, and the audience.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Facts {
    subject: HeaderValue,
    user: Option<UserId>,
    session: Option<HeaderValue>,
    roles: HeaderValue,
    source: Source,
    second_factor: bool,
    audience: Arc<str>,
}

impl Facts {
    /// The texts are shared with the identity, not copied.
    fn of(principal: &Principal, audience: &Arc<str>) -> Self {
        let identity = principal.identity();
        Self {
            subject: identity.subject_header().clone(),
            user: identity.user(),
            session: identity.session_header().cloned(),
            roles: principal.roles().header().clone(),
            source: identity.source(),
            second_factor: principal.second_factor(),
            audience: Arc::clone(audience),
        }
    }
}

/// A signed assertion.
#[derive(Debug)]
struct CachedAssertion {
    value: HeaderValue,
    at: Timestamp,
    key_id: Box<str>,
    issuer: Arc<str>,
}

impl CachedAssertion {
    /// Whether it is still fresh, and of the current key and issuer.
    fn holds(&self, keys: &AssertionKeys, now: Timestamp) -> bool {
        let fresh = self.at <= now && now < self.at.plus(FRESH);
        fresh && *self.key_id == *keys.signing(now).id() && self.issuer == *keys.issuer()
    }
}

/// The cache of assertions, bounded by number and by size.
#[derive(Debug)]
pub struct Assertions {
    made: Cache<Facts, Arc<CachedAssertion>, AssertionWeight>,
}

impl Assertions {
    /// An empty cache of at most `capacity` assertions and `capacity` x 2 KiB.
    pub fn new(capacity: usize) -> Self {
        Self { made: bounded(capacity, AssertionWeight) }
    }

    /// An assertion about the caller for this audience, valid for at least 30 s from `now`.
    ///
    /// # Errors
    /// It cannot be signed.
    pub fn find_or_issue(
        &self,
        keys: &AssertionKeys,
        principal: &Principal,
        audience: &Arc<str>,
        now: Timestamp,
    ) -> Result<HeaderValue, KeyFault> {
        let facts = Facts::of(principal, audience);
        if let Some(made) = self.made.get(&facts).filter(|made| made.holds(keys, now)) {
            return Ok(made.value.clone());
        }
        let text = keys.issue(principal, audience, now)?;
        let mut value = HeaderValue::try_from(text.expose()).map_err(|_| KeyFault::Cryptography)?;
        value.set_sensitive(true);
        let made = CachedAssertion {
            value: value.clone(),
            at: now,
            key_id: keys.signing(now).id().into(),
            issuer: Arc::clone(keys.issuer()),
        };
        self.made.insert(facts, Arc::new(made));
        Ok(value)
    }

    /// The number of cached assertions.
    pub fn len(&self) -> usize {
        self.made.len()
    }

    /// Whether the cache is empty.
    pub fn is_empty(&self) -> bool {
        self.made.is_empty()
    }
}

#[derive(Clone, Debug)]
struct AssertionWeight;

impl Weighter<Facts, Arc<CachedAssertion>> for AssertionWeight {
    fn weight(&self, facts: &Facts, made: &Arc<CachedAssertion>) -> u64 {
        let texts = facts.subject.len() + facts.roles.len() + made.value.len();
        let bytes = texts + made.key_id.len() + FIXED_ENTRY_BYTES;
        weight_of(bytes)
    }
}

#[cfg(test)]
mod tests;
