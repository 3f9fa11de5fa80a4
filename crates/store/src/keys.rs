//! Tables `keys` and `key_sets`: keys shared by several gateways, encrypted with a key that is not in the database.
//!
//! Whoever creates or changes the keys of a purpose locks the row of that purpose in `key_sets`: if several do so
//! at once, one creates them and the others read them afterwards.

use sqlx::any::AnyRow;

use super::transaction::{optional_time, text, time};
use super::{StoreError, Transaction};
use guarita_core::Timestamp;

/// Maximum number of rows per statement.
const MOST: i64 = 1_000;

/// The purpose of keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyPurpose {
    /// Access tokens.
    Token,
    /// Assertions for upstreams.
    Assertion,
    /// Links of mails in the outbox.
    Outbox,
}

impl KeyPurpose {
    /// All purposes.
    pub const ALL: [Self; 3] = [Self::Token, Self::Assertion, Self::Outbox];

    /// The text in the table.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Assertion => "assertion",
            Self::Outbox => "outbox",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|purpose| purpose.as_str() == text)
    }
}

/// A stored key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredKey {
    /// Its `kid`.
    pub id: String,
    /// The purpose.
    pub purpose: KeyPurpose,
    /// The algorithm.
    pub algorithm: String,
    /// The key, encrypted for this row.
    pub sealed: String,
    /// The id of the key that encrypted it.
    pub sealed_by: String,
    /// From when it signs or encrypts; [`None`] for never.
    pub signs_from: Option<Timestamp>,
    /// Until when it verifies; [`None`] for no expiry.
    pub verifies_until: Option<Timestamp>,
    /// When it was added.
    pub created_at: Timestamp,
}

fn stored_key(row: &AnyRow) -> Result<StoredKey, StoreError> {
    Ok(StoredKey {
        id: text(row, "id")?,
        purpose: KeyPurpose::parse(&text(row, "purpose")?)
            .ok_or(StoreError::Invalid("purpose of a key"))?,
        algorithm: text(row, "algorithm")?,
        sealed: text(row, "sealed")?,
        sealed_by: text(row, "sealed_by")?,
        signs_from: optional_time(row, "signs_from")?,
        verifies_until: optional_time(row, "verifies_until")?,
        created_at: time(row, "created_at")?,
    })
}

impl Transaction {
    /// Claims the creation of the first keys of a purpose; returns whether nobody else did. Waits for a concurrent
    /// transaction.
    pub async fn claim_key_set(
        &mut self,
        purpose: KeyPurpose,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let query = sqlx::query(
            "INSERT INTO key_sets (purpose, changed_at) VALUES ($1, $2) \
             ON CONFLICT (purpose) DO NOTHING",
        )
        .bind(purpose.as_str())
        .bind(now.seconds());
        Ok(self.execute(query).await? > 0)
    }

    /// Locks the keys of a purpose until the end of this transaction; returns whether there are any.
    pub async fn hold_key_set(
        &mut self,
        purpose: KeyPurpose,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let query = sqlx::query("UPDATE key_sets SET changed_at = $2 WHERE purpose = $1")
            .bind(purpose.as_str())
            .bind(now.seconds());
        Ok(self.execute(query).await? > 0)
    }

    /// All keys, at most 1,000, in the order in which they sign.
    pub async fn list_keys(&mut self) -> Result<Vec<StoredKey>, StoreError> {
        let query = sqlx::query(
            "SELECT id, purpose, algorithm, sealed, sealed_by, signs_from, verifies_until, created_at \
             FROM keys ORDER BY COALESCE(signs_from, 0), created_at, id LIMIT $1",
        )
        .bind(MOST);
        self.all(query).await?.iter().map(stored_key).collect()
    }

