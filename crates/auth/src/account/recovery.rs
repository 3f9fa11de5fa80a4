//! Password recovery by mailed links.

use std::sync::Arc;

use super::link::MailedLinks;
use super::policy::{PasswordPolicy, Weakness};
use crate::grant::TokenError;
use crate::login::password::Busy;
use crate::session::SessionCache;
use guarita_core::{EmailAddress, Language, Secret, Timestamp, UserId};
use guarita_mail::SecurityNotice;
use guarita_store::{LinkPurpose, Transaction};

/// Why the password was not reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Unrecovered {
    /// Unknown, used, expired, void, or of a disabled account; which of them is not told.
    InvalidToken,
    /// The new password does not meet the policy; the token can be used again.
    WeakPassword(UserId, Weakness),
    /// The pool of password hashing is full.
    Busy,
}

impl From<Busy> for Unrecovered {
    fn from(_: Busy) -> Self {
        Self::Busy
    }
}

/// The service.
#[derive(Debug)]
pub struct Recovery {
    links: Arc<MailedLinks>,
    registry: SessionCache,
    policy: Arc<PasswordPolicy>,
}

impl Recovery {
    /// Creates it with the registry of this node.
    pub const fn new(
        links: Arc<MailedLinks>,
        registry: SessionCache,
        policy: Arc<PasswordPolicy>,
    ) -> Self {
        Self { links, registry, policy }
    }

    /// Mails a link to the active account with this address. The work is the same if there is none. Returns the
    /// account, for the audit only.
    pub async fn request(
        &self,
        address: &str,
        language: Option<Language>,
        now: Timestamp,
    ) -> Result<Result<Option<UserId>, Busy>, TokenError> {
        self.links.request(LinkPurpose::Reset, address, language, now).await
    }

    /// Resets the password, once per token. Before it returns, all sessions of the account are revoked, and its lock,
    /// failures and known devices are removed. A second factor is kept.
    pub async fn confirm(
        &self,
        token: &Secret,
        password: &Secret,
        language: Option<Language>,
        now: Timestamp,
    ) -> Result<Result<UserId, Unrecovered>, TokenError> {
        let valid = match self.links.check(LinkPurpose::Reset, token, now).await? {
            Ok(Some(valid)) => valid,
            Ok(None) => return Ok(Err(Unrecovered::InvalidToken)),
            Err(busy) => return Ok(Err(busy.into())),
        };
        let user = valid.user;
        let address = user.email.as_ref().map_or("", EmailAddress::expose);
        let about = [user.username.as_str(), address];
        if let Err(weakness) = self.policy.check(password, &about).await? {
            return Ok(Err(Unrecovered::WeakPassword(user.id, weakness)));
        }
        let hash = match self.links.passwords.hash(password).await? {
            Ok(hash) => hash,
            Err(busy) => return Ok(Err(busy.into())),
        };
        let mut transaction = self.links.store.begin_write_for(user.id).await?;
        let current = transaction.find_user(user.id).await?;
        let current = current.filter(|current| current.active && current.email == user.email);
        let taken = transaction.take_link(LinkPurpose::Reset, &valid.id, now).await?;
        let Some(current) = current.filter(|_| taken) else {
            return Ok(Err(Unrecovered::InvalidToken));
        };
        transaction.set_password_hash(current.id, &hash).await?;
        transaction.revoke_sessions_of(current.id, now).await?;
        let notice = SecurityNotice::PasswordChanged;
        self.links.outbox.notify(&mut transaction, &current, notice, language, now).await?;
        self.finish(transaction, current.id).await?;
        Ok(Ok(current.id))
    }

    async fn finish(&self, transaction: Transaction, user: UserId) -> Result<(), TokenError> {
        let committed = transaction.commit().await;
        // After a fault too: it may have been committed.
        self.registry.forget_user(user);
        Ok(committed?)
    }
}

#[cfg(test)]
#[path = "recovery_tests.rs"]
mod tests;
