//! One attempt to log in, from the name to the tokens.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::held::Held;
use super::password::{MAX_LENGTH, Verified};
use super::unknown::UnknownNames;
use super::{Fault, Identifier, Opens, Passwords, Refusal, Settings, Tokens, device, lockout};
use crate::adapters::ephemeral::{Ephemeral, Full, Tickets};
use crate::adapters::store::{Counter, Device, NOBODY, NewRefreshToken, NewSession};
use crate::adapters::store::{Store, Transaction, User};
use crate::model::{Roles, Secret, SessionId, Timestamp, random};
use crate::rules::token::{browser, opaque};
use crate::services::grant::{Issue, Issuer, Rotation};
use crate::services::limit::{Account, Limits, Purpose};
use crate::services::session::Registry;

/// Longest user agent that is kept, in bytes.
const MAX_USER_AGENT: usize = 256;
/// Live sessions per user; the oldest are revoked.
const MAX_SESSIONS: i64 = 1_000;
/// Logins that wait for their second factor.
const MAX_TICKETS: usize = 100_000;
/// Life of a ticket.
pub const TICKET_TTL: Duration = Duration::from_secs(300);
/// Attempts of a ticket.
const TICKET_ATTEMPTS: u32 = 5;

/// One attempt to log in.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// Who.
    pub identifier: Identifier,
    /// With which password.
    pub password: Secret,
    /// What it is to open.
    pub opens: Opens,
    /// The token of a known device, as it came.
    pub device: Option<Secret>,
    /// The caller's address and user agent, kept with the session.
    pub address: Option<IpAddr>,
    /// At most 256 bytes are kept.
    pub user_agent: Option<String>,
}

/// The login service.
#[derive(Debug)]
pub struct Login {
    pub(super) store: Store,
    pub(super) registry: Registry,
    issuer: Arc<Issuer>,
    pub(super) passwords: Arc<Passwords>,
    settings: Settings,
    pub(super) limits: Arc<Limits>,
    unknown: UnknownNames,
    pub(super) tickets: Tickets<Held>,
}

/// What an attempt is about.
struct Target {
    user: Option<User>,
    /// The known device that it comes from; always one of that user.
    device: Option<Device>,
    /// Where there is no user, some account's hash, to take the time that accounts take.
    decoy: Option<Secret>,
}

/// A session that was opened, before its access token is signed.
pub(super) struct Opened {
    pub(super) session: SessionId,
    refresh_token: Option<Secret>,
    pub(super) cookie: Option<Secret>,
    roles: Roles,
    pub(super) displaced: Vec<SessionId>,
}

impl Login {
    /// Over one store and the registry of this node. `passwords` is shared with the accounts,
    /// `limits` with all that is limited.
    pub fn new(
        store: Store,
        registry: Registry,
        issuer: Arc<Issuer>,
        passwords: Arc<Passwords>,
        settings: Settings,
        limits: Arc<Limits>,
        ephemeral: &Ephemeral,
    ) -> Self {
        let (unknown, tickets) = (UnknownNames::new(), ephemeral.tickets("mfa", MAX_TICKETS));
        Self { store, registry, issuer, passwords, settings, limits, unknown, tickets }
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
        if let Some(address) = attempt.address
            && let Err(limited) = self.limits.source(Purpose::Login, address).await
        {
            return Ok(Err(limited.into()));
        }
        let target = self.find(&attempt, now).await?;
        if let Err(refusal) = self.admit(&target, &attempt.identifier, now).await {
            return Ok(Err(refusal));
        }
        // A decoy is never tried with what was typed: it is the hash of somebody.
        let nonsense = random::token()?;
        let (password, hash) = match &target.user {
            Some(user) => (&attempt.password, Some(&user.password_hash)),
            None => (&nonsense, target.decoy.as_ref()),
        };
        let verified = match self.passwords.verify(password, hash).await? {
            Ok(verified) => verified,
            Err(busy) => return Ok(Err(busy.into())),
        };
        let Target { user, device, decoy: _ } = target;
        match (user, verified) {
            (Some(user), Verified::Right) if user.active => {
                let hash = user.password_hash.clone();
                self.succeed(user, device, &hash, &attempt, now).await
            }
            (Some(user), Verified::Outdated(hash)) if user.active => {
                self.succeed(user, device, &hash, &attempt, now).await
            }
            (Some(user), Verified::Wrong | Verified::Right | Verified::Outdated(_)) => {
                self.fail(&user, device.as_ref(), now).await.map(Err)
            }
            (None, Verified::Wrong | Verified::Right | Verified::Outdated(_)) => {
                Ok(Err(self.fail_unknown(&attempt.identifier, now).await?))
            }
        }
    }

