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
    Invalid, KeySet, ProviderClaims, ProviderExpectations, ProviderKeys, VerifyingKey,
};
use guarita_core::{Role, Secret, Timestamp};

/// Longest wait of a request for keys that are being fetched.
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// `[[providers]]`
#[derive(Clone, Debug, PartialEq)]
pub struct ProviderSettings {
    /// Unique among providers.
    pub name: Box<str>,
    /// What its tokens must say.
    pub expected: ProviderExpectations,
    /// The HS256 secret that it shares with us.
    pub secret: Option<VerifyingKey>,
    /// Who we are to it; people log in there for here where there is one.
    pub client: Option<ProviderClient>,
    /// The accounts behind its tokens; none where the token alone says who it is.
    pub accounts: Option<Accounts>,
    /// The cookie in which its library keeps a session.
    pub cookie_name: Option<Box<str>>,
    /// The keys that it publishes, where it does.
    pub published: Option<Published>,
}

/// Our registration at a provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderClient {
    /// `client_id`
    pub id: Box<str>,
    /// `client_secret`; none for a public client.
    pub secret: Option<Secret>,
    /// `scope`
    pub scopes: Vec<Box<str>>,
    /// What people know the provider by.
    pub label: Box<str>,
    /// Whether who signs out here signs out there too.
    pub logout: bool,
}

/// How accounts are found for a provider's subjects that have none yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accounts {
    /// By `auth_user_id`, where it is the subject.
    pub by_auth_user: bool,
    /// By an e-mail address that both sides verified.
    pub by_email: bool,
    /// By CPF.
    pub by_cpf: bool,
    /// The roles of those that are made for subjects that none is found for; they are refused where
    /// this is none.
    pub create: Option<Vec<Role>>,
    /// How long a session of ours lasts that hangs on one of the provider's; default 90 d.
    pub session_ttl: Duration,
}

/// Where keys are fetched, and how often.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// Where they are.
    pub at: KeysAt,
    /// PEM of the CAs that its server is verified by; those of the system where there is none.
    pub ca: Option<Vec<u8>>,
    /// How often they are fetched; default 5 min.
    pub refresh: Duration,
    /// Least time between two fetches, whoever asks for one; default 30 s.
    pub cooldown: Duration,
    /// How long keys count that could not be fetched again; default 24 h.
    pub max_age: Duration,
}

/// Where a provider publishes its keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeysAt {
    /// Where its discovery document says (OpenID Connect Discovery 1.0 section 4).
    Discovery,
    /// At this URL.
    Url(Box<str>),
}

/// The keys at one moment.
#[derive(Debug, Default)]
struct CurrentKeys {
    set: KeySet,
    fetched_at: Option<Instant>,
}

/// How often keys were fetched or tried to be, and when the last attempt ended.
#[derive(Clone, Copy, Debug, Default)]
struct Attempts {
    number: u64,
    ended_at: Option<Instant>,
}

/// Why a token of the provider is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unverified {
    /// It is bad.
    Invalid(Invalid),
    /// Its keys were never fetched, or too long ago: it cannot be known.
    Unknowable,
}

/// A provider in force.
#[derive(Debug)]
pub struct Provider {
    settings: ProviderSettings,
    held: ArcSwap<CurrentKeys>,
    attempts: watch::Sender<Attempts>,
    wanted: Arc<Notify>,
    refresher: OnceLock<AbortHandle>,
}

impl Provider {
    /// One without keys yet.
    pub fn new(settings: ProviderSettings) -> Self {
        Self {
            settings,
            held: ArcSwap::default(),
            attempts: watch::Sender::new(Attempts::default()),
            wanted: Arc::default(),
            refresher: OnceLock::new(),
        }
    }

    /// Its settings.
    pub const fn settings(&self) -> &ProviderSettings {
        &self.settings
    }

    /// Who signs its tokens: `iss`.
    pub fn issuer(&self) -> &str {
        &self.settings.expected.token.issuer
    }

