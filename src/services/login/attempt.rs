//! One attempt to log in, from the name to the tokens.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::password::{Busy, MAX_LENGTH, Verified};
use super::unknown::UnknownNames;
use super::{Fault, Passwords, Settings, Tokens, lockout};
use crate::adapters::ephemeral::Memory;
use crate::adapters::store::{NewRefreshToken, NewSession, Store, Transaction, User};
use crate::model::{Roles, Secret, SessionId, Timestamp, random};
use crate::rules::token::opaque;
use crate::services::grant::Issuer;
use crate::services::session::Registry;

/// Longest user name, in characters.
pub const MAX_USERNAME: usize = 128;
/// Longest e-mail address, in bytes (RFC 5321 section 4.5.3.1.3, less the brackets).
pub const MAX_EMAIL: usize = 254;
/// Longest user agent that is kept, in bytes.
const MAX_USER_AGENT: usize = 256;
/// Live sessions per user; the oldest are revoked.
const MAX_SESSIONS: i64 = 1_000;
/// Logins that wait for their second factor.
const MAX_TICKETS: usize = 100_000;
/// Life of a ticket.
const TICKET_TTL: Duration = Duration::from_secs(300);
/// Attempts of a ticket.
const TICKET_ATTEMPTS: u32 = 5;

/// Who somebody says they are.
#[derive(Debug, Clone)]
pub enum Identifier {
    /// The user name.
    Username(String),
    /// The e-mail address.
    Email(String),
}

impl Identifier {
    fn is_bounded(&self) -> bool {
        match self {
            Self::Username(name) => {
                name.len() <= MAX_USERNAME * 4 && (1..=MAX_USERNAME).contains(&name.chars().count())
            }
            Self::Email(email) => (1..=MAX_EMAIL).contains(&email.len()),
        }
    }
}

/// One attempt to log in.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// Who.
    pub identifier: Identifier,
    /// With which password.
    pub password: Secret,
    /// Whether a refresh token is wanted.
    pub refreshable: bool,
    /// The caller's address and user agent, kept with the session.
    pub address: Option<IpAddr>,
    /// At most 256 bytes are kept.
    pub user_agent: Option<String>,
}

/// Why a login is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Refusal {
    /// Unknown user, wrong password, or disabled: not told apart.
    InvalidCredentials,
    /// Locked after too many failures.
    Locked {
        /// When to try again.
        retry_after: Duration,
    },
    /// The password is right, and a second factor is active.
    SecondFactorRequired {
        /// Opaque, for five minutes and five codes.
        ticket: Secret,
    },
    /// The pool of password hashing is full, or too many logins wait for their second factor.
    Busy,
}

impl From<Busy> for Refusal {
    fn from(_: Busy) -> Self {
        Self::Busy
    }
}

/// The login service.
#[derive(Debug)]
pub struct Login {
    store: Store,
    registry: Registry,
    issuer: Arc<Issuer>,
    passwords: Arc<Passwords>,
    settings: Settings,
    unknown: UnknownNames,
    pub(super) tickets: Memory<Held>,
}

/// A login whose password was right.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub(super) user: User,
    hash: Secret,
    visit: Attempt,
}

/// A session that was opened, before its access token is signed.
struct Opened {
    session: SessionId,
    refresh_token: Option<Secret>,
    roles: Roles,
    displaced: Vec<SessionId>,
}

impl Login {
    /// Over one store and the registry of this node. `passwords` is shared with the accounts.
    pub fn new(
        store: Store,
        registry: Registry,
        issuer: Arc<Issuer>,
        passwords: Arc<Passwords>,
        settings: Settings,
    ) -> Self {
        let (unknown, tickets) = (UnknownNames::new(), Memory::new(MAX_TICKETS));
        Self { store, registry, issuer, passwords, settings, unknown, tickets }
    }

    /// Tries to log in.
    pub async fn attempt(
        &self,
        attempt: Attempt,
        now: Timestamp,
    ) -> Result<Result<Tokens, Refusal>, Fault> {
        if !attempt.identifier.is_bounded() || attempt.password.expose().len() > MAX_LENGTH {
            return Ok(Err(Refusal::InvalidCredentials));
        }
        let user = self.find(&attempt.identifier).await?;
        if let Some(retry_after) = self.remaining(user.as_ref(), &attempt.identifier, now) {
            return Ok(Err(Refusal::Locked { retry_after }));
        }
        let hash = user.as_ref().map(|user| &user.password_hash);
        let verified = match self.passwords.verify(&attempt.password, hash).await? {
            Ok(verified) => verified,
            Err(busy) => return Ok(Err(busy.into())),
        };
        match (user, verified) {
            (Some(user), Verified::Right) if user.active => {
                let hash = user.password_hash.clone();
                self.succeed(user, &hash, &attempt, now).await
            }
            (Some(user), Verified::Outdated(hash)) if user.active => {
                self.succeed(user, &hash, &attempt, now).await
            }
            (Some(user), Verified::Wrong | Verified::Right | Verified::Outdated(_)) => {
                self.fail(&user, now).await.map(Err)
            }
            (None, Verified::Wrong | Verified::Right | Verified::Outdated(_)) => {
                Ok(Err(self.fail_unknown(&attempt.identifier, now).await?))
            }
        }
    }

    async fn find(&self, identifier: &Identifier) -> Result<Option<User>, Fault> {
        let mut transaction = self.store.read().await?;
        let found = match identifier {
            Identifier::Username(name) => transaction.find_user_by_username(name).await,
            Identifier::Email(email) => transaction.find_user_by_email(email).await,
        };
        Ok(found?)
    }

