//! A login with user name and password.

use std::sync::Arc;
use std::time::Duration;

use super::password::{MAX_LENGTH, PasswordVerification};
use super::pending::PendingLogin;
use super::unknown_account::UnknownAccounts;
use super::{Identifier, LoginRejection, LoginSettings, Passwords, TokenError, device, lockout};
use crate::grant::Issuer;
use crate::login::logged_in::LoggedIn;
use crate::login::request::LoginRequest;
use crate::rate_limit::{Account, Purpose, RateLimiter};
use crate::session::SessionCache;
use crate::snapshot::AuthSnapshot;
use guarita_core::{Secret, Timestamp, UserId, random};
use guarita_kv::{Ephemeral, Tickets};
use guarita_store as store;
use guarita_store::{Counter, Device, MatchPreference, UnknownNameStatus};
use guarita_store::{Store, Transaction, UnknownName, User};

/// Maximum number of pending logins.
const MAX_TICKETS: usize = 100_000;
/// Lifetime of a login ticket.
pub const TICKET_TTL: Duration = Duration::from_secs(300);

/// The login service.
#[derive(Debug)]
pub struct Login {
    pub(super) store: Store,
    pub(super) registry: SessionCache,
    pub(super) issuer: Arc<Issuer>,
    pub(super) passwords: Arc<Passwords>,
    pub(super) settings: LoginSettings,
    pub(super) limits: Arc<RateLimiter>,
    unknown: UnknownAccounts,
    pub(super) tickets: Tickets<PendingLogin>,
}

/// What a login request is about.
struct LoginTarget {
    user: Option<User>,
    /// The known device that it comes from; always one of this user.
    device: Option<Device>,
    /// The digest of an unknown name.
    name: UnknownName,
    /// Its lock, and the hash of some account, so that the work is the same as for an account.
    standing: UnknownNameStatus,
}

impl LoginTarget {
    /// The counter of its failures.
    fn counter(&self) -> Counter<'_> {
        match (&self.user, &self.device) {
            (_, Some(device)) => Counter::Device(&device.digest),
            (Some(user), None) => Counter::User(user.id),
            (None, None) => Counter::Name(&self.name),
        }
    }

    /// The user whose write lock is taken.
    fn turn(&self) -> UserId {
        self.user.as_ref().map_or_else(|| self.name.turn(), |user| user.id)
    }
}

impl Login {
    /// Creates it with the store and the registry of this node. `passwords` is shared with the accounts, `limits`
    /// with everything that is rate-limited.
    #[expect(clippy::too_many_arguments, reason = "each is a part of a login")]
    pub fn new(
        store: Store,
        registry: SessionCache,
        issuer: Arc<Issuer>,
        passwords: Arc<Passwords>,
        settings: LoginSettings,
        limits: Arc<RateLimiter>,
        unknown: UnknownAccounts,
        ephemeral: &Ephemeral,
    ) -> Self {
        let tickets = ephemeral.tickets("mfa", MAX_TICKETS);
        Self { store, registry, issuer, passwords, settings, limits, unknown, tickets }
    }

    /// Performs the login.
    pub async fn attempt(
        &self,
        attempt: LoginRequest,
        snapshot: &AuthSnapshot,
        now: Timestamp,
    ) -> Result<Result<LoggedIn, LoginRejection>, TokenError> {
        if !attempt.identifier.is_bounded() || attempt.password.expose().len() > MAX_LENGTH {
            return Ok(Err(LoginRejection::InvalidCredentials));
        }
        if let Some(address) = attempt.address
            && let Err(limited) =
                self.limits.source(&snapshot.rate_limits, Purpose::Login, address).await
        {
            return Ok(Err(limited.into()));
        }
        let target = self.find(&attempt, now).await?;
        let limited = self.check_limits(&target, &attempt.identifier, snapshot, now).await;
        if let Err(refusal) = limited {
            return Ok(Err(refusal));
        }
        // A decoy is never tried with what was typed: it is the hash of somebody.
        let nonsense = random::token()?;
        let (password, hash) = match &target.user {
            Some(user) => (&attempt.password, Some(&user.password_hash)),
            None => (&nonsense, target.standing.decoy.as_ref()),
        };
        let verified = match self.passwords.verify(password, hash).await? {
            Ok(verified) => verified,
            Err(busy) => return Ok(Err(busy.into())),
        };
        let hash = match (&target.user, verified) {
            (Some(user), PasswordVerification::Right) if user.active => user.password_hash.clone(),
            (Some(user), PasswordVerification::Outdated(hash)) if user.active => hash,
            (
                Some(_) | None,
                PasswordVerification::Wrong
                | PasswordVerification::Right
                | PasswordVerification::Outdated(_),
            ) => {
                return self.fail(target.counter(), target.turn(), now).await.map(Err);
            }
        };
        let LoginTarget { user: Some(user), device, .. } = target else {
            return Ok(Err(LoginRejection::InvalidCredentials));
        };
        self.succeed(user, device, &hash, &attempt, snapshot, now).await
    }