    async fn find(&self, attempt: &Attempt, now: Timestamp) -> Result<Target, Fault> {
        let mut transaction = self.store.read().await?;
        let user = match &attempt.identifier {
            Identifier::Username(name) => transaction.find_user_by_username(name).await?,
            Identifier::Email(email) => transaction.find_user_by_email(email).await?,
            Identifier::Either(name) => {
                // Both are asked for, whichever is found: the same work.
                let by_email = transaction.find_user_by_email(name).await?;
                transaction.find_user_by_username(name).await?.or(by_email)
            }
        };
        // Asked for unknown names as well: the same work.
        let device = device::find(&mut transaction, attempt.device.as_ref(), now).await?;
        let id = user.as_ref().map(|user| user.id);
        let device = device.filter(|device| Some(device.user) == id);
        let number = self.unknown.number(&attempt.identifier);
        let decoy = transaction.some_password_hash(number).await?;
        Ok(Target { user, device, decoy })
    }

    /// The account's lock, then its rate; those of the known device where there is one.
    async fn admit(
        &self,
        target: &Target,
        identifier: &Identifier,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let name = identifier.folded();
        let (account, remaining) = match (&target.user, &target.device) {
            (_, Some(device)) => {
                (Account::Device(&device.digest), lockout::remaining(device.locked_until, now))
            }
            (Some(user), None) => {
                (Account::User(user.id), lockout::remaining(user.locked_until, now))
            }
            (None, None) => (Account::Name(&name), self.unknown.remaining(identifier, now)),
        };
        if let Some(retry_after) = remaining {
            return Err(Refusal::Locked { retry_after });
        }
        Ok(self.limits.account(Purpose::Login, account).await?)
    }

    /// One transaction: the success is recorded and the session opened, or neither.
    async fn succeed(
        &self,
        user: User,
        device: Option<Device>,
        hash: &Secret,
        attempt: &Attempt,
        now: Timestamp,
    ) -> Result<Result<Tokens, Refusal>, Fault> {
        if self.settings.require_verified_email && user.email_verified_at.is_none() {
            return Ok(Err(Refusal::EmailUnverified));
        }
        let mut transaction = self.store.begin_write_for(user.id).await?;
        let visit = Attempt { password: Secret::new(""), ..attempt.clone() };
        let verified = user.password_hash.clone();
        let mut held = Held { user: user.id, verified, device, hash: hash.clone(), visit };
        if transaction.find_totp(user.id, None).await?.is_none() {
            return self.finish(transaction, &user, &held, None, now).await;
        }
        // A ticket may be kept in the same database, where one writes at a time.
        drop(transaction);
        if held.visit.opens == Opens::AccessToken {
            held.visit.opens = Opens::Tokens;
        }
        let ticket = random::token()?;
        Ok(Err(match self.tickets.put(&ticket, held, TICKET_ATTEMPTS, TICKET_TTL, now).await {
            Ok(Ok(())) => Refusal::SecondFactorRequired { ticket },
            Ok(Err(Full)) => Refusal::Busy,
            Err(out_of_reach) => out_of_reach.into(),
        }))
    }

