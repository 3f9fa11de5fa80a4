//! The second factor of an account: enrolment, confirmation, verification, disabling.

use std::sync::Arc;
use std::time::Duration;

use super::totp::{self, Enrolment};
use super::totp_key::TotpKeys;
use super::{TokenError, lockout};
use crate::mail::Outbox;
use crate::session::SessionCache;
use guarita_core::jose::opaque;
use guarita_core::{Secret, SessionId, Timestamp, UserId, random};
use guarita_mail::SecurityNotice;
use guarita_store::{Failures, Store, TotpFactor, Transaction};

/// Number of recovery codes of an account.
const RECOVERY_CODES: usize = 10;
/// Maximum length of a code, in bytes.
const MAX_CODE: usize = 64;
/// A code is valid for at most three steps; the last counter is kept at least as long.
const LONGEST_CODE_LIFE: Duration = Duration::from_secs(90);

/// `[mfa]`, and the settings used from `[lockout]` and `[tokens]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FactorSettings {
    /// At least 32 characters; without it no second factor can be enrolled.
    pub encryption_key: Option<Secret>,
    /// Earlier keys, for decryption only.
    pub previous_keys: Vec<Secret>,
    /// How long the counter of the last code is kept; 60 s to 1 h, default 5 min.
    pub replay_ttl: Duration,
    /// How long after a login one can be enrolled without the password; 0 s to 24 h, default 10 min.
    pub recent_login: Duration,
}

/// A code by its kind.
#[derive(Debug, Clone)]
pub enum SecondFactorCode {
    /// A TOTP code of six digits.
    Totp(Secret),
    /// A recovery code.
    RecoveryCode(Secret),
}

/// Why a second factor was not verified or not changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum SecondFactorError {
    /// No encryption key is configured.
    Unavailable,
    /// There is an active one, which must be disabled first.
    AlreadyActive,
    /// There is no second factor.
    NotEnrolled,
    /// The code is wrong.
    InvalidCode,
    /// The code was already used.
    Replayed,
    /// Locked after too many wrong codes.
    Locked {
        /// When to try again.
        retry_after: Duration,
    },
}

/// The service.
#[derive(Debug)]
pub struct SecondFactor {
    store: Store,
    registry: SessionCache,
    outbox: Arc<Outbox>,
    keys: Option<TotpKeys>,
    replay_ttl: Duration,
    lockout: super::LoginSettings,
    issuer: Box<str>,
}

impl SecondFactor {
    /// Creates it with the store and the registry of this node. Fails if there are active second factors, but no key is
    /// configured.
    pub async fn new(
        store: Store,
        registry: SessionCache,
        outbox: Arc<Outbox>,
        settings: &FactorSettings,
        lockout: super::LoginSettings,
        issuer: Box<str>,
    ) -> Result<Self, TokenError> {
        let key = settings.encryption_key.as_ref();
        let keys = key.map(|key| TotpKeys::new(key, &settings.previous_keys)).transpose()?;
        if keys.is_none() && store.read().await?.count_totp().await? > 0 {
            let what = "there are accounts with a second factor, but mfa.encryption_key (TOTP_ENC_KEY) is not set";
            return Err(TokenError(what.into()));
        }
        let replay_ttl = settings.replay_ttl.max(LONGEST_CODE_LIFE);
        Ok(Self { store, registry, outbox, keys, replay_ttl, lockout, issuer })
    }

    /// Whether an encryption key is configured, so that second factors can be enrolled.
    pub const fn is_available(&self) -> bool {
        self.keys.is_some()
    }

