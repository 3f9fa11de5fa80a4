//! Table `shared_secrets`: secrets shared by all gateways on the same database.

use super::transaction::text;
use super::{StoreError, Transaction};
use guarita_core::{Secret, Timestamp};

impl Transaction {
    /// The secret with this name; if there is none yet, `candidate` is stored.
    pub async fn shared_secret(
        &mut self,
        name: &str,
        candidate: &Secret,
        now: Timestamp,
    ) -> Result<Secret, StoreError> {
        let query = sqlx::query(
            "INSERT INTO shared_secrets (name, secret, created_at) VALUES ($1, $2, $3)
             ON CONFLICT (name) DO NOTHING",
        )
        .bind(name.to_owned())
        .bind(candidate.expose().to_owned())
        .bind(now.seconds());
        self.execute(query).await?;
        let query = sqlx::query("SELECT secret FROM shared_secrets WHERE name = $1");
        let row = self.find(query.bind(name.to_owned())).await?;
        let row = row.ok_or(StoreError::Invalid("shared secret"))?;
        text(&row, "secret").map(Secret::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;
    use crate::sample::NOW;

    #[tokio::test]
    async fn the_first_secret_of_a_name_is_everybodys() {
        let (directory, store) = sample::open().await;
        let other = sample::reopen(directory.path()).await;
        let mut found = Vec::new();
        for (store, candidate) in [(&store, "one"), (&other, "two"), (&store, "three")] {
            let mut transaction = store.begin_write().await.unwrap();
            let secret = transaction.shared_secret("a", &Secret::new(candidate), NOW).await;
            found.push(secret.unwrap().expose().to_owned());
            transaction.commit().await.unwrap();
        }
        assert_eq!(found, ["one", "one", "one"]);
    }
}
