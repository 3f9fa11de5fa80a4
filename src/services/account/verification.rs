//! Verification of e-mail addresses by mailed links.

use std::sync::Arc;

use super::link::MailedLinks;
use crate::adapters::store::LinkPurpose;
use crate::model::{Language, Secret, Timestamp, UserId};
use crate::services::grant::Fault;
use crate::services::login::password::Busy;

/// Why no address was proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Unverified {
    /// Unknown, used, expired, void, or of an account that is disabled: not told apart.
    InvalidToken,
    /// The pool of password hashing is full.
    Busy,
}

/// The service.
#[derive(Debug)]
pub struct Verification {
    links: Arc<MailedLinks>,
}

impl Verification {
    /// Over the links that accounts are made with.
    pub const fn new(links: Arc<MailedLinks>) -> Self {
        Self { links }
    }

    /// Mails a link to the account of that address, where an active one has it unproven. The work is
    /// the same where none has. Whose it was, for the audit only.
    pub async fn request(
        &self,
        address: &str,
        language: Option<Language>,
        now: Timestamp,
    ) -> Result<Result<Option<UserId>, Busy>, Fault> {
        self.links.request(LinkPurpose::Verification, address, language, now).await
    }

    /// Marks the address as proven, once per token.
    pub async fn confirm(
        &self,
        token: &Secret,
        now: Timestamp,
    ) -> Result<Result<UserId, Unverified>, Fault> {
        let valid = match self.links.check(LinkPurpose::Verification, token, now).await? {
            Ok(Some(valid)) => valid,
            Ok(None) => return Ok(Err(Unverified::InvalidToken)),
            Err(Busy) => return Ok(Err(Unverified::Busy)),
        };
        let user = valid.user.id;
        let mut transaction = self.links.store.begin_write_for(user).await?;
        let proven = transaction.take_link(LinkPurpose::Verification, &valid.id, now).await?
            && transaction.verify_email(user, valid.email.expose(), now).await?;
        if !proven {
            return Ok(Err(Unverified::InvalidToken));
        }
        transaction.commit().await?;
        Ok(Ok(user))
    }
}
