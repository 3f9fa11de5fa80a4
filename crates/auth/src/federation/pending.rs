//! The state of a pending login with a provider, kept in a cookie of the browser that started it.
//!
//! It is encrypted with a key derived from the signing key, bound to its state and provider, so that nobody else can
//! read or forge it, and every gateway with the same keys can decrypt it, whichever key signs by its clock. It cannot
//! be decrypted once that key is void. Nothing is kept on the server, so any number of abandoned logins does not
//! lock anybody out. Completed logins are remembered as long as they could be replayed, within a capacity limit;
//! beyond that, the provider accepts a code only once.

use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::keys::{SealingKey, Unopened};
use guarita_core::http::ReturnTo;
use guarita_core::jose::{Keyring, opaque};
use guarita_core::{Secret, Timestamp};

/// How long a user may take at the provider.
pub const PENDING_TTL: Duration = Duration::from_secs(600);
/// Length of [`PendingCookie::name`] in characters: 132 bits of a digest.
const NAME_LENGTH: usize = 22;
/// The purpose that the key is derived for.
const PURPOSE: &str = "provider-login";
/// Maximum number of remembered completed logins, in each of two generations.
const MAX_TRACES: usize = 16_384;

/// The state that is needed at the callback.
#[derive(Debug)]
pub(super) struct PendingFederatedLogin {
    pub(super) nonce: Secret,
    pub(super) verifier: Secret,
    pub(super) return_to: Option<ReturnTo>,
}

/// The cookie of a pending login.
#[derive(Debug)]
pub struct PendingCookie {
    /// The name, derived from the state.
    pub name: String,
    /// The expiry in seconds since the epoch, a dot, and the encrypted state.
    pub value: Secret,
}

impl PendingCookie {
    /// The name of the cookie for a state.
    pub fn name(state: &Secret) -> String {
        let mut name = opaque::digest(state.expose());
        name.truncate(NAME_LENGTH);
        name
    }

    /// Whether it is a valid name.
    pub fn is_name(text: &str) -> bool {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        text.len() == NAME_LENGTH && text.bytes().all(allowed)
    }

    /// The expiry of a value; 0 if it has none.
    pub fn ends_at(value: &str) -> i64 {
        value.split_once('.').and_then(|(end, _)| end.parse().ok()).unwrap_or(0)
    }
}

/// Derived keys, each with the id of its signing key; at most as many as the keyring has.
type CookieKeys = Vec<(Arc<str>, Arc<SealingKey>)>;

/// Encrypts and decrypts pending logins, with keys derived from a given keyring.
#[derive(Default)]
pub(super) struct LoginCookieCodec {
    keys: Mutex<CookieKeys>,
    traces: Mutex<Traces>,
}

impl fmt::Debug for LoginCookieCodec {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Keeping").finish_non_exhaustive()
    }
}

impl LoginCookieCodec {
    /// Encrypts a pending login for this state and provider, valid for ten minutes.
    pub(super) fn seal(
        &self,
        state: &Secret,
        provider: &str,
        pending: &PendingFederatedLogin,
        keyring: &Keyring,
        now: Timestamp,
    ) -> Result<PendingCookie, Unopened> {
        let ends_at = now.plus(PENDING_TTL).seconds();
        let signing = keyring.signing(now).id();
        let keys = self.keys(keyring, now)?;
        let (_, key) = keys.iter().find(|(id, _)| **id == *signing).ok_or(Unopened)?;
        let PendingFederatedLogin { nonce, verifier, return_to } = pending;
        let target = return_to.as_ref().map_or("", ReturnTo::as_str);
        let plain = Secret::new(format!("{}\n{}\n{target}", nonce.expose(), verifier.expose()));
        let sealed = key.seal(&bound_to(state, provider, ends_at), plain.expose().as_bytes())?;
        Ok(PendingCookie {
            name: PendingCookie::name(state),
            value: Secret::new(format!("{ends_at}.{sealed}")),
        })
    }