    /// Verifies a token with the keys of this moment; their fingerprint goes with the claims.
    ///
    /// # Errors
    /// Why it is not believed.
    pub fn verify(&self, token: &str, now: Timestamp) -> Result<(ProviderClaims, u64), Unverified> {
        let held = self.held.load();
        let empty = KeySet::default();
        let known = self.is_known(&held);
        let published = if known { &held.set } else { &empty };
        let keys = ProviderKeys { published, secret: self.settings.secret.as_ref() };
        match keys.verify(token, &self.settings.expected, now) {
            Ok(claims) => Ok((claims, published.fingerprint())),
            Err(Invalid::UnknownKey) if !known => Err(Unverified::Unknowable),
            Err(reason) => Err(Unverified::Invalid(reason)),
        }
    }

    /// Whether what was verified by keys of that fingerprint, with such times, would be again now.
    pub fn holds(
        &self,
        fingerprint: u64,
        issued_at: Timestamp,
        not_before: Timestamp,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> bool {
        let held = self.held.load();
        let same = held.set.fingerprint() == fingerprint && self.is_known(&held);
        let expected = &self.settings.expected.token;
        same && expected.check_times(issued_at, not_before, expires_at, now).is_ok()
    }

    /// Asks once for keys that are not those of that fingerprint, and waits for them, at most 2 s.
    /// `false` where asking would do no good: a fetch ended just now.
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

    /// The fingerprint of the keys of this moment; 0 before the first.
    pub fn fingerprint(&self) -> u64 {
        self.held.load().set.fingerprint()
    }

    /// Keys that were just fetched. Whether they are others than before.
    pub fn replace(&self, set: KeySet) -> bool {
        let held = CurrentKeys { set, fetched_at: Some(Instant::now()) };
        let before = self.held.swap(Arc::new(held));
        let changed = before.set.fingerprint() != self.fingerprint();
        self.attempted();
        changed
    }

    /// An attempt to fetch them ended, with or without keys.
    pub fn attempted(&self) {
        self.attempts.send_modify(|attempts| {
            attempts.number += 1;
            attempts.ended_at = Some(Instant::now());
        });
    }

    /// How long ago its keys were fetched; `None` before that.
    pub fn age(&self) -> Option<Duration> {
        self.held.load().fetched_at.map(|fetched| fetched.elapsed())
    }

    /// Told whenever somebody asks for fresh keys.
    pub fn wanted(&self) -> Arc<Notify> {
        Arc::clone(&self.wanted)
    }

    /// Has its keys fetched by what `spawn` starts, once; it ends with the provider.
    pub fn start(self: &Arc<Self>, spawn: impl FnOnce(&Arc<Self>) -> AbortHandle) {
        self.refresher.get_or_init(|| spawn(self));
    }

    /// Whether these are its keys, as far as one can know: fetched, and not too long ago.
    fn is_known(&self, held: &CurrentKeys) -> bool {
        let Some(published) = &self.settings.published else { return true };
        held.fetched_at.is_some_and(|fetched| fetched.elapsed() <= published.max_age)
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        if let Some(refresher) = self.refresher.get() {
            refresher.abort();
        }
    }
}

/// The providers in force, by issuer.
#[derive(Clone, Debug, Default)]
pub struct Providers(Vec<Arc<Provider>>);

impl Providers {
    /// At most 100, each with its own issuer.
    pub fn new(providers: Vec<Arc<Provider>>) -> Self {
        Self(providers)
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Provider>> {
        self.0.iter()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The one of that name.
    pub fn named(&self, name: &str) -> Option<&Arc<Provider>> {
        self.0.iter().find(|provider| &*provider.settings.name == name)
    }

    /// The one whose tokens have this `iss`.
    pub fn of_issuer(&self, issuer: &str) -> Option<&Arc<Provider>> {
        self.0.iter().find(|provider| provider.issuer() == issuer)
    }
}

#[cfg(any(test, feature = "test-util"))]
pub mod sample;
#[cfg(test)]
mod tests;
