//! Table `tickets`: single-use tickets shared by all gateways on this database, by the database's clock.

use std::time::Duration;

use sqlx::Any;
use sqlx::any::AnyArguments;
use sqlx::query::Query;

use super::rates::micros;
use super::transaction::{number, text};
use super::{StoreError, Transaction};

/// A new ticket.
#[derive(Debug, Clone, Copy)]
pub struct NewTicket<'a> {
    /// The kind.
    pub kind: &'a str,
    /// The digest.
    pub name: &'a str,
    /// The encrypted content.
    pub value: &'a str,
    /// Number of attempts.
    pub attempts: u32,
    /// The lifetime.
    pub life: Duration,
}

impl Transaction {
    /// The number of unused tickets of a kind, counting at most up to the limit.
    pub async fn count_tickets(&mut self, kind: &str, most: i64) -> Result<i64, StoreError> {
        let query = sqlx::query(
            "SELECT COUNT(*) AS waiting FROM (SELECT 1 FROM tickets WHERE kind = $1
             AND expires_at > (SELECT micros FROM server_clock) LIMIT $2) AS counted",
        )
        .bind(kind.to_owned())
        .bind(most);
        self.find(query).await?.map_or(Ok(0), |row| number(&row, "waiting"))
    }

    /// Stores a ticket. If it already exists, the same caller stored it and did not get the response, because tickets
    /// are unique.
    pub async fn insert_ticket(&mut self, new: NewTicket<'_>) -> Result<(), StoreError> {
        let query = sqlx::query(
            "INSERT INTO tickets (kind, name, value, attempts, expires_at)
             SELECT $1, $2, $3, $4, micros + $5 FROM server_clock WHERE micros > 0
             ON CONFLICT DO NOTHING",
        )
        .bind(new.kind.to_owned())
        .bind(new.name.to_owned())
        .bind(new.value.to_owned())
        .bind(i64::from(new.attempts))
        .bind(micros(new.life));
        self.execute(query).await.map(|_| ())
    }

    /// Uses one attempt; returns the content, or [`None`] if there are no attempts left, or it is unknown or expired.
    pub async fn attempt_ticket(
        &mut self,
        kind: &str,
        name: &str,
    ) -> Result<Option<String>, StoreError> {
        let query = sqlx::query(
            "UPDATE tickets SET attempts = attempts - 1
             WHERE kind = $1 AND name = $2 AND attempts > 0
             AND expires_at > (SELECT micros FROM server_clock) RETURNING value",
        )
        .bind(kind.to_owned())
        .bind(name.to_owned());
        self.spend_ticket(query).await
    }

    /// Removes it and returns the content; only one caller gets it.
    pub async fn take_ticket(
        &mut self,
        kind: &str,
        name: &str,
    ) -> Result<Option<String>, StoreError> {
        let query = sqlx::query(
            "DELETE FROM tickets WHERE kind = $1 AND name = $2
             AND expires_at > (SELECT micros FROM server_clock) RETURNING value",
        )
        .bind(kind.to_owned())
        .bind(name.to_owned());
        self.spend_ticket(query).await
    }

    /// Waits for the end of the statement: rows are returned before the commit, and a ticket whose use is not committed
    /// could be used twice.
    async fn spend_ticket(
        &mut self,
        query: Query<'_, Any, AnyArguments>,
    ) -> Result<Option<String>, StoreError> {
        self.all(query).await?.first().map(|row| text(row, "value")).transpose()
    }

    /// Removes at most `limit` expired tickets; returns how many.
    pub async fn prune_tickets(&mut self, limit: i64) -> Result<u64, StoreError> {
        let query = sqlx::query(
            "DELETE FROM tickets WHERE expires_at <= (SELECT micros FROM server_clock)
             AND name IN (SELECT name FROM tickets
             WHERE expires_at <= (SELECT micros FROM server_clock) LIMIT $1)",
        )
        .bind(limit);
        self.execute(query).await
    }
}
