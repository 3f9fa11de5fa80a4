//! Table `outbox`: mails waiting to be sent.

use sqlx::any::AnyRow;

use super::links::NOBODY;
use super::transaction::{number, optional_text, text, time};
use super::{StoreError, Transaction};
use guarita_core::{EmailAddress, Timestamp, UserId};

/// A mail waiting to be sent.
#[derive(Debug, Clone)]
pub struct WaitingMail {
    /// A UUID.
    pub id: String,
    /// Whose.
    pub user: UserId,
    /// The kind.
    pub kind: String,
    /// A tag of RFC 5646.
    pub language: String,
    /// The recipient's address.
    pub recipient: EmailAddress,
    /// The token of its link, encrypted.
    pub sealed: Option<String>,
    /// Attempts so far.
    pub attempts: u32,
    /// When it was written.
    pub created_at: Timestamp,
}

/// A new mail.
#[derive(Debug)]
pub struct NewMail<'a> {
    /// A UUID.
    pub id: &'a str,
    /// The user; mails of [`NOBODY`] are never sent.
    pub user: UserId,
    /// The kind.
    pub kind: &'a str,
    /// A tag of RFC 5646.
    pub language: &'a str,
    /// The recipient's address.
    pub recipient: &'a str,
    /// The token of its link, encrypted.
    pub sealed: Option<&'a str>,
    /// The id of the key that encrypted it.
    pub key_id: &'a str,
    /// Expired from this second on.
    pub expires_at: Timestamp,
}

/// The size of the outbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MailsWaiting {
    /// Number of mails.
    pub mails: i64,
    /// When the oldest was written.
    pub oldest: Option<Timestamp>,
}

fn mail(row: &AnyRow) -> Result<WaitingMail, StoreError> {
    Ok(WaitingMail {
        id: text(row, "id")?,
        user: UserId::new(number(row, "user_id")?),
        kind: text(row, "kind")?,
        language: text(row, "language")?,
        recipient: EmailAddress::stored(text(row, "recipient")?),
        sealed: optional_text(row, "sealed")?,
        attempts: u32::try_from(number(row, "attempts")?)
            .map_err(|_| StoreError::Invalid("count of attempts"))?,
        created_at: time(row, "created_at")?,
    })
}

impl Transaction {
    /// Adds a mail, due at once.
    pub async fn insert_mail(
        &mut self,
        new: &NewMail<'_>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let query = sqlx::query(
            "INSERT INTO outbox (id, user_id, kind, language, recipient, sealed, key_id, \
             created_at, expires_at, next_attempt_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        )
        .bind(new.id.to_owned())
        .bind(new.user.get())
        .bind(new.kind.to_owned())
        .bind(new.language.to_owned())
        .bind(new.recipient.to_owned())
        .bind(new.sealed.map(ToOwned::to_owned))
        .bind(new.key_id.to_owned())
        .bind(now.seconds())
        .bind(new.expires_at.seconds())
        .bind(now.seconds());
        self.execute(query).await.map(|_| ())
    }

    /// At most `limit` due mails whose links, if any, are encrypted with this key; oldest first.
    pub async fn due_mails(
        &mut self,
        key_id: &str,
        limit: i64,
        now: Timestamp,
    ) -> Result<Vec<WaitingMail>, StoreError> {
        let query = sqlx::query(
            "SELECT id, user_id, kind, language, recipient, sealed, attempts, created_at FROM outbox \
             WHERE next_attempt_at <= $1 AND expires_at > $2 \
             AND user_id <> $3 AND (sealed IS NULL OR key_id = $4) \
             ORDER BY next_attempt_at, id LIMIT $5",
        )
        .bind(now.seconds())
        .bind(now.seconds())
        .bind(NOBODY.get())
        .bind(key_id.to_owned())
        .bind(limit);
        self.all(query).await?.iter().map(mail).collect()
    }

    /// Claims a mail until this time and counts the attempt; false if another process was faster.
    pub async fn claim_mail(
        &mut self,
        mail: &WaitingMail,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let query = sqlx::query(
            "UPDATE outbox SET attempts = attempts + 1, next_attempt_at = $3 \
             WHERE id = $1 AND attempts = $2 AND next_attempt_at <= $4",
        )
        .bind(mail.id.clone())
        .bind(i64::from(mail.attempts))
        .bind(until.seconds())
        .bind(now.seconds());
        Ok(self.execute(query).await? > 0)
    }

    /// Defers a mail until this time, if this was its last attempt.
    pub async fn postpone_mail(
        &mut self,
        id: &str,
        attempts: u32,
        until: Timestamp,
    ) -> Result<(), StoreError> {
        let query =
            sqlx::query("UPDATE outbox SET next_attempt_at = $3 WHERE id = $1 AND attempts = $2")
                .bind(id.to_owned())
                .bind(i64::from(attempts))
                .bind(until.seconds());
        self.execute(query).await.map(|_| ())
    }