    /// Adds a key.
    pub async fn insert_key(&mut self, key: &StoredKey, now: Timestamp) -> Result<(), StoreError> {
        let query = sqlx::query(
            "INSERT INTO keys (id, purpose, algorithm, sealed, sealed_by, signs_from, \
             verifies_until, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        )
        .bind(key.id.clone())
        .bind(key.purpose.as_str())
        .bind(key.algorithm.clone())
        .bind(key.sealed.clone())
        .bind(key.sealed_by.clone())
        .bind(key.signs_from.map(Timestamp::seconds))
        .bind(key.verifies_until.map(Timestamp::seconds))
        .bind(key.created_at.seconds());
        self.execute(query).await?;
        self.append_keys_change(now).await
    }

    /// Sets the expiry of all keys of the purpose that sign or signed and have none yet, and that of `newest`, except
    /// for `but`, which is the next one.
    pub async fn retire_keys(
        &mut self,
        purpose: KeyPurpose,
        but: &str,
        newest: Option<&str>,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let query = sqlx::query(
            "UPDATE keys SET verifies_until = $3 WHERE purpose = $1 AND id <> $2 \
             AND (verifies_until IS NULL OR id = $4) AND signs_from IS NOT NULL",
        )
        .bind(purpose.as_str())
        .bind(but.to_owned())
        .bind(until.seconds())
        .bind(newest.unwrap_or_default().to_owned());
        self.execute(query).await?;
        self.append_keys_change(now).await
    }

    /// Removes all keys of the purpose that sign or signed, except for one.
    pub async fn remove_keys(
        &mut self,
        purpose: KeyPurpose,
        but: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let query = sqlx::query(
            "DELETE FROM keys WHERE purpose = $1 AND id <> $2 AND signs_from IS NOT NULL",
        )
        .bind(purpose.as_str())
        .bind(but.to_owned());
        self.execute(query).await?;
        self.append_keys_change(now).await
    }

    /// Removes expired keys, each only if a later one replaces it; returns how many. Gateways check the expiry
    /// themselves, but drop the keys earlier when they are notified.
    pub async fn prune_keys(&mut self, now: Timestamp) -> Result<u64, StoreError> {
        let query = sqlx::query(
            "DELETE FROM keys WHERE verifies_until <= $1 AND EXISTS (SELECT 1 FROM keys AS later \
             WHERE later.purpose = keys.purpose AND later.signs_from > keys.signs_from \
             AND later.verifies_until IS NULL)",
        )
        .bind(now.seconds());
        let removed = self.execute(query).await?;
        if removed > 0 {
            self.append_keys_change(now).await?;
        }
        Ok(removed)
    }

    /// Removes a key. `last` replaces it, and its expiry is removed.
    pub async fn remove_key(
        &mut self,
        id: &str,
        last: Option<&str>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let query = sqlx::query("DELETE FROM keys WHERE id = $1").bind(id.to_owned());
        self.execute(query).await?;
        let query = sqlx::query("UPDATE keys SET verifies_until = NULL WHERE id = $1")
            .bind(last.unwrap_or_default().to_owned());
        self.execute(query).await?;
        self.append_keys_change(now).await
    }

    /// Replaces a key by the re-encrypted one.
    pub async fn reseal_key(
        &mut self,
        id: &str,
        sealed: &str,
        sealed_by: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let query = sqlx::query("UPDATE keys SET sealed = $2, sealed_by = $3 WHERE id = $1")
            .bind(id.to_owned())
            .bind(sealed.to_owned())
            .bind(sealed_by.to_owned());
        self.execute(query).await?;
        self.append_keys_change(now).await
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::Change;
    use crate::sample;
    use crate::sample::NOW;

    fn key(id: &str, from: Option<u64>) -> StoredKey {
        StoredKey {
            id: id.to_owned(),
            purpose: KeyPurpose::Token,
            algorithm: "ES256".to_owned(),
            sealed: "sealed".to_owned(),
            sealed_by: "by".to_owned(),
            signs_from: from.map(|after| NOW.plus(Duration::from_secs(after))),
            verifies_until: None,
            created_at: NOW,
        }
    }

    #[tokio::test]
    async fn one_makes_the_first_keys_and_every_change_is_told() {
        let (_directory, store) = sample::open().await;
        let mut transaction = store.begin_write().await.unwrap();
        let purpose = KeyPurpose::Token;
        assert!(!transaction.hold_key_set(purpose, NOW).await.unwrap());
        assert!(transaction.claim_key_set(purpose, NOW).await.unwrap());
        assert!(!transaction.claim_key_set(purpose, NOW).await.unwrap());
        assert!(transaction.hold_key_set(purpose, NOW).await.unwrap());
        for key in [key("b", Some(60)), key("a", Some(0)), key("c", None)] {
            transaction.insert_key(&key, NOW).await.unwrap();
        }
        let end = NOW.plus(Duration::from_secs(90));
        transaction.retire_keys(purpose, "b", None, end, NOW).await.unwrap();
        let keys = transaction.list_keys().await.unwrap();
        let ends: Vec<_> = keys.iter().map(|key| (&*key.id, key.verifies_until)).collect();
        assert_eq!(ends, [("c", None), ("a", Some(end)), ("b", None)]);
        assert_eq!(transaction.prune_keys(NOW).await.unwrap(), 0);
        assert_eq!(transaction.prune_keys(end).await.unwrap(), 1);
        // The last one stays, whatever was written of its end.
        transaction.retire_keys(purpose, "", Some("b"), NOW, NOW).await.unwrap();
        assert_eq!(transaction.prune_keys(end).await.unwrap(), 0);
        transaction.remove_key("a", Some("b"), NOW).await.unwrap();
        transaction.reseal_key("b", "anew", "other", NOW).await.unwrap();
        transaction.remove_keys(purpose, "b", NOW).await.unwrap();
        let expected = StoredKey {
            sealed: "anew".to_owned(),
            sealed_by: "other".to_owned(),
            ..key("b", Some(60))
        };
        assert_eq!(transaction.list_keys().await.unwrap(), [key("c", None), expected]);
        let changes = transaction.changes_after(0, 100).await.unwrap();
        assert_eq!(changes.len(), 9);
        assert!(changes.iter().all(|noted| noted.change == Change::Keys));
    }
}
