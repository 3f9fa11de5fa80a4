//! Table `name_failures`: failed logins with names that no account has. They are counted and locked like those
//! of accounts, see [`Counter::Name`](super::Counter::Name).

use super::transaction::{optional_text, optional_time};
use super::{StoreError, Transaction};
use guarita_core::{Secret, Timestamp, UserId};

/// Number of slots; further names replace others.
pub const SLOTS: u32 = 1 << 17;

/// An unknown name, as stored.
#[derive(Debug, Clone)]
pub struct UnknownName {
    /// The slot, below [`SLOTS`].
    pub slot: u32,
    /// The digest.
    pub digest: String,
}

impl UnknownName {
    /// The user id of its write lock, which belongs to no account, so that it waits like an account does.
    pub fn turn(&self) -> UserId {
        UserId::new(-1 - i64::from(self.slot))
    }
}

/// The lookup that is made for every name, whether or not an account has it.
#[derive(Debug, Clone)]
pub struct UnknownNameStatus {
    /// The password hash of some account, always the same for a slot as long as the accounts are the same; [`None`] if
    /// there is no account.
    pub decoy: Option<Secret>,
    /// Locked before this time, if no account has the name.
    pub locked_until: Option<Timestamp>,
}

impl Transaction {
    /// Looks up a name.
    pub async fn standing_of_name(
        &mut self,
        name: &UnknownName,
    ) -> Result<UnknownNameStatus, StoreError> {
        let query = sqlx::query(
            "SELECT (SELECT password_hash FROM users \
             WHERE id >= 1 + $1 % (SELECT COALESCE(MAX(id), 1) FROM users) \
             ORDER BY id LIMIT 1) AS decoy, \
             (SELECT locked_until FROM name_failures WHERE slot = $1 AND name = $2) \
             AS locked_until",
        )
        .bind(i64::from(name.slot))
        .bind(name.digest.clone());
        let row = self.find(query).await?.ok_or(StoreError::Invalid("answer about a name"))?;
        Ok(UnknownNameStatus {
            decoy: optional_text(&row, "decoy")?.map(Secret::new),
            locked_until: optional_time(&row, "locked_until")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Counter, Failures};
    use super::*;
    use crate::sample;
    use crate::sample::{DAY, NOW};

    fn name(slot: u32, digest: &str) -> UnknownName {
        UnknownName { slot, digest: digest.to_owned() }
    }

    #[tokio::test]
    async fn names_count_and_lock_as_accounts_do_and_the_later_one_takes_the_slot() {
        let (_directory, store) = sample::open().await;
        sample::user(&store, "ana").await;
        let (first, second) = (name(7, "a"), name(7, "b"));
        let mut transaction = store.begin_write_for(first.turn()).await.unwrap();
        for number in 1..=3 {
            let counted = transaction.count_failure(Counter::Name(&first), NOW).await.unwrap();
            assert_eq!(counted, Some(Failures { since_lock: number, in_a_row: number }));
        }
        transaction.lock(Counter::Name(&first), NOW.plus(DAY)).await.unwrap();
        assert_eq!(transaction.count_failure(Counter::Name(&first), NOW).await.unwrap(), None);
        let standing = transaction.standing_of_name(&first).await.unwrap();
        assert_eq!(standing.locked_until, Some(NOW.plus(DAY)));
        assert!(standing.decoy.is_some());
        let later = NOW.plus(DAY);
        let counted = transaction.count_failure(Counter::Name(&first), later).await.unwrap();
        assert_eq!(counted, Some(Failures { since_lock: 1, in_a_row: 4 }));
        // A lock does not keep others from the slot, and is not theirs.
        transaction.lock(Counter::Name(&first), later.plus(DAY)).await.unwrap();
        assert_eq!(transaction.standing_of_name(&second).await.unwrap().locked_until, None);
        let counted = transaction.count_failure(Counter::Name(&second), later).await.unwrap();
        assert_eq!(counted, Some(Failures { since_lock: 1, in_a_row: 1 }));
        assert_eq!(transaction.standing_of_name(&first).await.unwrap().locked_until, None);
        assert_eq!(transaction.locked_until(Counter::Name(&second)).await.unwrap(), None);
    }

    #[tokio::test]
    async fn the_decoy_of_a_name_is_the_same_each_time_and_some_account_for_every_slot() {
        let (_directory, store) = sample::open().await;
        let mut transaction = store.read().await.unwrap();
        assert!(transaction.standing_of_name(&name(5, "a")).await.unwrap().decoy.is_none());
        drop(transaction);
        for username in ["ana", "bia", "caio"] {
            sample::user(&store, username).await;
        }
        let mut transaction = store.read().await.unwrap();
        for slot in [0, 1, 2, 3, SLOTS - 1] {
            let mut decoys = Vec::new();
            for _ in 0..2 {
                let decoy = transaction.standing_of_name(&name(slot, "a")).await.unwrap().decoy;
                decoys.push(decoy.unwrap().expose().to_owned());
            }
            assert_eq!(decoys[0], decoys[1], "{slot}");
        }
    }
}