    /// Decrypts a pending login for this state and provider, once, and within ten minutes.
    pub(super) fn open(
        &self,
        state: &Secret,
        provider: &str,
        kept: &str,
        keyring: &Keyring,
        now: Timestamp,
    ) -> Option<PendingFederatedLogin> {
        let ends_at = PendingCookie::ends_at(kept);
        let (_, sealed) = kept.split_once('.')?;
        if now.seconds() >= ends_at {
            return None;
        }
        let bound_to = bound_to(state, provider, ends_at);
        let keys = self.keys(keyring, now).ok()?;
        let plain = keys.iter().find_map(|(_, key)| key.open(&bound_to, sealed).ok())?;
        let mut parts = str::from_utf8(&plain).ok()?.splitn(3, '\n');
        let (nonce, verifier, target) = (parts.next()?, parts.next()?, parts.next()?);
        let first = lock(&self.traces).is_first(opaque::digest(state.expose()), now);
        first.then(|| PendingFederatedLogin {
            nonce: Secret::new(nonce),
            verifier: Secret::new(verifier),
            return_to: ReturnTo::parse(target),
        })
    }

    /// The keys derived from all private keys of the keyring, and from former ones as long as their public keys verify:
    /// of a configured key the private half is removed before the public one.
    fn keys(&self, keyring: &Keyring, now: Timestamp) -> Result<CookieKeys, Unopened> {
        let mut keys = lock(&self.keys);
        keys.retain(|(id, _)| keyring.verifies(id, now));
        for private in keyring.private_keys(now) {
            if keys.iter().all(|(id, _)| **id != *private.id()) {
                let key = SealingKey::derive(PURPOSE, &private.seed())?;
                keys.push((private.id().into(), Arc::new(key)));
            }
        }
        Ok(keys.clone())
    }
}

