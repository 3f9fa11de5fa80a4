//! Table `provider_links`, and how the account is found when a link is created.

use sqlx::any::AnyRow;
use uuid::Uuid;

use super::transaction::{number, text};
use super::{NewSession, StoreError, Transaction};
use guarita_core::{Cpf, SessionId, Timestamp, UserId};

fn user(row: &AnyRow) -> Result<UserId, StoreError> {
    number(row, "user_id").map(UserId::new)
}

impl Transaction {
    /// The account of a provider's subject.
    pub async fn find_provider_link(
        &mut self,
        issuer: &str,
        subject: &str,
    ) -> Result<Option<UserId>, StoreError> {
        let query =
            sqlx::query("SELECT user_id FROM provider_links WHERE issuer = $1 AND subject = $2")
                .bind(issuer.to_owned())
                .bind(subject.to_owned());
        self.find(query).await?.as_ref().map(user).transpose()
    }

    /// Links a provider's subject to an account; returns whether it was not linked yet.
    pub async fn insert_provider_link(
        &mut self,
        issuer: &str,
        subject: &str,
        id: UserId,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let query = sqlx::query(
            "INSERT INTO provider_links (issuer, subject, user_id, created_at) \
             VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
        )
        .bind(issuer.to_owned())
        .bind(subject.to_owned())
        .bind(id.get())
        .bind(now.seconds());
        Ok(self.execute(query).await? > 0)
    }

    /// The account whose profile has this `auth_user_id`.
    pub async fn find_user_by_auth_user(&mut self, id: Uuid) -> Result<Option<UserId>, StoreError> {
        let query = sqlx::query("SELECT user_id FROM profiles WHERE auth_user_id = $1")
            .bind(id.hyphenated().to_string());
        self.find(query).await?.as_ref().map(user).transpose()
    }

    /// The account whose profile has this CPF.
    pub async fn find_user_by_cpf(&mut self, cpf: &Cpf) -> Result<Option<UserId>, StoreError> {
        let query = sqlx::query("SELECT user_id FROM profiles WHERE cpf = $1")
            .bind(cpf.expose().to_owned());
        self.find(query).await?.as_ref().map(user).transpose()
    }

    /// Sets the `auth_user_id` of an account that has none, unless another account has it.
    pub async fn fill_auth_user(&mut self, id: UserId, auth_user: Uuid) -> Result<(), StoreError> {
        if self.find_user_by_auth_user(auth_user).await?.is_some() {
            return Ok(());
        }
        let query = sqlx::query(
            "INSERT INTO profiles (user_id, auth_user_id) VALUES ($1, $2) \
             ON CONFLICT (user_id) DO UPDATE SET auth_user_id = excluded.auth_user_id \
             WHERE profiles.auth_user_id IS NULL",
        )
        .bind(id.get())
        .bind(auth_user.hyphenated().to_string());
        self.execute(query).await.map(|_| ())
    }

    /// Opens the session of a provider session, unless it already exists, ended or not. Its row is kept until
    /// `keep_until`.
    pub async fn insert_provider_session(
        &mut self,
        new: &NewSession<'_>,
        issuer: &str,
        keep_until: Timestamp,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let query = sqlx::query(
            "INSERT INTO sessions (id, user_id, created_at, last_used_at, expires_at, \
             second_factor_at, issuer, keep_until) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) \
             ON CONFLICT DO NOTHING",
        )
        .bind(new.id.to_string())
        .bind(new.user.get())
        .bind(now.seconds())
        .bind(now.seconds())
        .bind(new.expires_at.seconds())
        .bind(new.second_factor_at.map(Timestamp::seconds))
        .bind(issuer.to_owned())
        .bind(keep_until.seconds());
        self.execute(query).await.map(|_| ())
    }

    /// Records that a browser session was opened with a provider.
    pub async fn set_session_issuer(
        &mut self,
        id: SessionId,
        issuer: &str,
    ) -> Result<(), StoreError> {
        let query = sqlx::query("UPDATE sessions SET issuer = $2 WHERE id = $1")
            .bind(id.to_string())
            .bind(issuer.to_owned());
        self.execute(query).await.map(|_| ())
    }

    /// The issuer that a browser session was opened with, and the subject that its account is linked to there, if
    /// unique.
    pub async fn find_session_issuer(
        &mut self,
        id: SessionId,
    ) -> Result<Option<(String, Option<String>)>, StoreError> {
        let query = sqlx::query(
            "SELECT issuer FROM sessions \
             WHERE id = $1 AND issuer IS NOT NULL AND cookie_digest IS NOT NULL",
        )
        .bind(id.to_string());
        let Some(row) = self.find(query).await? else { return Ok(None) };
        let issuer = text(&row, "issuer")?;
        let query = sqlx::query(
            "SELECT subject FROM provider_links WHERE issuer = $1 \
             AND user_id = (SELECT user_id FROM sessions WHERE id = $2) LIMIT 2",
        )
        .bind(issuer.clone())
        .bind(id.to_string());
        let subject = match self.all(query).await?.as_slice() {
            [one] => Some(text(one, "subject")?),
            _ => None,
        };
        Ok(Some((issuer, subject)))
    }

    /// Whether an account is linked to a subject of an issuer.
    pub async fn is_linked(&mut self, id: UserId, issuer: &str) -> Result<bool, StoreError> {
        let query = sqlx::query(
            "SELECT user_id FROM provider_links WHERE user_id = $1 AND issuer = $2 LIMIT 1",
        )
        .bind(id.get())
        .bind(issuer.to_owned());
        Ok(self.find(query).await?.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::{self, NOW};
    use super::*;

    #[tokio::test]
    async fn a_subject_of_an_issuer_has_one_account() {
        let (_directory, store) = sample::open().await;
        let (ana, bob) = (sample::user(&store, "ana").await, sample::user(&store, "bob").await);
        let mut transaction = store.begin_write().await.unwrap();
        let (one, other) = ("https://one.test", "https://other.test");
        assert!(transaction.insert_provider_link(one, "s", ana, NOW).await.unwrap());
        assert!(!transaction.insert_provider_link(one, "s", bob, NOW).await.unwrap());
        assert!(transaction.insert_provider_link(other, "s", bob, NOW).await.unwrap());
        assert_eq!(transaction.find_provider_link(one, "s").await.unwrap(), Some(ana));
        assert_eq!(transaction.find_provider_link(other, "s").await.unwrap(), Some(bob));
        assert_eq!(transaction.find_provider_link(one, "S").await.unwrap(), None);
    }

    #[tokio::test]
    async fn an_auth_user_id_is_filled_in_once_and_taken_from_nobody() {
        let (_directory, store) = sample::open().await;
        let (ana, bob) = (sample::user(&store, "ana").await, sample::user(&store, "bob").await);
        let (one, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let mut transaction = store.begin_write().await.unwrap();
        transaction.fill_auth_user(ana, one).await.unwrap();
        transaction.fill_auth_user(ana, other).await.unwrap();
        transaction.fill_auth_user(bob, one).await.unwrap();
        assert_eq!(transaction.find_user_by_auth_user(one).await.unwrap(), Some(ana));
        assert_eq!(transaction.find_user_by_auth_user(other).await.unwrap(), None);
        assert_eq!(transaction.profile_of(bob).await.unwrap().auth_user, None);
    }
}