    async fn find(
        &self,
        attempt: &LoginRequest,
        now: Timestamp,
    ) -> Result<LoginTarget, TokenError> {
        let name = self.unknown.find(&attempt.identifier);
        // No consistent snapshot is needed, because the conditions are checked again when writing.
        let looked_for = &name;
        let asked = self.store.autocommit_read().run(|mut transaction| async move {
            let found = ask(&mut transaction, attempt, looked_for, now).await;
            (transaction, found)
        });
        let (user, device, standing) = asked.await?;
        let id = user.as_ref().map(|user| user.id);
        let device = device.filter(|device| Some(device.user) == id);
        Ok(LoginTarget { user, device, name, standing })
    }

    /// Checks the account's lock, then its rate; those of the known device if there is one.
    async fn check_limits(
        &self,
        target: &LoginTarget,
        identifier: &Identifier,
        snapshot: &AuthSnapshot,
        now: Timestamp,
    ) -> Result<(), LoginRejection> {
        let name = identifier.folded();
        let (account, locked_until) = match (&target.user, &target.device) {
            (_, Some(device)) => (Account::Device(&device.digest), device.locked_until),
            (Some(user), None) => (Account::User(user.id), user.locked_until),
            (None, None) => (Account::Name(&name), target.standing.locked_until),
        };
        if let Some(retry_after) = lockout::remaining(locked_until, now) {
            return Err(LoginRejection::Locked { retry_after });
        }
        Ok(self.limits.account(&snapshot.rate_limits, Purpose::Login, account).await?)
    }

    async fn succeed(
        &self,
        user: User,
        device: Option<Device>,
        hash: &Secret,
        attempt: &LoginRequest,
        snapshot: &AuthSnapshot,
        now: Timestamp,
    ) -> Result<Result<LoggedIn, LoginRejection>, TokenError> {
        if self.settings.require_verified_email && user.email_verified_at.is_none() {
            return Ok(Err(LoginRejection::EmailUnverified));
        }
        let transaction = self.store.begin_write_for(user.id).await?;
        let visit = LoginRequest { password: Secret::new(""), ..attempt.clone() };
        let verified = user.password_hash.clone();
        let held = PendingLogin { user: user.id, verified, device, hash: hash.clone(), visit };
        self.finish(transaction, &user, held, None, snapshot, now).await
    }

    /// Counts the failure. Concurrent failures are all counted, but none once it is locked.
    pub(super) async fn fail(
        &self,
        counter: Counter<'_>,
        turn: UserId,
        now: Timestamp,
    ) -> Result<LoginRejection, TokenError> {
        let mut transaction = self.store.begin_write_for(turn).await?;
        let Some(failures) = transaction.count_failure(counter, now).await? else {
            return self.lost_race(transaction, counter, now).await;
        };
        if let Some(until) = lockout::after_failure(failures, &self.settings, now) {
            transaction.lock(counter, until).await?;
        }
        transaction.commit().await?;
        Ok(LoginRejection::InvalidCredentials)
    }
}

/// Looks up a name with the same work, whether or not an account has it.
async fn ask(
    transaction: &mut Transaction,
    attempt: &LoginRequest,
    name: &UnknownName,
    now: Timestamp,
) -> Result<(Option<User>, Option<Device>, UnknownNameStatus), store::StoreError> {
    let first = match &attempt.identifier {
        Identifier::Username(_) => MatchPreference::Name,
        Identifier::Email(_) => MatchPreference::Address,
    };
    let user = transaction.find_user_by_either(attempt.identifier.text(), first).await?;
    let device = device::find(transaction, attempt.device.as_ref(), now).await?;
    Ok((user, device, transaction.standing_of_name(name).await?))
}

#[cfg(test)]
#[path = "attempt_tests.rs"]
mod tests;
