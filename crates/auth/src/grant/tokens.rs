//! The issuer of tokens.

use std::fmt;
use std::num::NonZero;
use std::sync::Arc;
use std::time::Duration;

use super::TokenSettings;
use crate::snapshot::RequiredFactor;
use crate::worker_pool::{Busy, QueueTimeouts, WorkerPool};
use guarita_core::jose::key::KeyFault;
use guarita_core::jose::{Claims, Keyring};
use guarita_core::random::RandomFault;
use guarita_core::{Roles, Secret, SessionId, Timestamp, UserId};
use guarita_store as store;
use guarita_store::User;

/// What a login or a refresh ends in.
#[derive(Debug)]
pub struct Tokens {
    /// A signed access token.
    pub access_token: Secret,
    /// An opaque refresh token, where one was wanted.
    pub refresh_token: Option<Secret>,
    /// Life of the access token.
    pub expires_in: Duration,
    /// The session.
    pub session: SessionId,
    /// The user.
    pub user: UserId,
    /// Whether a second factor is demanded and was not proven: the session reaches its enrolment
    /// and nothing else.
    pub half_proven: bool,
}

/// A fault of ours.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct TokenError(pub String);

impl From<store::StoreError> for TokenError {
    fn from(fault: store::StoreError) -> Self {
        Self(fault.to_string())
    }
}

impl From<RandomFault> for TokenError {
    fn from(fault: RandomFault) -> Self {
        Self(fault.to_string())
    }
}

impl From<KeyFault> for TokenError {
    fn from(fault: KeyFault) -> Self {
        Self(format!("an access token cannot be signed: {fault}"))
    }
}

/// Signatures that may wait for their turn.
const LONGEST_QUEUE: usize = 256;
/// So long without one made, and forwarded traffic makes way: an RSA signature takes a millisecond,
/// and refreshes come in numbers. The answer comes well within the grace of a used refresh token.
const SIGNING_TIMEOUTS: QueueTimeouts = QueueTimeouts {
    busy: Duration::from_millis(20),
    niceness: 5,
    quiet: Duration::from_millis(2),
    answer: Duration::from_secs(1),
};

/// What an access token says.
#[derive(Debug)]
pub struct TokenRequest<'a> {
    /// `sub` and `uid`
    pub user: &'a User,
    /// `app_roles`
    pub roles: Roles,
    /// `sid`
    pub session: SessionId,
    /// `jti`
    pub token_id: String,
    /// `iat` and `nbf`
    pub issued_at: Timestamp,
    /// `exp`
    pub expires_at: Timestamp,
    /// `auth_time`, with `amr`, where a second factor was proven.
    pub second_factor_at: Option<Timestamp>,
}

/// Signs access tokens with the keys in force at that moment.
pub struct Issuer {
    keys: Box<dyn Fn() -> Arc<Keyring> + Send + Sync>,
    required_factor: Box<dyn Fn() -> RequiredFactor + Send + Sync>,
    settings: TokenSettings,
    signing: WorkerPool<()>,
}

impl fmt::Debug for Issuer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Issuer").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Issuer {
    /// Starts the threads that sign. `keys` reads the keyring in force:
    /// `move || Arc::clone(&live.read().keyring)`.
    pub fn new(
        keys: impl Fn() -> Arc<Keyring> + Send + Sync + 'static,
        settings: TokenSettings,
    ) -> Result<Self, TokenError> {
        let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
        let signing = WorkerPool::start("guarita-sign", threads, LONGEST_QUEUE, SIGNING_TIMEOUTS)
            .map_err(|error| TokenError(format!("signing threads: {error}")))?;
        let required_factor = Box::new(RequiredFactor::default);
        Ok(Self { keys: Box::new(keys), required_factor, settings, signing })
    }

    /// The same, of whom a second factor is demanded being asked at each token:
    /// `move || live.read().required_factor.clone()`.
    #[must_use]
    pub fn demanding(
        self,
        required_factor: impl Fn() -> RequiredFactor + Send + Sync + 'static,
    ) -> Self {
        Self { required_factor: Box::new(required_factor), ..self }
    }

    /// One whose background takes nothing.
    #[cfg(test)]
    pub(super) fn crowded(self) -> Self {
        Self { signing: WorkerPool::start("test", 0, 0, SIGNING_TIMEOUTS).unwrap(), ..self }
    }

    /// What tokens are made of.
    pub const fn settings(&self) -> &TokenSettings {
        &self.settings
    }

    /// An access token (contract section 6), and whether its session lacks a second factor that is
    /// demanded. Such a token names no roles: others may verify it without asking here.
    ///
    /// An RSA signature takes a millisecond, for which no forwarded request may wait: it is made in
    /// the background. But what it is made for is written already, and a refresh token is used up: where
    /// its turn does not come in time, it is made at once.
    pub async fn issue(&self, of: TokenRequest<'_>) -> Result<(Secret, bool), TokenError> {
        let demanded =
            (self.required_factor)().is_demanded(&of.roles, of.user.second_factor_required);
        let half_proven = demanded && of.second_factor_at.is_none();
        let claims = Claims {
            issuer: self.settings.issuer.clone(),
            subject: of.user.username.clone(),
            user: Some(of.user.id),
            audience: self.settings.audience.clone(),
            issued_at: of.issued_at,
            not_before: of.issued_at,
            expires_at: of.expires_at,
            token_id: of.token_id.into_boxed_str(),
            session: of.session,
            roles: if half_proven { Roles::none() } else { of.roles },
            second_factor_at: of.second_factor_at,
        };
        let (keys, claims) = ((self.keys)(), Arc::new(claims));
        let sign = move || keys.issue(&claims);
        let turn = self.signing.run({
            let sign = sign.clone();
            move |()| sign()
        });
        let signed = match turn.await {
            Ok(signed) => signed,
            Err(Busy) => tokio::task::spawn_blocking(sign)
                .await
                .map_err(|error| TokenError(format!("signing failed: {error}")))?,
        };
        Ok((signed?, half_proven))
    }
}
