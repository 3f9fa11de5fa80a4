//! Writes mails to the outbox.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::sealed::OutboxKey;
use crate::grant::TokenError;
use guarita_core::{EmailAddress, Language, Secret, Timestamp, UserId, random};
use guarita_mail::{MailSettings, MailTemplate, SecurityNotice};
use guarita_store::{LinkPurpose, NOBODY, NewMail, Transaction, User};

/// How long sending a notice is tried.
const KEEP_NOTICE: Duration = Duration::from_secs(86_400);

/// The URL and lifetime of a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkUse {
    /// `?token=` is appended, or `&token=` if there is a query.
    pub url: Box<str>,
    /// 1 s to 1 h.
    pub ttl: Duration,
}

impl LinkUse {
    /// The whole link.
    pub(super) fn with(&self, token: &Secret) -> Secret {
        let mark = if self.url.contains('?') { '&' } else { '?' };
        Secret::new(format!("{}{mark}token={}", self.url, token.expose()))
    }
}

/// The link settings by purpose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Links {
    /// `[recovery]`; default 30 min.
    pub reset: LinkUse,
    /// `[verification]`; default 1 h.
    pub verification: LinkUse,
}

impl Links {
    /// The settings for a purpose.
    pub const fn of(&self, purpose: LinkPurpose) -> &LinkUse {
        match purpose {
            LinkPurpose::Reset => &self.reset,
            LinkPurpose::Verification => &self.verification,
        }
    }
}

/// The link of a mail.
#[derive(Debug)]
pub(crate) struct Linked<'a> {
    /// The purpose.
    pub(crate) purpose: LinkPurpose,
    /// `<id>.<secret>`
    pub(crate) token: &'a Secret,
    /// When the link and its mail expire.
    pub(crate) expires_at: Timestamp,
}

/// Writes mails in transactions; none if no mail server is configured.
#[derive(Debug)]
pub struct Outbox {
    key: LinkKey,
    language: Language,
}

/// The key that encrypts the links of mails.
#[derive(Debug)]
enum LinkKey {
    /// No mails are written.
    Closed,
    /// It is to be in the database, but no gateway has created it yet.
    Missing,
    Held(OutboxKey),
}

impl Outbox {
    /// Disabled if no mail server is configured. The key is in `<data_dir>/outbox.key`, which is created if
    /// missing.
    pub fn open(settings: Option<&MailSettings>, data_dir: &Path) -> Result<Self, TokenError> {
        Self::open_with(settings, data_dir, None)
    }

    /// Like [`Outbox::open`], with the shared key of all gateways if there is one.
    pub fn open_with(
        settings: Option<&MailSettings>,
        data_dir: &Path,
        key: Option<&Secret>,
    ) -> Result<Self, TokenError> {
        let open = || match key {
            Some(secret) => OutboxKey::derive(secret),
            None => OutboxKey::load(&file(data_dir)),
        };
        let key = settings.map(|_| open()).transpose()?;
        Ok(Self::holding(settings, key.map_or(LinkKey::Closed, LinkKey::Held)))
    }

    /// Like [`Outbox::open`], with the key in the database, for commands, which do not create it: while it is missing,
    /// writing a mail fails.
    pub fn of_vault(
        settings: Option<&MailSettings>,
        key: Option<&Secret>,
    ) -> Result<Self, TokenError> {
        let key = match (settings, key) {
            (None, _) => LinkKey::Closed,
            (Some(_), None) => LinkKey::Missing,
            (Some(_), Some(secret)) => LinkKey::Held(OutboxKey::derive(secret)?),
        };
        Ok(Self::holding(settings, key))
    }

    fn holding(settings: Option<&MailSettings>, key: LinkKey) -> Self {
        Self { key, language: settings.map_or(Language::default(), |of| of.language) }
    }

    /// The secret of the key in `data_dir`, if there is one, to be imported into the database.
    pub fn earlier_key(data_dir: &Path) -> Result<Option<Secret>, TokenError> {
        OutboxKey::kept(&file(data_dir))
    }

    /// Whether mails are written.
    pub const fn is_open(&self) -> bool {
        !matches!(self.key, LinkKey::Closed)
    }

    /// The default language.
    pub const fn language(&self) -> Language {
        self.language
    }

