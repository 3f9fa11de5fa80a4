//! Table `tickets`: what waits to be used once, over all gateways on this database, by its clock.

use std::time::Duration;

use super::rates::micros;
use super::transaction::text;
use super::{Fault, Transaction};

/// A ticket to be.
#[derive(Debug, Clone, Copy)]
pub struct NewTicket<'a> {
    /// What it is for.
    pub kind: &'a str,
    /// A digest of it.
    pub name: &'a str,
    /// What it stands for, sealed.
    pub value: &'a str,
    /// How often it may be tried.
    pub attempts: u32,
    /// How long it lives.
    pub life: Duration,
}

impl Transaction {
    /// Keeps a ticket, where fewer than `most` of its kind wait; whether it did.
    pub async fn insert_ticket(&mut self, new: NewTicket<'_>, most: i64) -> Result<bool, Fault> {
        let query = sqlx::query(
            "INSERT INTO tickets (kind, name, value, attempts, expires_at)
             SELECT $1, $2, $3, $4, micros + $5 FROM server_clock
             WHERE (SELECT COUNT(*) FROM tickets WHERE kind = $1 AND expires_at > micros) < $6",
        )
        .bind(new.kind.to_owned())
        .bind(new.name.to_owned())
        .bind(new.value.to_owned())
        .bind(i64::from(new.attempts))
        .bind(micros(new.life))
        .bind(most);
        Ok(self.execute(query).await? > 0)
    }

    /// Spends one attempt; what it stands for, or `None` where there is none left, nothing, or it has ended.
    pub async fn attempt_ticket(
        &mut self,
        kind: &str,
        name: &str,
    ) -> Result<Option<String>, Fault> {
        let query = sqlx::query(
            "UPDATE tickets SET attempts = attempts - 1
             WHERE kind = $1 AND name = $2 AND attempts > 0
             AND expires_at > (SELECT micros FROM server_clock) RETURNING value",
        )
        .bind(kind.to_owned())
        .bind(name.to_owned());
        self.find(query).await?.map(|row| text(&row, "value")).transpose()
    }

    /// Takes it out: one caller gets what it stands for.
    pub async fn take_ticket(&mut self, kind: &str, name: &str) -> Result<Option<String>, Fault> {
        let query = sqlx::query(
            "DELETE FROM tickets WHERE kind = $1 AND name = $2
             AND expires_at > (SELECT micros FROM server_clock) RETURNING value",
        )
        .bind(kind.to_owned())
        .bind(name.to_owned());
        self.find(query).await?.map(|row| text(&row, "value")).transpose()
    }

    /// Whether there is one that has not ended.
    pub async fn has_ticket(&mut self, kind: &str, name: &str) -> Result<bool, Fault> {
        let query = sqlx::query(
            "SELECT 1 FROM tickets WHERE kind = $1 AND name = $2
             AND expires_at > (SELECT micros FROM server_clock)",
        )
        .bind(kind.to_owned())
        .bind(name.to_owned());
        self.find(query).await.map(|row| row.is_some())
    }

    /// Removes at most `limit` tickets that ended; how many.
    pub async fn prune_tickets(&mut self, limit: i64) -> Result<u64, Fault> {
        let query = sqlx::query(
            "DELETE FROM tickets WHERE expires_at <= (SELECT micros FROM server_clock)
             AND name IN (SELECT name FROM tickets
             WHERE expires_at <= (SELECT micros FROM server_clock) LIMIT $1)",
        )
        .bind(limit);
        self.execute(query).await
    }
}