    /// Removes a mail that was sent or given up.
    pub async fn remove_mail(&mut self, id: &str) -> Result<(), StoreError> {
        let query = sqlx::query("DELETE FROM outbox WHERE id = $1").bind(id.to_owned());
        self.execute(query).await.map(|_| ())
    }

    /// Removes the user's unsent mails of this kind.
    pub async fn remove_mails_of(&mut self, user: UserId, kind: &str) -> Result<(), StoreError> {
        let query = sqlx::query("DELETE FROM outbox WHERE user_id = $1 AND kind = $2")
            .bind(user.get())
            .bind(kind.to_owned());
        self.execute(query).await.map(|_| ())
    }

    /// Removes at most `limit` expired mails; returns how many had a recipient.
    pub async fn remove_expired_mails(
        &mut self,
        limit: i64,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        let query = sqlx::query(
            "DELETE FROM outbox WHERE id IN (SELECT id FROM outbox WHERE expires_at <= $1 \
             LIMIT $2) RETURNING user_id",
        )
        .bind(now.seconds())
        .bind(limit);
        let mut somebodys = 0;
        for row in self.all(query).await? {
            somebodys += u64::from(number(&row, "user_id")? != NOBODY.get());
        }
        Ok(somebodys)
    }

    /// Expired mails.
    pub async fn count_expired_mails(&mut self, now: Timestamp) -> Result<i64, StoreError> {
        let query = sqlx::query("SELECT COUNT(*) AS mails FROM outbox WHERE expires_at <= $1")
            .bind(now.seconds());
        self.find(query).await?.map_or(Ok(0), |row| number(&row, "mails"))
    }

    /// The number of mails, and the age of the oldest.
    pub async fn waiting_mails(&mut self) -> Result<MailsWaiting, StoreError> {
        let query = sqlx::query(
            "SELECT COUNT(*) AS mails, COALESCE(MIN(created_at), 0) AS oldest FROM outbox \
             WHERE user_id <> $1",
        )
        .bind(NOBODY.get());
        let Some(row) = self.find(query).await? else {
            return Ok(MailsWaiting { mails: 0, oldest: None });
        };
        let mails = number(&row, "mails")?;
        let oldest = time(&row, "oldest")?;
        Ok(MailsWaiting { mails, oldest: (mails > 0).then_some(oldest) })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::sample;
    use crate::sample::NOW;

    const MINUTE: Duration = Duration::from_secs(60);

    fn new(id: &str, user: UserId) -> NewMail<'_> {
        NewMail {
            id,
            user,
            kind: "reset",
            language: "en",
            recipient: "a@b",
            sealed: Some("x"),
            key_id: "k",
            expires_at: NOW.plus(MINUTE),
        }
    }

    #[tokio::test]
    async fn a_mail_is_claimed_by_one_sender_and_comes_back_when_that_one_dies() {
        let (_directory, store) = sample::open().await;
        let user = sample::user(&store, "ana").await;
        let mut transaction = store.begin_write().await.unwrap();
        transaction.insert_mail(&new("1", user), NOW).await.unwrap();
        transaction.insert_mail(&new("0", NOBODY), NOW).await.unwrap();
        assert!(transaction.due_mails("other", 9, NOW).await.unwrap().is_empty());
        let due = transaction.due_mails("k", 9, NOW).await.unwrap();
        assert_eq!(due.len(), 1);
        let until = NOW.plus(Duration::from_secs(30));
        assert!(transaction.claim_mail(&due[0], until, NOW).await.unwrap());
        assert!(!transaction.claim_mail(&due[0], until, NOW).await.unwrap());
        assert!(transaction.due_mails("k", 9, NOW).await.unwrap().is_empty());
        let again = transaction.due_mails("k", 9, until).await.unwrap();
        assert_eq!(again[0].attempts, 1);
        transaction.postpone_mail("1", 1, NOW).await.unwrap();
        assert_eq!(transaction.due_mails("k", 9, NOW).await.unwrap().len(), 1);
        let waiting = transaction.waiting_mails().await.unwrap();
        assert_eq!(waiting, MailsWaiting { mails: 1, oldest: Some(NOW) });
        assert_eq!(transaction.remove_expired_mails(9, NOW).await.unwrap(), 0);
        assert_eq!(transaction.remove_expired_mails(9, NOW.plus(MINUTE)).await.unwrap(), 1);
        let waiting = transaction.waiting_mails().await.unwrap();
        assert_eq!(waiting, MailsWaiting { mails: 0, oldest: None });
    }
}
