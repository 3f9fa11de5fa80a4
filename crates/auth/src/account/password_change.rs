//! Change of a password by its user, with the current password.

use std::sync::Arc;

use super::policy::{PasswordPolicy, Weakness};
use crate::grant::TokenError;
use crate::login;
use crate::login::{Login, Passwords};
use crate::mail::Outbox;
use crate::session::SessionCache;
use crate::snapshot::AuthSnapshot;
use guarita_core::{EmailAddress, Language, Secret, SessionId, Timestamp, UserId};
use guarita_mail::SecurityNotice;
use guarita_store::Store;

/// Why the password was not changed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Unchanged {
    /// The current password is wrong.
    Refused(login::LoginRejection),
    /// The new one does not meet the policy.
    Weak(Weakness),
}

/// The service.
#[derive(Debug)]
pub struct PasswordChange {
    store: Store,
    registry: SessionCache,
    login: Arc<Login>,
    passwords: Arc<Passwords>,
    policy: Arc<PasswordPolicy>,
    outbox: Arc<Outbox>,
}

/// A request to change a password.
#[derive(Debug)]
pub struct PasswordChangeRequest<'a> {
    /// The user.
    pub user: UserId,
    /// The session that is kept; all others are revoked.
    pub session: SessionId,
    /// The current password.
    pub current: &'a Secret,
    /// The new password.
    pub new: &'a Secret,
    /// The language of the notice.
    pub language: Language,
}

impl PasswordChange {
    /// Creates it with components that are shared with login and recovery.
    pub const fn new(
        store: Store,
        registry: SessionCache,
        login: Arc<Login>,
        passwords: Arc<Passwords>,
        policy: Arc<PasswordPolicy>,
        outbox: Arc<Outbox>,
    ) -> Self {
        Self { store, registry, login, passwords, policy, outbox }
    }

    /// Changes the password. Before it returns, all other sessions are revoked. A wrong current password counts as a
    /// failed login.
    pub async fn change(
        &self,
        change: PasswordChangeRequest<'_>,
        snapshot: &AuthSnapshot,
        now: Timestamp,
    ) -> Result<Result<(), Unchanged>, TokenError> {
        let shown = self.login.confirm_password(change.user, change.current, snapshot, now).await?;
        if let Err(refusal) = shown {
            return Ok(Err(Unchanged::Refused(refusal)));
        }
        let gone = || Unchanged::Refused(login::LoginRejection::InvalidCredentials);
        let Some(user) = self.store.read().await?.find_user(change.user).await? else {
            return Ok(Err(gone()));
        };
        let address = user.email.as_ref().map_or("", EmailAddress::expose);
        let about = [user.username.as_str(), address];
        if let Err(weakness) = self.policy.check(change.new, &about).await? {
            return Ok(Err(Unchanged::Weak(weakness)));
        }
        let hash = match self.passwords.hash(change.new).await? {
            Ok(hash) => hash,
            Err(busy) => return Ok(Err(Unchanged::Refused(busy.into()))),
        };
        let mut transaction = self.store.begin_write_for(user.id).await?;
        // Meanwhile it may have been disabled, or given another password by somebody else.
        let same = transaction
            .find_user(user.id)
            .await?
            .filter(|now_there| now_there.active && now_there.password_hash == user.password_hash);
        // Or the session was ended, perhaps against the very person who shows the password here.
        let session = transaction.find_session(change.session).await?;
        let session = session.filter(|it| it.user == user.id && it.is_live(now));
        if same.is_none() || session.is_none() {
            return Ok(Err(gone()));
        }
        transaction.set_password_hash(user.id, &hash).await?;
        transaction.revoke_other_sessions(user.id, change.session, now).await?;
        let (notice, language) = (SecurityNotice::PasswordChanged, Some(change.language));
        self.outbox.notify(&mut transaction, &user, notice, language, now).await?;
        let committed = transaction.commit().await;
        // After a fault too: it may have been committed.
        self.registry.forget_user(user.id);
        committed?;
        Ok(Ok(()))
    }
}

#[cfg(test)]
#[path = "password_change_tests.rs"]
mod tests;