fn bound_to(state: &Secret, provider: &str, ends_at: i64) -> String {
    format!("{PURPOSE}:{provider}:{ends_at}:{}", opaque::digest(state.expose()))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Completed logins by state, for at least ten minutes, up to the capacity.
#[derive(Default)]
struct Traces {
    current: HashSet<String>,
    previous: HashSet<String>,
    since: i64,
}

impl Traces {
    /// Whether the state is used for the first time, as far as remembered.
    fn is_first(&mut self, state: String, now: Timestamp) -> bool {
        let old = now.seconds().saturating_sub(self.since).unsigned_abs() >= PENDING_TTL.as_secs();
        if old || self.current.len() >= MAX_TRACES {
            self.previous = std::mem::take(&mut self.current);
            self.since = now.seconds();
        }
        !self.previous.contains(&state) && self.current.insert(state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use guarita_core::jose::{Algorithm, ScheduledKey, SigningKey};

    const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
    const SECOND: Duration = Duration::from_secs(1);

    fn key() -> SigningKey {
        let key = SigningKey::generate(Algorithm::EdDsa).unwrap();
        SigningKey::parse(Algorithm::EdDsa, &key).unwrap()
    }

    fn keyring() -> Keyring {
        Keyring::new(key(), Vec::new()).unwrap()
    }

    fn scheduled(
        key: SigningKey,
        signs_from: Timestamp,
        verifies_until: Option<Timestamp>,
    ) -> ScheduledKey {
        ScheduledKey { key, signs_from, verifies_until }
    }

    fn pending(target: &str) -> PendingFederatedLogin {
        PendingFederatedLogin {
            nonce: Secret::new("nonce"),
            verifier: Secret::new("verifier"),
            return_to: ReturnTo::parse(target),
        }
    }

    fn state(text: &str) -> Secret {
        Secret::new(text)
    }

    #[test]
    fn a_login_opens_once_for_its_state_its_provider_and_its_time() {
        let keyring = keyring();
        let keeping = LoginCookieCodec::default();
        let kept = keeping.seal(&state("s"), "idp", &pending("/after?a=b"), &keyring, NOW).unwrap();
        assert_eq!((kept.name.len(), &kept.name), (NAME_LENGTH, &PendingCookie::name(&state("s"))));
        let value = kept.value.expose().to_owned();
        assert!(!value.contains("after"), "{value}");
        let later = NOW.plus(PENDING_TTL);
        let open = |of: &str, provider, value: &str, now| {
            keeping.open(&state(of), provider, value, &keyring, now).is_some()
        };
        assert!(!open("other", "idp", &value, NOW));
        assert!(!open("s", "other", &value, NOW));
        assert!(!open("s", "idp", &value, later));
        let (_, sealed) = value.split_once('.').unwrap();
        let longer = format!("{}.{sealed}", later.plus(PENDING_TTL).seconds());
        assert!(!open("s", "idp", &longer, later));
        for bad in ["", ".", "9999999999.", "9999999999.AAAA", sealed] {
            assert!(!open("s", "idp", bad, NOW), "{bad}");
        }
        let opened = keeping.open(&state("s"), "idp", &value, &keyring, NOW).unwrap();
        assert_eq!(opened.nonce, Secret::new("nonce"));
        assert_eq!(opened.verifier, Secret::new("verifier"));
        assert_eq!(opened.return_to, ReturnTo::parse("/after?a=b"));
        assert!(!open("s", "idp", &value, NOW));
    }

    #[test]
    fn every_gateway_with_the_key_opens_it_and_no_other() {
        let shared = keyring();
        let (one, two) = (LoginCookieCodec::default(), LoginCookieCodec::default());
        let kept = one.seal(&state("s"), "idp", &pending(""), &shared, NOW).unwrap();
        let value = kept.value.expose();
        let other = LoginCookieCodec::default();
        assert!(other.open(&state("s"), "idp", value, &keyring(), NOW).is_none());
        assert!(two.open(&state("s"), "idp", value, &shared, NOW).unwrap().return_to.is_none());
    }

    /// Whichever key signs by the clock of each, and whether or not it was asked before.
    #[test]
    fn a_login_outlives_a_planned_switch_at_every_gateway() {
        let switch = NOW.plus(Duration::from_secs(60));
        let (before, after) = (switch.minus(SECOND), switch.plus(SECOND));
        let first = scheduled(key(), Timestamp::from_seconds(0), Some(switch.plus(PENDING_TTL)));
        let second = scheduled(key(), switch, None);
        let keyring = Keyring::scheduled(vec![first, second], Vec::new()).unwrap();
        for (sealed_at, opened_at) in [(before, after), (switch, before), (before, before)] {
            let (one, fresh) = (LoginCookieCodec::default(), LoginCookieCodec::default());
            let kept = one.seal(&state("s"), "idp", &pending("/"), &keyring, sealed_at).unwrap();
            let opened = fresh.open(&state("s"), "idp", kept.value.expose(), &keyring, opened_at);
            assert!(opened.is_some(), "{sealed_at:?} {opened_at:?}");
        }
    }

    #[test]
    fn a_login_outlives_a_change_of_a_given_key_that_verifies_on_and_no_key_that_is_void() {
        let (old, new) = (key(), key());
        let public = old.verifying_key();
        let before = Keyring::new(old, Vec::new()).unwrap();
        let keeping = LoginCookieCodec::default();
        let seal = |text, keyring: &Keyring| {
            keeping.seal(&state(text), "idp", &pending("/"), keyring, NOW).unwrap()
        };
        let open = |text, kept: &PendingCookie, keyring: &Keyring| {
            keeping.open(&state(text), "idp", kept.value.expose(), keyring, NOW).is_some()
        };
        let (first, second) = (seal("1", &before), seal("2", &before));
        let after = Keyring::new(new, vec![public]).unwrap();
        let third = seal("3", &after);
        assert!(open("1", &first, &after));
        // All keys before this one were stolen: what they sealed others could have made.
        let fresh = keyring();
        assert!(!open("2", &second, &fresh) && !open("3", &third, &fresh));
        assert!(open("4", &seal("4", &fresh), &fresh));
        assert_eq!(lock(&keeping.keys).len(), 1);
    }

    #[test]
    fn traces_are_bounded_and_last_as_long_as_a_login() {
        let mut traces = Traces::default();
        assert!(traces.is_first("a".into(), NOW));
        assert!(!traces.is_first("a".into(), NOW.plus(PENDING_TTL)));
        for number in 0..3 * MAX_TRACES {
            assert!(traces.is_first(number.to_string(), NOW.plus(PENDING_TTL)));
        }
        assert!(traces.current.len() + traces.previous.len() <= 2 * MAX_TRACES);
    }
}
