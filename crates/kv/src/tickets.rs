//! Single-use tickets, shared by all gateways. While the shared backend is unavailable, all tickets are rejected.

use std::fmt;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use super::backend::Backend;
use super::encryption::Encryption;
use super::quota::CapacityBudget;
use super::redis::RedisClient;
use super::{BoundedMap, CapacityReached, KvUnavailable};
use guarita_core::jose::opaque;
use guarita_core::{Secret, Timestamp};
use guarita_store::{NewTicket, StoreError, Transaction};

/// Tickets of a kind.
pub struct Tickets<T> {
    place: Backend,
    kind: &'static str,
    capacity: usize,
    memory: BoundedMap<T>,
    /// The capacity budget, for the database, where counting takes longer the more tickets there are.
    room: CapacityBudget,
}

/// What is used up.
#[derive(Clone, Copy, Debug)]
enum ConsumeMode {
    /// One of its attempts.
    Attempt,
    /// The ticket.
    Whole,
}

impl<T> fmt::Debug for Tickets<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Tickets")
            .field("place", &self.place)
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

impl<T: Clone + Serialize + DeserializeOwned> Tickets<T> {
    pub(super) fn new(place: Backend, kind: &'static str, capacity: usize) -> Self {
        // Where it is not in force it holds nothing.
        Self {
            place,
            kind,
            capacity,
            memory: BoundedMap::new(capacity),
            room: CapacityBudget::default(),
        }
    }

    /// Stores a value under a new ticket, for this time and so many attempts. In the database the limit of a kind is
    /// approximate: a gateway may exceed it by a sixteenth, and by concurrent requests.
    ///
    /// # Errors
    /// [`KvUnavailable`]
    pub async fn put(
        &self,
        ticket: &Secret,
        value: T,
        attempts: u32,
        life: Duration,
        now: Timestamp,
    ) -> Result<Result<(), CapacityReached>, KvUnavailable> {
        let (kind, most) = (self.kind, self.capacity);
        match &self.place {
            Backend::Memory => {
                let digest = opaque::digest(ticket.expose());
                Ok(self.memory.put(digest, value, attempts, now.plus(life), now))
            }
            Backend::Redis(link, seal) => {
                let (name, value) =
                    (seal.name(kind, ticket.expose()), sealed(seal, kind, ticket, &value)?);
                let life = u64::try_from(life.as_millis()).unwrap_or(u64::MAX);
                let [key, all] = keys(link, kind, &name);
                let put: i64 = link
                    .run_script(&link.scripts.put, &[&key, &all], |command| {
                        command.arg(&value).arg(attempts).arg(life).arg(most).arg(&name);
                    })
                    .await?;
                Ok(if put == 1 { Ok(()) } else { Err(CapacityReached) })
            }
            Backend::Database(table, seal) => {
                let (name, value) =
                    (seal.name(kind, ticket.expose()), sealed(seal, kind, ticket, &value)?);
                let new = NewTicket { kind, name: &name, value: &value, attempts, life };
                let most = i64::try_from(most).unwrap_or(i64::MAX);
                let asked = table.store.write_at_once().run(|mut transaction| async move {
                    let kept = self.keep(&mut transaction, new, most).await;
                    (transaction, kept)
                });
                table.heard(asked.await)
            }
        }
    }

    async fn keep(
        &self,
        transaction: &mut Transaction,
        new: NewTicket<'_>,
        most: i64,
    ) -> Result<Result<(), CapacityReached>, StoreError> {
        if !self.room.take() {
            let waiting = transaction.count_tickets(self.kind, most).await?;
            if !self.room.take_of(most - waiting) {
                return Ok(Err(CapacityReached));
            }
        }
        transaction.insert_ticket(new).await.map(Ok)
    }

    /// Uses one attempt; [`None`] if there are no attempts left, or it is unknown or expired.
    ///
    /// # Errors
    /// [`KvUnavailable`]
    pub async fn attempt(
        &self,
        ticket: &Secret,
        now: Timestamp,
    ) -> Result<Option<T>, KvUnavailable> {
        self.spend(ConsumeMode::Attempt, ticket, now).await
    }

