//! What an administrator does to accounts. Each change is one transaction and holds on this node
//! before it returns, on every other within 1 s.

use std::sync::Arc;

use crate::adapters::store::{NewUser, Store, Taken, Transaction, User};
use crate::model::identity::MAX_ROLES;
use crate::model::{EmailAddress, Profile, Role, Roles, Secret, Subject, Timestamp, UserId};
use crate::services::grant::Fault;
use crate::services::login::identifier::MAX_USERNAME;
use crate::services::login::{Passwords, password};
use crate::services::session::Registry;

/// Most accounts on one page.
pub const MAX_PAGE: u32 = 1_000;
/// The subject of service API keys (contract section 4): no person may have it.
const RESERVED: &str = "system";

/// Why a change is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[must_use]
pub enum Refusal {
    /// Out of bounds.
    #[error(
        "a user name has 1 to 128 characters, no control characters, no space at its ends, and is not \"system\""
    )]
    InvalidUsername,
    /// Out of bounds.
    #[error("the e-mail address is not valid")]
    InvalidEmail,
    /// Shorter than the policy.
    #[error("a password has at least {min_length} characters")]
    PasswordTooShort {
        /// The policy.
        min_length: usize,
    },
    /// Longer than 1024 bytes.
    #[error("a password has at most 1024 bytes")]
    PasswordTooLong,
    /// The name or the address is taken.
    #[error("a user with this name or e-mail address exists already")]
    AlreadyExists,
    /// The CPF is taken.
    #[error("a user with this CPF exists already")]
    CpfTaken,
    /// The id at a provider is taken.
    #[error("a user with this auth_user_id exists already")]
    AuthUserTaken,
    /// No such account.
    #[error("there is no such user")]
    UnknownUser,
    /// More than 256.
    #[error("a user has at most 256 roles")]
    TooManyRoles,
    /// The pool of password hashing is full.
    #[error("too many passwords are being hashed now")]
    Busy,
}

/// An account to be.
pub struct NewAccount {
    /// 1 to 128 characters.
    pub username: String,
    /// At most 254 bytes.
    pub email: Option<String>,
    /// At least as long as the policy says, at most 1024 bytes.
    pub password: Secret,
    /// At most 256.
    pub roles: Vec<Role>,
    /// Who it is.
    pub profile: Profile,
    /// Whether it may log in (`ativo`).
    pub active: bool,
}

/// An account with its roles.
#[derive(Debug)]
pub struct Account {
    /// The row.
    pub user: User,
    /// Its roles.
    pub roles: Roles,
    /// Who it is.
    pub profile: Profile,
}

/// The administration of accounts.
#[derive(Debug)]
pub struct Accounts {
    pub(super) store: Store,
    registry: Registry,
    passwords: Arc<Passwords>,
    min_length: usize,
}

type Outcome<T> = Result<Result<T, Refusal>, Fault>;

impl Accounts {
    /// Over one store and the registry of this node; `min_length` counts characters.
    pub fn new(
        store: Store,
        registry: Registry,
        passwords: Arc<Passwords>,
        min_length: usize,
    ) -> Self {
        Self { store, registry, passwords, min_length }
    }