    /// Records the success and opens the session, or neither.
    pub(super) async fn finish(
        &self,
        mut transaction: Transaction,
        user: &User,
        held: &Held,
        second_factor_at: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<Result<Tokens, Refusal>, Fault> {
        let (verified, attempt) = (&held.verified, &held.visit);
        let recorded = match &held.device {
            Some(device) => {
                let used = device::used(device, now);
                transaction.record_success_from(&used, verified, &held.hash, now).await?
            }
            None => transaction.record_success(user.id, verified, &held.hash, now).await?,
        };
        if !recorded {
            return self.overtaken(transaction, user, held.device.as_ref(), now).await.map(Err);
        }
        let opened = self.open(&mut transaction, user, attempt, second_factor_at, now).await?;
        let device = match (&held.device, attempt.opens) {
            (Some(_), _) => attempt.device.clone(),
            (None, Opens::Tokens | Opens::Cookie) => {
                Some(device::remember(&mut transaction, user.id, now).await?)
            }
            (None, Opens::AccessToken) => None,
        };
        transaction.commit().await?;
        for session in opened.displaced {
            self.registry.revoke(session);
        }
        // A signature may wait for its turn, and while a transaction is open nothing else is written.
        let expires_at = self.issuer.settings().access_ends(now, now);
        let (access_token, half_proven) = self
            .issuer
            .issue(Issue {
                user,
                roles: opened.roles,
                session: opened.session,
                token_id: random::ordered_uuid().to_string(),
                issued_at: now,
                expires_at,
                second_factor_at,
            })
            .await?;
        Ok(Ok(Tokens {
            access_token,
            refresh_token: opened.refresh_token,
            expires_in: now.until(expires_at),
            session: opened.session,
            user: user.id,
            subject: user.username.clone(),
            half_proven,
            device,
            cookie: opened.cookie,
        }))
    }

    /// While the password was verified, the account was locked, disabled or given another password.
    async fn overtaken(
        &self,
        mut transaction: Transaction,
        user: &User,
        device: Option<&Device>,
        now: Timestamp,
    ) -> Result<Refusal, Fault> {
        let locked_until = match device {
            Some(device) => {
                let device = transaction.find_device(&device.digest).await?;
                device.and_then(|device| device.locked_until)
            }
            None => transaction.find_user(user.id).await?.and_then(|user| user.locked_until),
        };
        let remaining = lockout::remaining(locked_until, now);
        Ok(remaining
            .map_or(Refusal::InvalidCredentials, |retry_after| Refusal::Locked { retry_after }))
    }

    pub(super) async fn open(
        &self,
        transaction: &mut Transaction,
        user: &User,
        attempt: &Attempt,
        second_factor_at: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<Opened, Fault> {
        let settings = self.issuer.settings();
        let session = SessionId::new(random::ordered_uuid());
        let access_ends = settings.access_ends(now, now);
        let refresh_ends = settings.refresh_ends(now, now);
        let rotates = settings.refresh_rotation != Rotation::Off;
        let (refreshable, cookie, expires_at) = match attempt.opens {
            Opens::Tokens if rotates => (true, None, access_ends.max(refresh_ends)),
            Opens::Tokens | Opens::AccessToken => (false, None, access_ends),
            Opens::Cookie => {
                let cookie = browser::session_cookie(session, &random::token()?);
                (false, Some(cookie), self.settings.browser.ends(now, now))
            }
        };
        let new = NewSession {
            id: session,
            user: user.id,
            expires_at,
            address: attempt.address,
            user_agent: attempt.user_agent.as_deref().map(bounded),
            second_factor_at,
            cookie_digest: cookie.as_ref().map(|cookie| opaque::digest(cookie.expose())),
        };
        transaction.insert_session(&new, now).await?;
        let displaced = transaction.revoke_oldest_sessions(user.id, MAX_SESSIONS, now).await?;
        let mut refresh_token = None;
        if refreshable {
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
        Ok(Opened { session, refresh_token, cookie, roles, displaced })
    }

    /// Counts the failure. Concurrent ones are all counted, and none beyond the lock.
    pub(super) async fn fail(
        &self,
        user: &User,
        device: Option<&Device>,
        now: Timestamp,
    ) -> Result<Refusal, Fault> {
        let mut transaction = self.store.begin_write_for(user.id).await?;
        let counter =
            device.map_or(Counter::User(user.id), |device| Counter::Device(device.digest.as_str()));
        let Some(failures) = transaction.count_failure(counter, now).await? else {
            return self.overtaken(transaction, user, device, now).await;
        };
        if let Some(until) = lockout::after_failure(failures, &self.settings, now) {
            transaction.lock(counter, until).await?;
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
        // The row is touched here only, and waits no longer than that of an account would.
        let mut transaction = self.store.begin_write_for(NOBODY).await?;
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
