//! The second step of a login: exchanges a ticket and a code for a session.

use std::sync::Arc;

use super::LoginRejection;
use super::attempt::Login;
use super::second_factor::{SecondFactor, SecondFactorCode, SecondFactorError};
use super::{LoggedIn, TokenError};
use crate::snapshot::AuthSnapshot;
use guarita_core::{Secret, Timestamp, UserId};
use guarita_kv::KvUnavailable;
use guarita_store::Store;

/// Maximum length of a ticket, in bytes.
const MAX_TICKET: usize = 64;

/// Why no session was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChallengeError {
    /// The ticket is unknown, expired or used up.
    InvalidTicket,
    /// The shared backend is unavailable, so the ticket cannot be checked.
    OutOfReach,
    /// The code is invalid.
    Unproven(UserId, SecondFactorError),
    /// The account was locked, disabled or got another password since.
    Refused(UserId, LoginRejection),
}

/// The service.
#[derive(Debug)]
pub struct Challenge {
    store: Store,
    login: Arc<Login>,
    factor: Arc<SecondFactor>,
}

impl Challenge {
    /// Creates it for the tickets of this login service.
    pub const fn new(store: Store, login: Arc<Login>, factor: Arc<SecondFactor>) -> Self {
        Self { store, login, factor }
    }

    /// One attempt; the ticket is used up after a success or five attempts.
    pub async fn complete(
        &self,
        ticket: &Secret,
        answer: &SecondFactorCode,
        snapshot: &AuthSnapshot,
        now: Timestamp,
    ) -> Result<Result<LoggedIn, ChallengeError>, TokenError> {
        if ticket.expose().len() > MAX_TICKET {
            return Ok(Err(ChallengeError::InvalidTicket));
        }
        let held = match self.login.tickets.attempt(ticket, now).await {
            Ok(Some(held)) => held,
            Ok(None) => return Ok(Err(ChallengeError::InvalidTicket)),
            Err(KvUnavailable) => return Ok(Err(ChallengeError::OutOfReach)),
        };
        let user = held.user;
        let mut transaction = self.store.begin_write_for(user).await?;
        let proven = self.factor.prove(&mut transaction, user, answer, now).await?;
        if let Err(unproven) = proven {
            let unproven = self.factor.refuse(transaction, user, unproven, now).await?;
            return Ok(Err(ChallengeError::Unproven(user, unproven)));
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
            Ok(None) => return Ok(Err(ChallengeError::InvalidTicket)),
            Err(KvUnavailable) => return Ok(Err(ChallengeError::OutOfReach)),
        }
        let Some(account) = transaction.find_user(user).await? else {
            return Ok(Err(ChallengeError::Refused(user, LoginRejection::InvalidCredentials)));
        };
        let finished =
            self.login.finish(transaction, &account, held, Some(now), snapshot, now).await?;
        Ok(finished.map_err(|refusal| ChallengeError::Refused(user, refusal)))
    }
}