    /// Creates an account.
    pub async fn create(&self, new: NewAccount, now: Timestamp) -> Outcome<UserId> {
        let (username, email) = match self.check(&new) {
            Ok(checked) => checked,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let Ok(password_hash) = self.passwords.hash(&new.password).await? else {
            return Ok(Err(Refusal::Busy));
        };
        let user = NewUser {
            username: &username,
            email: email.as_ref().map(EmailAddress::expose),
            password_hash: &password_hash,
        };
        let mut transaction = self.store.begin_write().await?;
        let taken = transaction.find_taken(&new.username, user.email, &new.profile).await?;
        if let Some(taken) = taken.first() {
            return Ok(Err(refuse_taken(*taken)));
        }
        let Some(id) = transaction.insert_user(&user, now).await? else {
            return Ok(Err(Refusal::AlreadyExists));
        };
        for role in &new.roles {
            transaction.insert_role(id, role).await?;
        }
        if !new.profile.is_empty() && !transaction.insert_profile(id, &new.profile).await? {
            return Ok(Err(Refusal::CpfTaken));
        }
        if !new.active {
            transaction.set_active(id, false, now).await?;
        }
        transaction.commit().await?;
        Ok(Ok(id))
    }

    /// At most `limit` accounts (1 to 1,000) with ids above `after`, in order of id.
    pub async fn list(&self, after: UserId, limit: u32) -> Result<Vec<Account>, Fault> {
        let mut transaction = self.store.read().await?;
        let limit = i64::from(limit.clamp(1, MAX_PAGE));
        let mut accounts = Vec::new();
        for user in transaction.list_users(after, limit).await? {
            let roles = transaction.roles_of(user.id).await?;
            let profile = transaction.profile_of(user.id).await?;
            accounts.push(Account { user, roles, profile });
        }
        Ok(accounts)
    }

    /// The account of that name.
    pub async fn show(&self, username: &str) -> Result<Option<Account>, Fault> {
        let mut transaction = self.store.read().await?;
        let Some(user) = transaction.find_user_by_username(username).await? else {
            return Ok(None);
        };
        let roles = transaction.roles_of(user.id).await?;
        let profile = transaction.profile_of(user.id).await?;
        Ok(Some(Account { user, roles, profile }))
    }

    /// Replaces the password and revokes every session; how many were live.
    pub async fn set_password(
        &self,
        username: &str,
        password: &Secret,
        now: Timestamp,
    ) -> Outcome<u64> {
        if let Err(refusal) = self.check_password(password) {
            return Ok(Err(refusal));
        }
        let Ok(hash) = self.passwords.hash(password).await? else {
            return Ok(Err(Refusal::Busy));
        };
        let Some((mut transaction, user)) = self.begin(username).await? else {
            return Ok(Err(Refusal::UnknownUser));
        };
        transaction.set_password_hash(user.id, &hash).await?;
        let revoked = transaction.revoke_sessions_of(user.id, now).await?;
        self.finish(transaction, user.id).await?;
        Ok(Ok(revoked))
    }

    /// Disables the account and revokes every session; how many were live.
    pub async fn disable(&self, username: &str, now: Timestamp) -> Outcome<u64> {
        let Some((mut transaction, user)) = self.begin(username).await? else {
            return Ok(Err(Refusal::UnknownUser));
        };
        transaction.set_active(user.id, false, now).await?;
        let revoked = transaction.revoke_sessions_of(user.id, now).await?;
        self.finish(transaction, user.id).await?;
        Ok(Ok(revoked))
    }

    /// Enables the account and ends a lock; sessions from before stay revoked.
    pub async fn enable(&self, username: &str, now: Timestamp) -> Outcome<()> {
        let Some((mut transaction, user)) = self.begin(username).await? else {
            return Ok(Err(Refusal::UnknownUser));
        };
        transaction.set_active(user.id, true, now).await?;
        transaction.unlock(user.id).await?;
        self.finish(transaction, user.id).await?;
        Ok(Ok(()))
    }

    /// Removes the second factor and revokes every session; whether there was one.
    pub async fn reset_second_factor(&self, username: &str, now: Timestamp) -> Outcome<bool> {
        let Some((mut transaction, user)) = self.begin(username).await? else {
            return Ok(Err(Refusal::UnknownUser));
        };
        let removed = transaction.remove_totp(user.id).await?;
        transaction.revoke_sessions_of(user.id, now).await?;
        self.finish(transaction, user.id).await?;
        Ok(Ok(removed))
    }

    /// Demands a second factor of the account, or no longer; whether that is new.
    pub async fn require_second_factor(
        &self,
        username: &str,
        required: bool,
        now: Timestamp,
    ) -> Outcome<bool> {
        let Some((mut transaction, user)) = self.begin(username).await? else {
            return Ok(Err(Refusal::UnknownUser));
        };
        transaction.set_second_factor_required(user.id, required, now).await?;
        self.finish(transaction, user.id).await?;
        Ok(Ok(user.second_factor_required != required))
    }

    /// Gives a role; whether it was new.
    pub async fn grant(&self, username: &str, role: &Role, now: Timestamp) -> Outcome<bool> {
        let Some((mut transaction, user)) = self.begin(username).await? else {
            return Ok(Err(Refusal::UnknownUser));
        };
        let roles = transaction.roles_of(user.id).await?;
        if !roles.contains(role) && roles.iter().count() >= MAX_ROLES {
            return Ok(Err(Refusal::TooManyRoles));
        }
        let new = transaction.grant_role(user.id, role, now).await?;
        self.finish(transaction, user.id).await?;
        Ok(Ok(new))
    }

    /// Takes a role away; whether there was one.
    pub async fn revoke(&self, username: &str, role: &Role, now: Timestamp) -> Outcome<bool> {
        let Some((mut transaction, user)) = self.begin(username).await? else {
            return Ok(Err(Refusal::UnknownUser));
        };
        let removed = transaction.revoke_role(user.id, role, now).await?;
        self.finish(transaction, user.id).await?;
        Ok(Ok(removed))
    }

    async fn begin(&self, username: &str) -> Result<Option<(Transaction, User)>, Fault> {
        let mut transaction = self.store.begin_write().await?;
        let user = transaction.find_user_by_username(username).await?;
        Ok(user.map(|user| (transaction, user)))
    }

    async fn finish(&self, transaction: Transaction, user: UserId) -> Result<(), Fault> {
        let committed = transaction.commit().await;
        // After a fault too: it may have been committed.
        self.registry.forget_user(user);
        Ok(committed?)
    }

    fn check(&self, new: &NewAccount) -> Result<(Subject, Option<EmailAddress>), Refusal> {
        let username = check_username(&new.username)?;
        let email = new.email.as_deref().map(EmailAddress::parse).transpose();
        let email = email.map_err(|_| Refusal::InvalidEmail)?;
        self.check_password(&new.password)?;
        if Roles::new(new.roles.clone()).is_err() {
            return Err(Refusal::TooManyRoles);
        }
        Ok((username, email))
    }

    fn check_password(&self, candidate: &Secret) -> Result<(), Refusal> {
        if candidate.expose().len() > password::MAX_LENGTH {
            return Err(Refusal::PasswordTooLong);
        }
        if candidate.expose().chars().count() < self.min_length {
            return Err(Refusal::PasswordTooShort { min_length: self.min_length });
        }
        Ok(())
    }
}

/// What an account to be shares with one that exists.
fn refuse_taken(taken: Taken) -> Refusal {
    match taken {
        Taken::Username | Taken::Email => Refusal::AlreadyExists,
        Taken::Cpf => Refusal::CpfTaken,
        Taken::AuthUser => Refusal::AuthUserTaken,
    }
}

pub(super) fn check_username(username: &str) -> Result<Subject, Refusal> {
    let length = username.chars().count();
    let sound = (1..=MAX_USERNAME).contains(&length)
        && username.trim() == username
        && username.to_lowercase() != RESERVED;
    if !sound {
        return Err(Refusal::InvalidUsername);
    }
    Subject::parse(username).map_err(|_| Refusal::InvalidUsername)
}

#[cfg(test)]
#[path = "administration_tests.rs"]
pub(super) mod tests;
