//! Enrolment of a second factor requires a recent login or the password: the session alone may be stolen
//! (ASVS 7.5.1).

use std::sync::Arc;
use std::time::Duration;

use super::attempt::Login;
use super::password::{MAX_LENGTH, PasswordVerification};
use super::second_factor::{SecondFactor, SecondFactorError};
use super::totp::Enrolment;
use super::{LoginRejection, TokenError, lockout};
use crate::rate_limit::{Account, Purpose};
use crate::snapshot::AuthSnapshot;
use guarita_core::{Secret, SessionId, Timestamp, UserId};
use guarita_store::{Counter, Store};

/// Why no enrolment was started.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum EnrolmentError {
    /// The login is too long ago, or a second factor is active, and no password was sent.
    ProofRequired,
    /// The password is wrong.
    Refused(LoginRejection),
    /// Another reason.
    Unproven(SecondFactorError),
}

/// The service.
#[derive(Debug)]
pub struct TotpEnrolment {
    store: Store,
    login: Arc<Login>,
    factor: Arc<SecondFactor>,
    recent_login: Duration,
}

impl TotpEnrolment {
    /// Creates it; `recent_login` is how long after a login no password is required.
    pub const fn new(
        store: Store,
        login: Arc<Login>,
        factor: Arc<SecondFactor>,
        recent_login: Duration,
    ) -> Self {
        Self { store, login, factor, recent_login }
    }

    /// Starts an enrolment, replacing a pending one; this session must confirm it.
    pub async fn begin(
        &self,
        user: UserId,
        session: SessionId,
        password: Option<&Secret>,
        snapshot: &AuthSnapshot,
        now: Timestamp,
    ) -> Result<Result<Enrolment, EnrolmentError>, TokenError> {
        match password {
            Some(password) => {
                let shown = self.login.confirm_password(user, password, snapshot, now).await?;
                if let Err(refusal) = shown {
                    return Ok(Err(EnrolmentError::Refused(refusal)));
                }
            }
            None if self.is_recent(user, session, now).await? => {}
            None => return Ok(Err(EnrolmentError::ProofRequired)),
        }
        Ok(self.factor.enrol(user, session, now).await?.map_err(EnrolmentError::Unproven))
    }

    /// Whether no password is required.
    async fn is_recent(
        &self,
        user: UserId,
        session: SessionId,
        now: Timestamp,
    ) -> Result<bool, TokenError> {
        let mut transaction = self.store.read().await?;
        let active = transaction.find_totp(user, None).await?.is_some();
        let session = transaction.find_session(session).await?;
        Ok(!active
            && session.is_some_and(|session| now < session.created_at.plus(self.recent_login)))
    }
}

impl Login {
    /// Whether this is the account's password. Failures count as failed logins.
    pub(crate) async fn confirm_password(
        &self,
        user: UserId,
        password: &Secret,
        snapshot: &AuthSnapshot,
        now: Timestamp,
    ) -> Result<Result<(), LoginRejection>, TokenError> {
        let account = self.store.read().await?.find_user(user).await?;
        let Some(account) = account.filter(|_| password.expose().len() <= MAX_LENGTH) else {
            return Ok(Err(LoginRejection::InvalidCredentials));
        };
        if let Some(retry_after) = lockout::remaining(account.locked_until, now) {
            return Ok(Err(LoginRejection::Locked { retry_after }));
        }
        let (rates, account_of) = (&snapshot.rate_limits, Account::User(user));
        if let Err(limited) = self.limits.account(rates, Purpose::Login, account_of).await {
            return Ok(Err(limited.into()));
        }
        match self.passwords.verify(password, Some(&account.password_hash)).await? {
            Ok(PasswordVerification::Right | PasswordVerification::Outdated(_)) => Ok(Ok(())),
            Ok(PasswordVerification::Wrong) => {
                self.fail(Counter::User(user), user, now).await.map(Err)
            }
            Err(busy) => Ok(Err(busy.into())),
        }
    }
}
