//! Tables `password_resets` and `email_verifications`: the newest token of a mailed link per account.

use super::transaction::{number, optional_time, text, time};
use super::{StoreError, Transaction};
use guarita_core::{Secret, Timestamp, UserId};

/// The purpose of a link; tokens of one purpose are invalid for the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkPurpose {
    /// Password recovery (`password_resets`).
    Reset,
    /// Verification of an address (`email_verifications`).
    Verification,
}

/// The user id of decoy rows, which are written so that every request costs the same.
pub const NOBODY: UserId = UserId::new(0);

/// A token.
#[derive(Debug, Clone)]
pub struct MailLink {
    /// The user; tokens of [`NOBODY`] are invalid.
    pub user: UserId,
    /// The address that it was sent to.
    pub email: Secret,
    /// A PHC string.
    pub secret_hash: Secret,
    /// Expired from this second on.
    pub expires_at: Timestamp,
    /// When it was used.
    pub used_at: Option<Timestamp>,
}

/// A new token.
pub struct NewLink<'a> {
    /// A UUID.
    pub id: &'a str,
    /// Whose.
    pub user: UserId,
    /// The address that it is sent to.
    pub email: &'a str,
    /// A PHC string.
    pub secret_hash: &'a Secret,
    /// When it expires.
    pub expires_at: Timestamp,
}

struct Statements {
    forget: &'static str,
    insert: &'static str,
    find: &'static str,
    take: &'static str,
    prune: &'static str,
}

macro_rules! statements {
    ($table:literal) => {
        Statements {
            forget: concat!("DELETE FROM ", $table, " WHERE user_id = $1"),
            insert: concat!(
                "INSERT INTO ",
                $table,
                " (id, user_id, email, secret_hash, created_at, expires_at) \
                 VALUES ($1, $2, $3, $4, $5, $6)"
            ),
            find: concat!(
                "SELECT user_id, email, secret_hash, expires_at, used_at FROM ",
                $table,
                " WHERE id = $1"
            ),
            take: concat!(
                "UPDATE ",
                $table,
                " SET used_at = $2 WHERE id = $1 AND used_at IS NULL AND expires_at > $3"
            ),
            prune: concat!(
                "DELETE FROM ",
                $table,
                " WHERE id IN (SELECT id FROM ",
                $table,
                " WHERE expires_at < $1 LIMIT $2)"
            ),
        }
    };
}

const RESETS: Statements = statements!("password_resets");
const VERIFICATIONS: Statements = statements!("email_verifications");

impl LinkPurpose {
    /// The kind of its mails in the outbox.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reset => "reset",
            Self::Verification => "verification",
        }
    }

    const fn statements(self) -> &'static Statements {
        match self {
            Self::Reset => &RESETS,
            Self::Verification => &VERIFICATIONS,
        }
    }
}

impl Transaction {
    /// Adds a token, replacing an earlier one of the user.
    pub async fn insert_link(
        &mut self,
        purpose: LinkPurpose,
        new: &NewLink<'_>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.forget_links(purpose, new.user).await?;
        let query = sqlx::query(purpose.statements().insert)
            .bind(new.id.to_owned())
            .bind(new.user.get())
            .bind(new.email.to_owned())
            .bind(new.secret_hash.expose().to_owned())
            .bind(now.seconds())
            .bind(new.expires_at.seconds());
        self.execute(query).await.map(|_| ())
    }

    /// The token with this id, also if it is expired.
    pub async fn find_link(
        &mut self,
        purpose: LinkPurpose,
        id: &str,
    ) -> Result<Option<MailLink>, StoreError> {
        let query = sqlx::query(purpose.statements().find).bind(id.to_owned());
        let Some(row) = self.find(query).await? else { return Ok(None) };
        Ok(Some(MailLink {
            user: UserId::new(number(&row, "user_id")?),
            email: Secret::new(text(&row, "email")?),
            secret_hash: Secret::new(text(&row, "secret_hash")?),
            expires_at: time(&row, "expires_at")?,
            used_at: optional_time(&row, "used_at")?,
        }))
    }

    /// Consumes the token, once; returns whether it was valid.
    pub async fn take_link(
        &mut self,
        purpose: LinkPurpose,
        id: &str,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let query = sqlx::query(purpose.statements().take)
            .bind(id.to_owned())
            .bind(now.seconds())
            .bind(now.seconds());
        Ok(self.execute(query).await? > 0)
    }

    /// Invalidates the user's token and removes its unsent mail.
    pub async fn forget_links(
        &mut self,
        purpose: LinkPurpose,
        user: UserId,
    ) -> Result<(), StoreError> {
        let query = sqlx::query(purpose.statements().forget).bind(user.get());
        self.execute(query).await?;
        self.remove_mails_of(user, purpose.as_str()).await
    }

    /// Removes at most `limit` tokens of each purpose that expired before this time; returns how many.
    pub async fn prune_links(&mut self, before: Timestamp, limit: i64) -> Result<u64, StoreError> {
        let mut removed = 0;
        for purpose in [LinkPurpose::Reset, LinkPurpose::Verification] {
            let query = sqlx::query(purpose.statements().prune).bind(before.seconds()).bind(limit);
            removed += self.execute(query).await?;
        }
        Ok(removed)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::sample;
    use crate::sample::NOW;

    #[tokio::test]
    async fn a_token_counts_once_in_time_for_its_purpose_until_a_newer_comes() {
        let (_directory, store) = sample::open().await;
        let user = sample::user(&store, "ana").await;
        let hash = Secret::new("$x");
        let mut transaction = store.begin_write().await.unwrap();
        let expires_at = NOW.plus(Duration::from_secs(60));
        let new = |id| NewLink { id, user, email: "a@b", secret_hash: &hash, expires_at };
        let (reset, other) = (LinkPurpose::Reset, LinkPurpose::Verification);
        for id in ["one", "two"] {
            transaction.insert_link(reset, &new(id), NOW).await.unwrap();
        }
        assert!(transaction.find_link(reset, "one").await.unwrap().is_none());
        assert!(!transaction.take_link(reset, "one", NOW).await.unwrap());
        assert!(!transaction.take_link(other, "two", NOW).await.unwrap());
        assert!(!transaction.take_link(reset, "two", expires_at).await.unwrap());
        assert!(transaction.take_link(reset, "two", NOW).await.unwrap());
        assert!(!transaction.take_link(reset, "two", NOW).await.unwrap());
        assert_eq!(transaction.prune_links(expires_at, 10).await.unwrap(), 0);
        let later = expires_at.plus(Duration::from_secs(1));
        assert_eq!(transaction.prune_links(later, 10).await.unwrap(), 1);
    }
}