    fn remaining(
        &self,
        user: Option<&User>,
        identifier: &Identifier,
        now: Timestamp,
    ) -> Option<Duration> {
        match user {
            Some(user) => lockout::remaining(user.locked_until, now),
            None => self.unknown.remaining(identifier, now),
        }
    }

    /// One transaction: the success is recorded and the session opened, or neither.
    async fn succeed(
        &self,
        user: User,
        hash: &Secret,
        attempt: &Attempt,
        now: Timestamp,
    ) -> Result<Result<Tokens, Refusal>, Fault> {
        let mut transaction = self.store.begin_write().await?;
        let visit = Attempt { password: Secret::new(""), ..attempt.clone() };
        let mut held = Held { user, hash: hash.clone(), visit };
        if transaction.find_totp(held.user.id, None).await?.is_none() {
            return self.finish(transaction, &held, None, now).await;
        }
        held.visit.refreshable = true;
        let ticket = random::token()?;
        let (digest, ends) = (opaque::digest(ticket.expose()), now.plus(TICKET_TTL));
        Ok(Err(match self.tickets.put(digest, held, TICKET_ATTEMPTS, ends, now) {
            Ok(()) => Refusal::SecondFactorRequired { ticket },
            Err(crate::adapters::ephemeral::Full) => Refusal::Busy,
        }))
    }

    /// Records the success and opens the session, or neither.
    pub(super) async fn finish(
        &self,
        mut transaction: Transaction,
        held: &Held,
        second_factor_at: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<Result<Tokens, Refusal>, Fault> {
        let (user, attempt) = (&held.user, &held.visit);
        let recorded =
            transaction.record_success(user.id, &user.password_hash, &held.hash, now).await?;
        if !recorded {
            return self.overtaken(transaction, user, now).await.map(Err);
        }
        let opened = self.open(&mut transaction, user, attempt, second_factor_at, now).await?;
        // Signed before the commit: no session remains that nobody holds a token of.
        let access_token =
            self.issuer.issue(user, opened.roles, opened.session, second_factor_at, now)?;
        transaction.commit().await?;
        for session in opened.displaced {
            self.registry.revoke(session);
        }
        Ok(Ok(Tokens {
            access_token,
            refresh_token: opened.refresh_token,
            expires_in: self.issuer.settings().access_ttl,
            session: opened.session,
            user: user.id,
            subject: user.username.clone(),
        }))
    }

    /// While the password was verified, the account was locked, disabled or given another password.
    async fn overtaken(
        &self,
        mut transaction: Transaction,
        user: &User,
        now: Timestamp,
    ) -> Result<Refusal, Fault> {
        let user = transaction.find_user(user.id).await?;
        let remaining = user.and_then(|user| lockout::remaining(user.locked_until, now));
        Ok(remaining
            .map_or(Refusal::InvalidCredentials, |retry_after| Refusal::Locked { retry_after }))
    }

    async fn open(
        &self,
        transaction: &mut Transaction,
        user: &User,
        attempt: &Attempt,
        second_factor_at: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<Opened, Fault> {
        let settings = self.issuer.settings();
        let session = SessionId::new(random::ordered_uuid());
        let access_ends = now.plus(settings.access_ttl);
        let refresh_ends = now.plus(settings.refresh_ttl);
        let new = NewSession {
            id: session,
            user: user.id,
            expires_at: if attempt.refreshable {
                access_ends.max(refresh_ends)
            } else {
                access_ends
            },
            address: attempt.address,
            user_agent: attempt.user_agent.as_deref().map(bounded),
            second_factor_at,
        };
        transaction.insert_session(&new, now).await?;
        let displaced = transaction.revoke_oldest_sessions(user.id, MAX_SESSIONS, now).await?;
        let mut refresh_token = None;
        if attempt.refreshable {
            let token = random::token()?;
            let new = NewRefreshToken {
                digest: &opaque::digest(token.expose()),
                session,
                family: &random::ordered_uuid().to_string(),
                expires_at: refresh_ends,
            };
            transaction.insert_refresh_token(&new, now).await?;
            refresh_token = Some(token);
        }
        let roles = transaction.roles_of(user.id).await?;
        Ok(Opened { session, refresh_token, roles, displaced })
    }

    /// Counts the failure. Concurrent ones are all counted, and none beyond the lock.
    async fn fail(&self, user: &User, now: Timestamp) -> Result<Refusal, Fault> {
        let mut transaction = self.store.begin_write().await?;
        let Some(failures) = transaction.count_failure(user.id, now).await? else {
            return self.overtaken(transaction, user, now).await;
        };
        if let Some(until) = lockout::after_failure(failures, &self.settings, now) {
            transaction.lock_user(user.id, until).await?;
        }
        transaction.commit().await?;
        Ok(Refusal::InvalidCredentials)
    }

    async fn fail_unknown(
        &self,
        identifier: &Identifier,
        now: Timestamp,
    ) -> Result<Refusal, Fault> {
        let locked = self.unknown.count_failure(identifier, &self.settings, now);
        let mut transaction = self.store.begin_write().await?;
        transaction.count_unknown_name().await?;
        transaction.commit().await?;
        Ok(locked
            .map_or(Refusal::InvalidCredentials, |retry_after| Refusal::Locked { retry_after }))
    }
}

/// The first 256 bytes, cut between characters.
fn bounded(user_agent: &str) -> &str {
    let mut end = user_agent.len().min(MAX_USER_AGENT);
    while !user_agent.is_char_boundary(end) {
        end -= 1;
    }
    user_agent.get(..end).unwrap_or_default()
}

#[cfg(test)]
#[path = "attempt_tests.rs"]
mod tests;