    /// Starts an enrolment, replacing a pending one; this session must confirm it.
    pub(super) async fn enrol(
        &self,
        user: UserId,
        session: SessionId,
        now: Timestamp,
    ) -> Result<Result<Enrolment, SecondFactorError>, TokenError> {
        let Some(keys) = &self.keys else { return Ok(Err(SecondFactorError::Unavailable)) };
        let secret = random::bytes::<{ totp::SECRET_LENGTH }>()?;
        let sealed = keys.seal(user, &secret)?;
        let mut transaction = self.store.begin_write_for(user).await?;
        let account = transaction.find_user(user).await?;
        let Some(account) = account else { return Ok(Err(SecondFactorError::NotEnrolled)) };
        if !transaction.put_pending_totp(user, session, &sealed, keys.id(), now).await? {
            return Ok(Err(SecondFactorError::AlreadyActive));
        }
        let enrolment = totp::enrolment(&secret, &self.issuer, account.username.as_str())
            .ok_or_else(|| TokenError("the QR code of an enrolment cannot be created".into()))?;
        transaction.commit().await?;
        Ok(Ok(enrolment))
    }

    /// Activates the session's pending second factor and marks it as verified in the session; returns the ten recovery
    /// codes, which are shown once.
    pub async fn confirm(
        &self,
        user: UserId,
        session: SessionId,
        code: &Secret,
        now: Timestamp,
    ) -> Result<Result<Vec<Secret>, SecondFactorError>, TokenError> {
        let mut transaction = self.store.begin_write_for(user).await?;
        let factor = match transaction.find_totp(user, Some(session)).await? {
            Some(factor) if factor.confirmed_at.is_some() => {
                return Ok(Err(SecondFactorError::AlreadyActive));
            }
            Some(factor) => factor,
            None => return Ok(Err(SecondFactorError::NotEnrolled)),
        };
        let step = match self.matching_step(user, &factor, code, now)? {
            Ok(step) => step,
            Err(unproven) => return self.refuse(transaction, user, unproven, now).await.map(Err),
        };
        if !transaction.confirm_totp(user, &factor.sealed, step, now).await? {
            return Ok(Err(SecondFactorError::NotEnrolled));
        }
        let codes = renew_codes(&mut transaction, user).await?;
        transaction.prove_second_factor(session, now).await?;
        self.notify(&mut transaction, user, SecurityNotice::FactorAdded, now).await?;
        let committed = transaction.commit().await;
        // After a fault too: it may have been committed.
        self.registry.revoke(session);
        committed?;
        Ok(Ok(codes))
    }

    /// Replaces the recovery codes, with a current code; they are shown once.
    pub async fn renew_recovery_codes(
        &self,
        user: UserId,
        answer: &SecondFactorCode,
        now: Timestamp,
    ) -> Result<Result<Vec<Secret>, SecondFactorError>, TokenError> {
        let mut transaction = self.store.begin_write_for(user).await?;
        if let Err(unproven) = self.prove(&mut transaction, user, answer, now).await? {
            return self.refuse(transaction, user, unproven, now).await.map(Err);
        }
        let codes = renew_codes(&mut transaction, user).await?;
        transaction.commit().await?;
        Ok(Ok(codes))
    }

    /// Removes the second factor, with a current code.
    pub async fn disable(
        &self,
        user: UserId,
        answer: &SecondFactorCode,
        now: Timestamp,
    ) -> Result<Result<(), SecondFactorError>, TokenError> {
        let mut transaction = self.store.begin_write_for(user).await?;
        let proven = self.prove(&mut transaction, user, answer, now).await?;
        if let Err(unproven) = proven {
            return self.refuse(transaction, user, unproven, now).await.map(Err);
        }
        transaction.remove_totp(user).await?;
        self.notify(&mut transaction, user, SecurityNotice::FactorRemoved, now).await?;
        transaction.commit().await?;
        Ok(Ok(()))
    }

    /// Notifies the account's owner (ASVS 7.5.1), in the transaction of the change.
    async fn notify(
        &self,
        transaction: &mut Transaction,
        user: UserId,
        notice: SecurityNotice,
        now: Timestamp,
    ) -> Result<(), TokenError> {
        let Some(user) = transaction.find_user(user).await? else { return Ok(()) };
        self.outbox.notify(transaction, &user, notice, None, now).await
    }

