//! Tokens of mailed links, `<id>.<secret>`. They are created together with their mail. A check costs the same
//! whether or not the token exists. Only the Argon2 hash of the secret is stored.

use std::sync::Arc;

use uuid::Uuid;

use crate::grant::TokenError;
use crate::login::Passwords;
use crate::login::password::{Busy, PasswordVerification};
use crate::mail::outbox::Linked;
use crate::mail::{Links, Outbox};
use guarita_core::{EmailAddress, Language, Secret, Timestamp, UserId, email, random};
use guarita_store::{LinkPurpose, NOBODY, NewLink, Store, Transaction, User};

/// Maximum length of a token, in bytes.
const MAX_TOKEN: usize = 128;

/// Creates and checks tokens of mailed links.
#[derive(Debug)]
pub struct MailedLinks {
    pub(super) store: Store,
    pub(super) passwords: Arc<Passwords>,
    pub(super) outbox: Arc<Outbox>,
    links: Links,
}

/// A generated token, not assigned to an account yet.
#[derive(Debug)]
pub(super) struct Fresh {
    id: String,
    token: Secret,
    hash: Secret,
}

#[cfg(test)]
impl Fresh {
    pub(super) const fn token(&self) -> &Secret {
        &self.token
    }
}

/// A token that is valid at the time of the check.
#[derive(Debug)]
pub(super) struct Valid {
    pub(super) id: String,
    pub(super) user: User,
    /// The user's address that it was sent to.
    pub(super) email: Secret,
}

impl MailedLinks {
    /// Creates it; `passwords` and `outbox` are shared with the other services.
    pub const fn new(
        store: Store,
        passwords: Arc<Passwords>,
        outbox: Arc<Outbox>,
        links: Links,
    ) -> Self {
        Self { store, passwords, outbox, links }
    }

    /// Generates a token.
    pub(super) async fn fresh(&self) -> Result<Result<Fresh, Busy>, TokenError> {
        let id = Uuid::new_v4().to_string();
        let secret = random::token()?;
        let Ok(hash) = self.passwords.hash(&secret).await? else { return Ok(Err(Busy)) };
        let token = Secret::new(format!("{id}.{}", secret.expose()));
        Ok(Ok(Fresh { id, token, hash }))
    }

    /// Writes the token and its mail for the account with this address, replacing earlier ones. If no account may have
    /// it, the same is written for no account. Returns the account.
    pub(super) async fn request(
        &self,
        purpose: LinkPurpose,
        address: &str,
        language: Option<Language>,
        now: Timestamp,
    ) -> Result<Result<Option<UserId>, Busy>, TokenError> {
        if !self.outbox.is_open() {
            return Ok(Ok(None));
        }
        let fresh = match self.fresh().await? {
            Ok(fresh) => fresh,
            Err(busy) => return Ok(Err(busy)),
        };
        let address = if address.len() > email::MAX_LENGTH { "" } else { address };
        let mut transaction = self.store.begin_write().await?;
        let user = transaction.find_user_by_email(address).await?;
        let user = user.filter(|user| may_have(purpose, user));
        self.write(&mut transaction, purpose, user.as_ref(), &fresh, language, now).await?;
        transaction.commit().await?;
        Ok(Ok(user.map(|user| user.id)))
    }

    /// Writes the token and its mail in a transaction; for no account if there is no user.
    pub(super) async fn write(
        &self,
        transaction: &mut Transaction,
        purpose: LinkPurpose,
        user: Option<&User>,
        fresh: &Fresh,
        language: Option<Language>,
        now: Timestamp,
    ) -> Result<(), TokenError> {
        let recipient = user.and_then(|user| Some((user.id, user.email.as_ref()?)));
        let expires_at = now.plus(self.links.of(purpose).ttl);
        let link = NewLink {
            id: &fresh.id,
            user: recipient.map_or(NOBODY, |(user, _)| user),
            email: recipient.map_or("nobody", |(_, email)| email.expose()),
            secret_hash: &fresh.hash,
            expires_at,
        };
        transaction.insert_link(purpose, &link, now).await?;
        let linked = Linked { purpose, token: &fresh.token, expires_at };
        self.outbox.post(transaction, recipient, &linked, language, now).await
    }

    /// The token, if it is valid. A malformed token costs nothing; every other one costs an Argon2 hash.
    pub(super) async fn check(
        &self,
        purpose: LinkPurpose,
        token: &Secret,
        now: Timestamp,
    ) -> Result<Result<Option<Valid>, Busy>, TokenError> {
        let Some((id, secret)) = parse(token) else { return Ok(Ok(None)) };
        let mut transaction = self.store.read().await?;
        let link = transaction.find_link(purpose, &id).await?;
        let owner = link.as_ref().map_or(NOBODY, |link| link.user);
        let user = transaction.find_user(owner).await?;
        drop(transaction);
        let hash = link.as_ref().map(|link| &link.secret_hash);
        let right = match self.passwords.verify(&secret, hash).await? {
            Ok(PasswordVerification::Right | PasswordVerification::Outdated(_)) => true,
            Ok(PasswordVerification::Wrong) => false,
            Err(busy) => return Ok(Err(busy)),
        };
        let counts = |(link, user): &(guarita_store::MailLink, User)| {
            let email = user.email.as_ref().map(EmailAddress::expose);
            right
                && link.used_at.is_none()
                && now < link.expires_at
                && user.active
                && email == Some(link.email.expose())
        };
        let found = link.zip(user).filter(counts);
        Ok(Ok(found.map(|(link, user)| Valid { id, user, email: link.email })))
    }
}

/// Whether an account may have a token for this purpose.
const fn may_have(purpose: LinkPurpose, user: &User) -> bool {
    match purpose {
        LinkPurpose::Reset => user.active,
        LinkPurpose::Verification => user.active && user.email_verified_at.is_none(),
    }
}

/// Parses the id, in canonical form only, and the secret.
fn parse(token: &Secret) -> Option<(String, Secret)> {
    let text = Some(token.expose()).filter(|text| text.len() <= MAX_TOKEN)?;
    let (id, secret) = text.split_once('.')?;
    let canonical = Uuid::try_parse(id).ok()?.to_string();
    (canonical == id && !secret.is_empty()).then(|| (canonical, Secret::new(secret)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_has_one_form() {
        let id = "01932c07-7f0c-4d5e-8a00-0123456789ab";
        let parsed = |text: &str| parse(&Secret::new(text)).map(|(id, _)| id);
        assert_eq!(parsed(&format!("{id}.secret")).as_deref(), Some(id));
        for text in [
            String::new(),
            ".".into(),
            id.into(),
            format!("{id}."),
            format!(".{id}"),
            format!("{}.secret", id.to_uppercase()),
            format!("{}.secret", id.replace('-', "")),
            format!("{{{id}}}.secret"),
            format!(" {id}.secret"),
            format!("{id}.{}", "x".repeat(100)),
        ] {
            assert_eq!(parsed(&text), None, "{text:?}");
        }
    }
}