    /// Removes and returns the value; only one caller gets it.
    ///
    /// # Errors
    /// [`KvUnavailable`]
    pub async fn take(&self, ticket: &Secret, now: Timestamp) -> Result<Option<T>, KvUnavailable> {
        self.spend(ConsumeMode::Whole, ticket, now).await
    }

    async fn spend(
        &self,
        what: ConsumeMode,
        ticket: &Secret,
        now: Timestamp,
    ) -> Result<Option<T>, KvUnavailable> {
        match &self.place {
            Backend::Memory => {
                let digest = opaque::digest(ticket.expose());
                Ok(match what {
                    ConsumeMode::Attempt => self.memory.attempt(&digest, now),
                    ConsumeMode::Whole => self.memory.take(&digest, now),
                })
            }
            Backend::Redis(link, seal) => {
                let name = seal.name(self.kind, ticket.expose());
                let [key, all] = keys(link, self.kind, &name);
                let named = |command: &mut redis::Cmd| {
                    command.arg(&name);
                };
                let script = match what {
                    ConsumeMode::Attempt => &link.scripts.attempt,
                    ConsumeMode::Whole => &link.scripts.take,
                };
                let found: Option<String> = link.run_script(script, &[&key, &all], named).await?;
                Ok(self.decrypt(seal, ticket, found))
            }
            Backend::Database(table, seal) => {
                let name = seal.name(self.kind, ticket.expose());
                // One statement, which needs no turn: beside others for the same ticket it waits for the row, and
                // looks at it anew. Done again, it spends one attempt more or finds none.
                let (kind, name) = (self.kind, name.as_str());
                let asked = table.store.write_at_once().run(|mut transaction| async move {
                    let found = match what {
                        ConsumeMode::Attempt => transaction.attempt_ticket(kind, name).await,
                        ConsumeMode::Whole => transaction.take_ticket(kind, name).await,
                    };
                    (transaction, found)
                });
                Ok(self.decrypt(seal, ticket, table.heard(asked.await)?))
            }
        }
    }

    /// Whether tickets can be taken within a transaction; with other backends a transaction would wait for them.
    pub const fn are_in_the_database(&self) -> bool {
        matches!(self.place, Backend::Database(..))
    }

    /// Like [`Tickets::take`], within an open transaction, if tickets are in the database.
    ///
    /// # Errors
    /// [`KvUnavailable`]
    pub async fn take_within(
        &self,
        transaction: &mut Transaction,
        ticket: &Secret,
        now: Timestamp,
    ) -> Result<Option<T>, KvUnavailable> {
        let Backend::Database(table, seal) = &self.place else {
            return self.take(ticket, now).await;
        };
        let name = seal.name(self.kind, ticket.expose());
        let found = table.heard(transaction.take_ticket(self.kind, &name).await)?;
        Ok(self.decrypt(seal, ticket, found))
    }

    /// Values of another version or written by somebody else are ignored.
    fn decrypt(&self, seal: &Encryption, ticket: &Secret, sealed: Option<String>) -> Option<T> {
        let sealed = sealed?;
        let plain: Option<Zeroizing<Vec<u8>>> = seal.open(self.kind, ticket, &sealed);
        let value = plain.and_then(|plain| serde_json::from_slice(&plain).ok());
        if value.is_none() {
            let kind = self.kind;
            tracing::warn!(
                kind,
                "a ticket was not issued by this gateway or its peers and was rejected"
            );
        }
        value
    }
}

/// The keys of a ticket and of the set of its kind. The hash tag in braces places both on the same node of a
/// cluster.
fn keys(link: &RedisClient, kind: &str, name: &str) -> [String; 2] {
    [name, "all"].map(|name| link.key(&["{ticket:", kind, "}:", name].concat()))
}

/// Of no value here holds the outcome: what cannot be sealed is not kept.
fn sealed<T: Serialize>(
    seal: &Encryption,
    kind: &str,
    ticket: &Secret,
    value: &T,
) -> Result<String, KvUnavailable> {
    let plain = serde_json::to_vec(value).map_err(|_| KvUnavailable)?;
    seal.seal(kind, ticket, plain).ok_or(KvUnavailable)
}
