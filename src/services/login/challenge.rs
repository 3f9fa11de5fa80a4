//! The second step of a login: exchanges a ticket and a code for a session.

use std::sync::Arc;

use super::Refusal;
use super::attempt::Login;
use super::second_factor::{Answer, SecondFactor, Unproven};
use super::{Fault, LoggedIn};
use crate::adapters::ephemeral::OutOfReach;
use crate::adapters::store::Store;
use crate::model::{Secret, Timestamp, UserId};

/// Longest ticket that is looked at, in bytes.
const MAX_TICKET: usize = 64;

/// Why no session was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The ticket is unknown, expired, used up or taken.
    InvalidTicket,
    /// What all gateways share cannot be asked: nobody can say whether the ticket counts.
    OutOfReach,
    /// The code does not hold.
    Unproven(UserId, Unproven),
    /// The account was locked, disabled or given another password since.
    Refused(UserId, Refusal),
}

/// The service.
#[derive(Debug)]
pub struct Challenge {
    store: Store,
    login: Arc<Login>,
    factor: Arc<SecondFactor>,
}

impl Challenge {
    /// For the tickets of that login.
    pub const fn new(store: Store, login: Arc<Login>, factor: Arc<SecondFactor>) -> Self {
        Self { store, login, factor }
    }

    /// One attempt; the ticket is gone after a success, or five of them.
    pub async fn complete(
        &self,
        ticket: &Secret,
        answer: &Answer,
        now: Timestamp,
    ) -> Result<Result<LoggedIn, Failure>, Fault> {
        if ticket.expose().len() > MAX_TICKET {
            return Ok(Err(Failure::InvalidTicket));
        }
        let held = match self.login.tickets.attempt(ticket, now).await {
            Ok(Some(held)) => held,
            Ok(None) => return Ok(Err(Failure::InvalidTicket)),
            Err(OutOfReach) => return Ok(Err(Failure::OutOfReach)),
        };
        let user = held.user;
        let mut transaction = self.store.begin_write_for(user).await?;
        let proven = self.factor.prove(&mut transaction, user, answer, now).await?;
        if let Err(unproven) = proven {
            let unproven = self.factor.refuse(transaction, user, unproven, now).await?;
            return Ok(Err(Failure::Unproven(user, unproven)));
        }
        let taken = if self.login.tickets.are_in_the_database() {
            self.login.tickets.take_within(&mut transaction, ticket, now).await
        } else {
            // Nobody who writes waits for Redis: the answer is used up now, whatever becomes of the ticket.
            transaction.commit().await?;
            let taken = self.login.tickets.take(ticket, now).await;
            transaction = self.store.begin_write_for(user).await?;
            taken
        };
        match taken {
            Ok(Some(_)) => {}
            Ok(None) => return Ok(Err(Failure::InvalidTicket)),
            Err(OutOfReach) => return Ok(Err(Failure::OutOfReach)),
        }
        let Some(account) = transaction.find_user(user).await? else {
            return Ok(Err(Failure::Refused(user, Refusal::InvalidCredentials)));
        };
        let finished = self.login.finish(transaction, &account, held, Some(now), now).await?;
        Ok(finished.map_err(|refusal| Failure::Refused(user, refusal)))
    }
}