    /// Consumes the code; effective when the transaction commits.
    pub(super) async fn prove(
        &self,
        transaction: &mut Transaction,
        user: UserId,
        answer: &SecondFactorCode,
        now: Timestamp,
    ) -> Result<Result<(), SecondFactorError>, TokenError> {
        let Some(factor) = transaction.find_totp(user, None).await? else {
            return Ok(Err(SecondFactorError::NotEnrolled));
        };
        match answer {
            SecondFactorCode::Totp(code) => {
                let step = match self.matching_step(user, &factor, code, now)? {
                    Ok(step) => step,
                    Err(unproven) => return Ok(Err(unproven)),
                };
                let forget = now.minus(self.replay_ttl);
                let used = transaction.use_totp_step(user, step, forget, now).await?;
                self.reseal(transaction, user, &factor).await?;
                Ok(if used { Ok(()) } else { Err(SecondFactorError::Replayed) })
            }
            SecondFactorCode::RecoveryCode(code) => {
                if let Some(retry_after) = lockout::remaining(factor.locked_until, now) {
                    return Ok(Err(SecondFactorError::Locked { retry_after }));
                }
                if code.expose().len() > MAX_CODE {
                    return Ok(Err(SecondFactorError::InvalidCode));
                }
                let digest = opaque::digest(&code.expose().trim().to_lowercase());
                let used = transaction.use_recovery_code(user, &digest, now).await?;
                Ok(if used { Ok(()) } else { Err(SecondFactorError::InvalidCode) })
            }
        }
    }

    /// Counts a wrong code and commits. Locks like wrong passwords do.
    pub(super) async fn refuse(
        &self,
        mut transaction: Transaction,
        user: UserId,
        unproven: SecondFactorError,
        now: Timestamp,
    ) -> Result<SecondFactorError, TokenError> {
        if unproven == SecondFactorError::InvalidCode {
            let failures = transaction.count_totp_failure(user).await?;
            let each = self.lockout.lockout_failures.max(1);
            let since_lock = if failures.is_multiple_of(each) { failures } else { failures % each };
            let failures = Failures { since_lock, in_a_row: failures };
            if let Some(until) = lockout::after_failure(failures, &self.lockout, now) {
                transaction.lock_totp(user, until).await?;
            }
        }
        transaction.commit().await?;
        Ok(unproven)
    }

    fn matching_step(
        &self,
        user: UserId,
        factor: &TotpFactor,
        code: &Secret,
        now: Timestamp,
    ) -> Result<Result<i64, SecondFactorError>, TokenError> {
        if let Some(retry_after) = lockout::remaining(factor.locked_until, now) {
            return Ok(Err(SecondFactorError::Locked { retry_after }));
        }
        let Some(keys) = &self.keys else { return Ok(Err(SecondFactorError::Unavailable)) };
        let secret = keys.open(user, &factor.key_id, &factor.sealed)?;
        Ok(totp::matching_step(&secret, code.expose(), now).ok_or(SecondFactorError::InvalidCode))
    }

    async fn reseal(
        &self,
        transaction: &mut Transaction,
        user: UserId,
        factor: &TotpFactor,
    ) -> Result<(), TokenError> {
        let Some(keys) = self.keys.as_ref().filter(|keys| keys.id() != factor.key_id) else {
            return Ok(());
        };
        let secret = keys.open(user, &factor.key_id, &factor.sealed)?;
        transaction.reseal_totp(user, &keys.seal(user, &secret)?, keys.id()).await?;
        Ok(())
    }
}

/// Replaces the recovery codes by ten new ones.
async fn renew_codes(
    transaction: &mut Transaction,
    user: UserId,
) -> Result<Vec<Secret>, TokenError> {
    transaction.remove_recovery_codes(user).await?;
    let mut codes = Vec::with_capacity(RECOVERY_CODES);
    for _ in 0..RECOVERY_CODES {
        let code = random::password()?;
        transaction.insert_recovery_code(user, &opaque::digest(code.expose())).await?;
        codes.push(code);
    }
    Ok(codes)
}
