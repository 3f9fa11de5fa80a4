//! Single-use tickets, shared by all gateways. While the shared backend is unavailable, all tickets are rejected.

use std::fmt;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use super::place::Place;
use super::remote::Link;
use super::room::Room;
use super::seal::Seal;
use super::{Full, Memory, OutOfReach};
use crate::adapters::store::{Fault, NewTicket, Transaction};
use crate::model::{Secret, Timestamp};
use crate::rules::token::opaque;

/// Tickets of one kind.
pub struct Tickets<T> {
    place: Place,
    kind: &'static str,
    capacity: usize,
    memory: Memory<T>,
    /// In the database, where a count takes longer the more there are.
    room: Room,
}

/// What a caller makes use of.
#[derive(Clone, Copy, Debug)]
enum Spending {
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
    pub(super) fn new(place: Place, kind: &'static str, capacity: usize) -> Self {
        // Where it is not in force it holds nothing.
        Self { place, kind, capacity, memory: Memory::new(capacity), room: Room::default() }
    }

    /// Keeps the value for so long and so many attempts, under a ticket that was made for it. In the database the
    /// bound of its kind is an approximate one: a gateway may cross it by a sixteenth, and by what is put at once.
    ///
    /// # Errors
    /// [`OutOfReach`]
    pub async fn put(
        &self,
        ticket: &Secret,
        value: T,
        attempts: u32,
        life: Duration,
        now: Timestamp,
    ) -> Result<Result<(), Full>, OutOfReach> {
        let (kind, most) = (self.kind, self.capacity);
        match &self.place {
            Place::Memory => {
                let digest = opaque::digest(ticket.expose());
                Ok(self.memory.put(digest, value, attempts, now.plus(life), now))
            }
            Place::Redis(link, seal) => {
                let (name, value) =
                    (seal.name(kind, ticket.expose()), sealed(seal, kind, ticket, &value)?);
                let life = u64::try_from(life.as_millis()).unwrap_or(u64::MAX);
                let [key, all] = keys(link, kind, &name);
                let put: i64 = link
                    .run_script(&link.scripts.put, &[&key, &all], |command| {
                        command.arg(&value).arg(attempts).arg(life).arg(most).arg(&name);
                    })
                    .await?;
                Ok(if put == 1 { Ok(()) } else { Err(Full) })
            }
            Place::Database(table, seal) => {
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
    ) -> Result<Result<(), Full>, Fault> {
        if !self.room.take() {
            let waiting = transaction.count_tickets(self.kind, most).await?;
            if !self.room.take_of(most - waiting) {
                return Ok(Err(Full));
            }
        }
        transaction.insert_ticket(new).await.map(Ok)
    }

    /// Spends one attempt; `None` where there is none left, nothing, or it has ended.
    ///
    /// # Errors
    /// [`OutOfReach`]
    pub async fn attempt(&self, ticket: &Secret, now: Timestamp) -> Result<Option<T>, OutOfReach> {
        self.spend(Spending::Attempt, ticket, now).await
    }

    /// Takes the value out: one caller gets it.
    ///
    /// # Errors
    /// [`OutOfReach`]
    pub async fn take(&self, ticket: &Secret, now: Timestamp) -> Result<Option<T>, OutOfReach> {
        self.spend(Spending::Whole, ticket, now).await
    }

    async fn spend(
        &self,
        what: Spending,
        ticket: &Secret,
        now: Timestamp,
    ) -> Result<Option<T>, OutOfReach> {
        match &self.place {
            Place::Memory => {
                let digest = opaque::digest(ticket.expose());
                Ok(match what {
                    Spending::Attempt => self.memory.attempt(&digest, now),
                    Spending::Whole => self.memory.take(&digest, now),
                })
            }
            Place::Redis(link, seal) => {
                let name = seal.name(self.kind, ticket.expose());
                let [key, all] = keys(link, self.kind, &name);
                let named = |command: &mut redis::Cmd| {
                    command.arg(&name);
                };
                let script = match what {
                    Spending::Attempt => &link.scripts.attempt,
                    Spending::Whole => &link.scripts.take,
                };
                let found: Option<String> = link.run_script(script, &[&key, &all], named).await?;
                Ok(self.decrypt(seal, ticket, found))
            }
            Place::Database(table, seal) => {
                let name = seal.name(self.kind, ticket.expose());
                // One statement, which needs no turn: beside others for the same ticket it waits for the row, and
                // looks at it anew. Done again, it spends one attempt more or finds none.
                let (kind, name) = (self.kind, name.as_str());
                let asked = table.store.write_at_once().run(|mut transaction| async move {
                    let found = match what {
                        Spending::Attempt => transaction.attempt_ticket(kind, name).await,
                        Spending::Whole => transaction.take_ticket(kind, name).await,
                    };
                    (transaction, found)
                });
                Ok(self.decrypt(seal, ticket, table.heard(asked.await)?))
            }
        }
    }

    /// Whether they are taken in transactions; elsewhere a transaction would wait for them.
    pub const fn are_in_the_database(&self) -> bool {
        matches!(self.place, Place::Database(..))
    }

    /// As [`Tickets::take`], in a transaction that is open, where tickets are in the database.
    ///
    /// # Errors
    /// [`OutOfReach`]
    pub async fn take_within(
        &self,
        transaction: &mut Transaction,
        ticket: &Secret,
        now: Timestamp,
    ) -> Result<Option<T>, OutOfReach> {
        let Place::Database(table, seal) = &self.place else {
            return self.take(ticket, now).await;
        };
        let name = seal.name(self.kind, ticket.expose());
        let found = table.heard(transaction.take_ticket(self.kind, &name).await)?;
        Ok(self.decrypt(seal, ticket, found))
    }

    /// What another version or somebody else wrote is as good as nothing.
    fn decrypt(&self, seal: &Seal, ticket: &Secret, sealed: Option<String>) -> Option<T> {
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

/// The keys of a ticket and of all of its kind. In a cluster they are on one node: what is between braces
/// decides.
fn keys(link: &Link, kind: &str, name: &str) -> [String; 2] {
    [name, "all"].map(|name| link.key(&["{ticket:", kind, "}:", name].concat()))
}

/// Of no value here holds the outcome: what cannot be sealed is not kept.
fn sealed<T: Serialize>(
    seal: &Seal,
    kind: &str,
    ticket: &Secret,
    value: &T,
) -> Result<String, OutOfReach> {
    let plain = serde_json::to_vec(value).map_err(|_| OutOfReach)?;
    seal.seal(kind, ticket, plain).ok_or(OutOfReach)
}
