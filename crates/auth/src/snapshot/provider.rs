//! An identity provider whose tokens are accepted, with its published keys.
//!
//! The settings change by a reload. The keys are fetched in the background, and are kept as long as the settings
//! are unchanged.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;
use tokio::time::timeout;

use guarita_core::jose::{
    IdTokenExpectations, Invalid, InvalidIdToken, KeySet, ProviderClaims, ProviderExpectations,
    ProviderKeys, VerifyingKey,
};
use guarita_core::{Role, Secret, Timestamp};

/// How long a request waits for keys that are being fetched.
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// `[[providers]]`
#[derive(Clone, Debug, PartialEq)]
pub struct ProviderSettings {
    /// The unique name.
    pub name: Box<str>,
    /// The requirements on its tokens.
    pub expected: ProviderExpectations,
    /// The shared HS256 secret.
    pub secret: Option<VerifyingKey>,
    /// Guarita's registration as a client; enables login with this provider.
    pub client: Option<ProviderClient>,
    /// Local accounts of its tokens; [`None`] if the identity is that of the token.
    pub accounts: Option<Accounts>,
    /// The session cookie of its library.
    pub cookie_name: Option<Box<str>>,
    /// Where it publishes its keys, if it does.
    pub published: Option<Published>,
}

/// Guarita's registration as a client of a provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderClient {
    /// `client_id`
    pub id: Box<str>,
    /// `client_secret`; [`None`] for a public client.
    pub secret: Option<Secret>,
    /// `scope`
    pub scopes: Vec<Box<str>>,
    /// The displayed name of the provider.
    pub label: Box<str>,
    /// Whether signing out here also signs out at the provider.
    pub logout: bool,
}

/// How accounts are found for new subjects of a provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accounts {
    /// By an `auth_user_id` that equals the subject.
    pub by_auth_user: bool,
    /// By an e-mail address that is verified on both sides.
    pub by_email: bool,
    /// By CPF.
    pub by_cpf: bool,
    /// The roles of accounts that are created for other subjects; [`None`] if these are rejected.
    pub create: Option<Vec<Role>>,
    /// Lifetime of a local session that depends on a provider session; default 90 d.
    pub session_ttl: Duration,
}

/// How the published keys are fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// The location of the keys.
    pub at: KeysAt,
    /// Whether access tokens are verified with them; false if only ID tokens are, because the provider signs access
    /// tokens with the shared secret.
    pub for_access_tokens: bool,
    /// PEM of the CAs that its server certificate is verified with; default: the system's CAs.
    pub ca: Option<Vec<u8>>,
    /// Interval of fetches; default 5 min.
    pub refresh: Duration,
    /// Minimum time between two fetches; default 30 s.
    pub cooldown: Duration,
    /// How long keys stay valid while they cannot be fetched; default 24 h.
    pub max_age: Duration,
}

/// The location of a provider's keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeysAt {
    /// The `jwks_uri` of its discovery document (OpenID Connect Discovery 1.0 section 4).
    Discovery,
    /// This URL.
    Url(Box<str>),
}

/// The current keys.
#[derive(Debug, Default)]
struct CurrentKeys {
    set: KeySet,
    fetched_at: Option<Instant>,
}

/// The number of fetch attempts, and when the last one ended.
#[derive(Clone, Copy, Debug, Default)]
struct Attempts {
    number: u64,
    ended_at: Option<Instant>,
}

/// Why a token of the provider is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unverified<E = Invalid> {
    /// It is invalid.
    Invalid(E),
    /// The keys were never fetched, or too long ago, so the token cannot be verified.
    Unknowable,
}

/// A configured provider with its keys.
#[derive(Debug)]
pub struct Provider {
    settings: ProviderSettings,
    held: ArcSwap<CurrentKeys>,
    attempts: watch::Sender<Attempts>,
    wanted: Arc<Notify>,
    refresher: OnceLock<AbortHandle>,
}

impl Provider {
    /// A provider without keys.
    pub fn new(settings: ProviderSettings) -> Self {
        Self {
            settings,
            held: ArcSwap::default(),
            attempts: watch::Sender::new(Attempts::default()),
            wanted: Arc::default(),
            refresher: OnceLock::new(),
        }
    }

    /// The settings.
    pub const fn settings(&self) -> &ProviderSettings {
        &self.settings
    }

    /// `iss` of its tokens.
    pub fn issuer(&self) -> &str {
        &self.settings.expected.token.issuer
    }

    /// Verifies an access token and, if its key is unknown, once more with newly fetched keys. Returns the claims and
    /// the fingerprint of the keys.
    ///
    /// # Errors
    /// Why the token is not accepted.
    pub async fn verify_access_token(
        &self,
        token: &str,
        now: Timestamp,
    ) -> Result<(ProviderClaims, u64), Unverified> {
        let before = self.fingerprint();
        let told = self.verify(token, now);
        if lacks_key(&told) && self.has_access_token_keys() && self.renewed(before).await {
            return self.verify(token, now);
        }
        told
    }

    /// Verifies the ID token of a login and, if its key is unknown, once more with newly fetched keys.
    ///
    /// # Errors
    /// Why the token is not accepted.
    pub async fn verify_id_token(
        &self,
        token: &str,
        expected: IdTokenExpectations<'_>,
        now: Timestamp,
    ) -> Result<ProviderClaims, Unverified<InvalidIdToken>> {
        let verify = || {
            let held = self.held.load();
            if !self.is_known(&held) {
                return Err(Unverified::Unknowable);
            }
            expected.verify(token, &held.set, now).map_err(Unverified::Invalid)
        };
        let before = self.fingerprint();
        let told = verify();
        if lacks_key(&told) && self.renewed(before).await {
            return verify();
        }
        told
    }