    /// Notifies the account's owner of a change; does nothing without an address.
    pub async fn notify(
        &self,
        transaction: &mut Transaction,
        user: &User,
        notice: SecurityNotice,
        language: Option<Language>,
        now: Timestamp,
    ) -> Result<(), TokenError> {
        let Some(recipient) = &user.email else { return Ok(()) };
        let Some(key) = self.sealing()? else { return Ok(()) };
        let mail = NewMail {
            id: &random::ordered_uuid().to_string(),
            user: user.id,
            kind: MailTemplate::Notice(notice).as_str(),
            language: language.unwrap_or(self.language).tag(),
            recipient: recipient.expose(),
            sealed: None,
            key_id: key.id(),
            expires_at: now.plus(KEEP_NOTICE),
        };
        Ok(transaction.insert_mail(&mail, now).await?)
    }

    /// Writes the mail of a link. Without a recipient a mail is written as well, but never sent.
    pub(crate) async fn post(
        &self,
        transaction: &mut Transaction,
        recipient: Option<(UserId, &EmailAddress)>,
        linked: &Linked<'_>,
        language: Option<Language>,
        now: Timestamp,
    ) -> Result<(), TokenError> {
        let Some(key) = self.sealing()? else { return Ok(()) };
        let (user, address) = match recipient {
            Some((user, address)) => (user, address.expose()),
            None => (NOBODY, "nobody"),
        };
        let id = random::ordered_uuid().to_string();
        let sealed = key.seal(&id, linked.token)?;
        let mail = NewMail {
            id: &id,
            user,
            kind: linked.purpose.as_str(),
            language: language.unwrap_or(self.language).tag(),
            recipient: address,
            sealed: Some(&sealed),
            key_id: key.id(),
            expires_at: linked.expires_at,
        };
        Ok(transaction.insert_mail(&mail, now).await?)
    }

    #[cfg(test)]
    pub(crate) fn key_id(&self) -> Option<&str> {
        self.key().map(OutboxKey::id)
    }

    pub(super) const fn key(&self) -> Option<&OutboxKey> {
        match &self.key {
            LinkKey::Held(key) => Some(key),
            LinkKey::Closed | LinkKey::Missing => None,
        }
    }

    /// The key; [`None`] if no mails are written.
    fn sealing(&self) -> Result<Option<&OutboxKey>, TokenError> {
        match &self.key {
            LinkKey::Held(key) => Ok(Some(key)),
            LinkKey::Closed => Ok(None),
            LinkKey::Missing => Err(TokenError(
                "the key that encrypts mails does not exist yet: start a gateway first".to_owned(),
            )),
        }
    }
}

fn file(data_dir: &Path) -> PathBuf {
    data_dir.join("outbox.key")
}

#[cfg(test)]
mod tests {
    use super::*;
    use guarita_store::sample;
    use guarita_store::sample::NOW;

    #[test]
    fn links_and_their_letters_have_one_name() {
        assert_eq!(LinkPurpose::Reset.as_str(), MailTemplate::Reset.as_str());
        assert_eq!(LinkPurpose::Verification.as_str(), MailTemplate::Verification.as_str());
    }

    #[tokio::test]
    async fn no_mail_is_written_that_nobody_could_open() {
        let (_directory, store) = sample::open().await;
        let outbox = Outbox::of_vault(Some(&MailSettings::sample()), None).unwrap();
        let mut transaction = store.begin_write().await.unwrap();
        let linked = Linked {
            purpose: LinkPurpose::Reset,
            token: &Secret::new("id.secret"),
            expires_at: NOW,
        };
        assert!(outbox.is_open());
        assert!(outbox.post(&mut transaction, None, &linked, None, NOW).await.is_err());
        assert!(!Outbox::of_vault(None, None).unwrap().is_open());
    }

    #[test]
    fn a_token_is_appended_to_a_url_with_or_without_a_query() {
        let token = Secret::new("id.secret");
        for (url, link) in [
            ("https://app.test/reset", "https://app.test/reset?token=id.secret"),
            ("https://app.test/r?lang=pt", "https://app.test/r?lang=pt&token=id.secret"),
        ] {
            let link_use = LinkUse { url: url.into(), ttl: Duration::from_secs(60) };
            assert_eq!(link_use.with(&token).expose(), link);
        }
    }
}
