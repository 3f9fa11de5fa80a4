//! Table `clients`.

use sqlx::any::AnyRow;

use super::transaction::{number, optional_time, text, time};
use super::{StoreError, Transaction};
use guarita_core::Timestamp;

/// Maximum number of rows per statement.
const MOST: i64 = 1_000;

/// The metadata of a client's secret, without the secret itself.
#[derive(Debug, Clone)]
pub struct ClientSecret {
    /// The id of the row.
    pub id: i64,
    /// The client: its `client_id`.
    pub name: String,
    /// When it was created.
    pub created_at: Timestamp,
    /// Expired from this second on.
    pub expires_at: Option<Timestamp>,
    /// When it was revoked, if it was.
    pub revoked_at: Option<Timestamp>,
}

impl ClientSecret {
    /// Neither revoked nor expired.
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|end| now < end)
    }
}

/// A new secret.
#[derive(Debug)]
pub struct NewClient<'a> {
    /// The client.
    pub name: &'a str,
    /// Its SHA-256 in base64url.
    pub digest: String,
    /// When it expires.
    pub expires_at: Option<Timestamp>,
}

/// A selection of secrets.
#[derive(Debug, Clone, Copy)]
pub enum WhichClients<'a> {
    /// By id.
    Id(i64),
    /// All of a client.
    Name(&'a str),
}

/// Limits on valid secrets.
#[derive(Debug, Clone, Copy)]
pub struct MostClients {
    /// Per client.
    pub of_one: i64,
    /// In total.
    pub in_all: i64,
}

/// The columns that are read.
macro_rules! columns {
    () => {
        "id, name, digest, created_at, expires_at, revoked_at"
    };
}

fn client(row: &AnyRow) -> Result<ClientSecret, StoreError> {
    Ok(ClientSecret {
        id: number(row, "id")?,
        name: text(row, "name")?,
        created_at: time(row, "created_at")?,
        expires_at: optional_time(row, "expires_at")?,
        revoked_at: optional_time(row, "revoked_at")?,
    })
}

impl Transaction {
    /// Adds a secret; [`None`] if a limit is reached.
    pub async fn insert_client(
        &mut self,
        new: &NewClient<'_>,
        most: MostClients,
        now: Timestamp,
    ) -> Result<Option<i64>, StoreError> {
        let query = sqlx::query(
            "INSERT INTO clients (name, digest, created_at, expires_at) \
             SELECT $1, $2, $3, $4 WHERE (SELECT COUNT(*) FROM clients WHERE name = $5 \
             AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $6)) < $7 \
             AND (SELECT COUNT(*) FROM clients WHERE revoked_at IS NULL \
             AND (expires_at IS NULL OR expires_at > $8)) < $9 RETURNING id",
        )
        .bind(new.name.to_owned())
        .bind(new.digest.clone())
        .bind(now.seconds())
        .bind(new.expires_at.map(Timestamp::seconds))
        .bind(new.name.to_owned())
        .bind(now.seconds())
        .bind(most.of_one)
        .bind(now.seconds())
        .bind(most.in_all);
        let Some(row) = self.find(query).await? else { return Ok(None) };
        self.append_client_change(new.name, now).await?;
        number(&row, "id").map(Some)
    }

    /// All valid secrets with their digests; at most 1,000.
    pub async fn live_clients(
        &mut self,
        now: Timestamp,
    ) -> Result<Vec<(String, ClientSecret)>, StoreError> {
        let query = sqlx::query(concat!(
            "SELECT ",
            columns!(),
            " FROM clients WHERE revoked_at IS NULL \
             AND (expires_at IS NULL OR expires_at > $1) ORDER BY id LIMIT $2"
        ))
        .bind(now.seconds())
        .bind(MOST);
        let rows = self.all(query).await?;
        rows.iter().map(|row| Ok((text(row, "digest")?, client(row)?))).collect()
    }

    /// At most 1,000 secrets with ids above `after`, in the order of ids; including revoked ones if `revoked`.
    pub async fn list_clients(
        &mut self,
        after: i64,
        revoked: bool,
    ) -> Result<Vec<ClientSecret>, StoreError> {
        let query = sqlx::query(concat!(
            "SELECT ",
            columns!(),
            " FROM clients WHERE id > $1 AND (revoked_at IS NULL OR $2 = 1) \
             ORDER BY id LIMIT $3"
        ))
        .bind(after)
        .bind(i64::from(revoked))
        .bind(MOST);
        self.all(query).await?.iter().map(client).collect()
    }

    /// Revokes secrets; returns how many were not revoked yet.
    pub async fn revoke_clients(
        &mut self,
        which: WhichClients<'_>,
        now: Timestamp,
    ) -> Result<usize, StoreError> {
        let query = match which {
            WhichClients::Id(id) => sqlx::query(
                "UPDATE clients SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL \
                 RETURNING name",
            )
            .bind(id),
            WhichClients::Name(name) => sqlx::query(
                "UPDATE clients SET revoked_at = $2 WHERE name = $1 AND revoked_at IS NULL \
                 RETURNING name",
            )
            .bind(name.to_owned()),
        };
        let rows = self.all(query.bind(now.seconds())).await?;
        if let Some(row) = rows.first() {
            self.append_client_change(&text(row, "name")?, now).await?;
        }
        Ok(rows.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;
    use crate::sample::{DAY, NOW};

    const MOST: MostClients = MostClients { of_one: 2, in_all: 3 };

    #[tokio::test]
    async fn of_one_name_two_count_and_of_all_so_many() {
        let (_directory, store) = sample::open().await;
        let mut transaction = store.begin_write().await.unwrap();
        let insert = async |transaction: &mut Transaction, name, digest: &str, expires_at| {
            let new = NewClient { name, digest: digest.to_owned(), expires_at };
            transaction.insert_client(&new, MOST, NOW).await.unwrap()
        };
        let first = insert(&mut transaction, "a", "1", None).await.unwrap();
        insert(&mut transaction, "a", "2", Some(NOW)).await.unwrap();
        insert(&mut transaction, "a", "3", Some(NOW.plus(DAY))).await.unwrap();
        assert_eq!(insert(&mut transaction, "a", "4", None).await, None);
        assert!(insert(&mut transaction, "b", "5", None).await.is_some());
        assert_eq!(insert(&mut transaction, "c", "6", None).await, None, "there are three");
        let live = transaction.live_clients(NOW).await.unwrap();
        assert_eq!(live.len(), 3);
        let before = transaction.last_change().await.unwrap();
        let revoke = WhichClients::Id(first);
        assert_eq!(transaction.revoke_clients(revoke, NOW).await.unwrap(), 1);
        assert!(transaction.last_change().await.unwrap() > before, "nobody learns of it");
        assert_eq!(transaction.revoke_clients(revoke, NOW).await.unwrap(), 0);
        assert!(insert(&mut transaction, "c", "6", None).await.is_some());
        let name = WhichClients::Name("a");
        assert_eq!(transaction.revoke_clients(name, NOW).await.unwrap(), 2);
        let list = async |transaction: &mut Transaction, revoked| {
            transaction.list_clients(0, revoked).await.unwrap().len()
        };
        assert_eq!(
            (list(&mut transaction, false).await, list(&mut transaction, true).await),
            (2, 5)
        );
    }
}