    /// Verifies an access token with the current keys. Returns the claims and the fingerprint of the keys.
    ///
    /// # Errors
    /// Why the token is not accepted.
    pub fn verify(&self, token: &str, now: Timestamp) -> Result<(ProviderClaims, u64), Unverified> {
        let held = self.held.load();
        let empty = KeySet::default();
        let known = !self.has_access_token_keys() || self.is_known(&held);
        let published = if known && self.has_access_token_keys() { &held.set } else { &empty };
        let keys = ProviderKeys { published, secret: self.settings.secret.as_ref() };
        match keys.verify(token, &self.settings.expected, now) {
            Ok(claims) => Ok((claims, published.fingerprint())),
            Err(Invalid::UnknownKey) if !known => Err(Unverified::Unknowable),
            Err(reason) => Err(Unverified::Invalid(reason)),
        }
    }

    /// Whether an access token that was verified by keys with this fingerprint, with these times, is still valid.
    pub fn holds(
        &self,
        fingerprint: u64,
        issued_at: Timestamp,
        not_before: Timestamp,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> bool {
        let held = self.held.load();
        let same = if self.has_access_token_keys() {
            held.set.fingerprint() == fingerprint && self.is_known(&held)
        } else {
            fingerprint == KeySet::default().fingerprint()
        };
        let expected = &self.settings.expected.token;
        same && expected.check_times(issued_at, not_before, expires_at, now).is_ok()
    }

    /// Requests keys other than those with this fingerprint, and waits for them, at most 2 s. False if a fetch
    /// ended too recently to try again.
    pub async fn renewed(&self, fingerprint: u64) -> bool {
        let Some(published) = &self.settings.published else { return false };
        let mut attempts = self.attempts.subscribe();
        let seen = *attempts.borrow_and_update();
        if self.held.load().set.fingerprint() != fingerprint {
            return true;
        }
        if seen.ended_at.is_some_and(|ended| ended.elapsed() < published.cooldown) {
            return false;
        }
        self.wanted.notify_one();
        let ended = attempts.wait_for(|attempts| attempts.number != seen.number);
        matches!(timeout(LONGEST_WAIT, ended).await, Ok(Ok(_)))
    }

    /// The fingerprint of the current keys; 0 before the first fetch.
    pub fn fingerprint(&self) -> u64 {
        self.held.load().set.fingerprint()
    }

    /// Replaces the keys. Returns whether they changed.
    pub fn replace(&self, set: KeySet) -> bool {
        let held = CurrentKeys { set, fetched_at: Some(Instant::now()) };
        let before = self.held.swap(Arc::new(held));
        let changed = before.set.fingerprint() != self.fingerprint();
        self.attempted();
        changed
    }

    /// Records that a fetch attempt ended, with or without success.
    pub fn attempted(&self) {
        self.attempts.send_modify(|attempts| {
            attempts.number += 1;
            attempts.ended_at = Some(Instant::now());
        });
    }

    /// The age of the keys; [`None`] before the first fetch.
    pub fn age(&self) -> Option<Duration> {
        self.held.load().fetched_at.map(|fetched| fetched.elapsed())
    }

    /// Notified when new keys are requested.
    pub fn wanted(&self) -> Arc<Notify> {
        Arc::clone(&self.wanted)
    }

    /// Starts the task that fetches the keys, once; it is aborted when the provider is dropped.
    pub fn start(self: &Arc<Self>, spawn: impl FnOnce(&Arc<Self>) -> AbortHandle) {
        self.refresher.get_or_init(|| spawn(self));
    }

    /// Whether access tokens are verified with published keys.
    fn has_access_token_keys(&self) -> bool {
        self.settings.published.as_ref().is_some_and(|published| published.for_access_tokens)
    }

    /// Whether the keys were fetched, and not too long ago.
    fn is_known(&self, held: &CurrentKeys) -> bool {
        let Some(published) = &self.settings.published else { return true };
        held.fetched_at.is_some_and(|fetched| fetched.elapsed() <= published.max_age)
    }
}

/// Whether new keys could change the result of a verification.
fn lacks_key<T, E: From<Invalid> + PartialEq>(told: &Result<T, Unverified<E>>) -> bool {
    match told {
        Ok(_) => false,
        Err(Unverified::Unknowable) => true,
        Err(Unverified::Invalid(reason)) => *reason == Invalid::UnknownKey.into(),
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        if let Some(refresher) = self.refresher.get() {
            refresher.abort();
        }
    }
}

/// The configured providers.
#[derive(Clone, Debug, Default)]
pub struct Providers(Vec<Arc<Provider>>);

impl Providers {
    /// At most 100, each with its own issuer.
    pub fn new(providers: Vec<Arc<Provider>>) -> Self {
        Self(providers)
    }

    /// Iterates over all providers.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Provider>> {
        self.0.iter()
    }

    /// Whether there are no providers.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Finds a provider by name.
    pub fn named(&self, name: &str) -> Option<&Arc<Provider>> {
        self.0.iter().find(|provider| &*provider.settings.name == name)
    }

    /// Finds a provider by `iss`.
    pub fn of_issuer(&self, issuer: &str) -> Option<&Arc<Provider>> {
        self.0.iter().find(|provider| provider.issuer() == issuer)
    }
}

#[cfg(any(test, feature = "test-util"))]
pub mod sample;
#[cfg(test)]
mod tests;
