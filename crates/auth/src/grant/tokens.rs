//! The issuer of tokens.

use std::fmt;
use std::num::NonZero;
use std::sync::Arc;
use std::time::Duration;

use super::TokenSettings;
use crate::snapshot::AuthSnapshot;
use crate::worker_pool::{Busy, QueueTimeouts, WorkerPool};
use guarita_core::jose::Claims;
use guarita_core::jose::KeyFault;
use guarita_core::random::RandomFault;
use guarita_core::{Roles, Secret, SessionId, Timestamp, UserId};
use guarita_store as store;
use guarita_store::User;

/// The result of a login or refresh.
#[derive(Debug)]
pub struct Tokens {
    /// A signed access token.
    pub access_token: Secret,
    /// An opaque refresh token, if one was requested.
    pub refresh_token: Option<Secret>,
    /// Lifetime of the access token.
    pub expires_in: Duration,
    /// The session.
    pub session: SessionId,
    /// The user.
    pub user: UserId,
    /// Whether a second factor is required and was not verified: the session can only enrol one.
    pub half_proven: bool,
}

/// An internal fault.
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

/// Maximum number of queued signatures.
const LONGEST_QUEUE: usize = 256;
/// After this time without a finished signature, signing gets priority over forwarded traffic. An RSA signature
/// takes a millisecond, and refreshes come in bursts. The total stays well below the grace period of refresh tokens.
const SIGNING_TIMEOUTS: QueueTimeouts = QueueTimeouts {
    busy: Duration::from_millis(20),
    niceness: 5,
    quiet: Duration::from_millis(2),
    answer: Duration::from_secs(1),
};

/// The content of an access token.
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
    /// `auth_time`, with `amr`, if a second factor was verified.
    pub second_factor_at: Option<Timestamp>,
}

/// Signs access tokens with the keys of the snapshot that a request came with.
pub struct Issuer {
    settings: TokenSettings,
    signing: WorkerPool<()>,
}

impl fmt::Debug for Issuer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Issuer").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Issuer {
    /// Starts the signing threads.
    pub fn new(settings: TokenSettings) -> Result<Self, TokenError> {
        let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
        let signing = WorkerPool::start("guarita-sign", threads, LONGEST_QUEUE, SIGNING_TIMEOUTS)
            .map_err(|error| TokenError(format!("signing threads: {error}")))?;
        Ok(Self { settings, signing })
    }

    /// An issuer whose worker pool accepts no jobs.
    #[cfg(test)]
    pub(super) fn crowded(self) -> Self {
        Self { signing: WorkerPool::start("test", 0, 0, SIGNING_TIMEOUTS).unwrap(), ..self }
    }

    /// The settings.
    pub const fn settings(&self) -> &TokenSettings {
        &self.settings
    }

    /// Issues an access token. Returns also whether its session lacks a required second factor; such a token has no
    /// roles, because others may verify it without introspection.
    ///
    /// An RSA signature takes a millisecond, which must not delay forwarded requests, so it is made on the worker
    /// pool. But at this point the session is already written and the refresh token used: if the pool does not sign in
    /// time, the token is signed directly.
    pub async fn issue(
        &self,
        of: TokenRequest<'_>,
        snapshot: &AuthSnapshot,
    ) -> Result<(Secret, bool), TokenError> {
        let required = &snapshot.required_factor;
        let demanded = required.is_demanded(&of.roles, of.user.second_factor_required);
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
        let (keys, claims) = (Arc::clone(&snapshot.keyring), Arc::new(claims));
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
