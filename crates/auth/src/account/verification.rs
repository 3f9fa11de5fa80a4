//! Verification of e-mail addresses by mailed links.

use std::sync::Arc;

use super::link::MailedLinks;
use crate::grant::TokenError;
use crate::login::password::Busy;
use guarita_core::{Language, Secret, Timestamp, UserId};
use guarita_store::LinkPurpose;

/// Why an address was not verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum UnverifiedAddress {
    /// Unknown, used, expired, void, or of a disabled account; which of them is not told.
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
    /// Creates it with the link service.
    pub const fn new(links: Arc<MailedLinks>) -> Self {
        Self { links }
    }

    /// Mails a link to the active account with this unverified address. The work is the same if there is none.
    /// Returns the account, for the audit only.
    pub async fn request(
        &self,
        address: &str,
        language: Option<Language>,
        now: Timestamp,
    ) -> Result<Result<Option<UserId>, Busy>, TokenError> {
        self.links.request(LinkPurpose::Verification, address, language, now).await
    }

    /// Marks the address as verified, once per token.
    pub async fn confirm(
        &self,
        token: &Secret,
        now: Timestamp,
    ) -> Result<Result<UserId, UnverifiedAddress>, TokenError> {
        let valid = match self.links.check(LinkPurpose::Verification, token, now).await? {
            Ok(Some(valid)) => valid,
            Ok(None) => return Ok(Err(UnverifiedAddress::InvalidToken)),
            Err(Busy) => return Ok(Err(UnverifiedAddress::Busy)),
        };
        let user = valid.user.id;
        let mut transaction = self.links.store.begin_write_for(user).await?;
        let proven = transaction.take_link(LinkPurpose::Verification, &valid.id, now).await?
            && transaction.verify_email(user, valid.email.expose(), now).await?;
        if !proven {
            return Ok(Err(UnverifiedAddress::InvalidToken));
        }
        transaction.commit().await?;
        Ok(Ok(user))
    }
}
