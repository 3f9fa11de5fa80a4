//! Administration of accounts. Each change is one transaction; it takes effect on this node before the function
//! returns, on every other node within 1 s.

use std::sync::Arc;

use super::link::MailedLinks;
use super::policy::{PasswordPolicy, Weakness};
use crate::grant::TokenError;
use crate::login::identifier::MAX_USERNAME;
use crate::login::password::Busy;
use crate::session::SessionCache;
use guarita_core::api_key::is_of_service;
use guarita_core::identity::MAX_ROLES;
use guarita_core::{EmailAddress, Profile, Role, Roles, Secret, Subject, Timestamp, UserId};
use guarita_mail::SecurityNotice;
use guarita_store::{LinkPurpose, NewUser, Store, Taken, Transaction, User};

/// Maximum number of accounts per page.
pub const MAX_PAGE: u32 = 1_000;

/// Why a change is rejected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[must_use]
pub enum AccountRejection {
    /// Out of bounds.
    #[error(
        "a user name must have 1 to 128 characters, no control characters and no space at either end, must not \
         be \"system\" and must not begin with \"apikey:\""
    )]
    InvalidUsername,
    /// Out of bounds.
    #[error("the e-mail address is invalid")]
    InvalidEmail,
    /// The password does not meet the policy.
    #[error("{0}")]
    WeakPassword(Weakness),
    /// The name or the address is taken.
    #[error("a user with this user name or e-mail address already exists")]
    AlreadyExists,
    /// The CPF is taken.
    #[error("a user with this CPF already exists")]
    CpfTaken,
    /// The id at a provider is taken.
    #[error("a user with this auth_user_id already exists")]
    AuthUserTaken,
    /// No such account.
    #[error("there is no such user")]
    UnknownUser,
    /// More than 256.
    #[error("a user can have at most 256 roles")]
    TooManyRoles,
    /// The pool of password hashing is full.
    #[error("too many passwords are being hashed at once")]
    Busy,
}

/// An account to be.
pub struct NewAccount {
    /// 1 to 128 characters.
    pub username: String,
    /// At most 254 bytes.
    pub email: Option<String>,
    /// Must meet the policy.
    pub password: Secret,
    /// At most 256.
    pub roles: Vec<Role>,
    /// Who it is.
    pub profile: Profile,
    /// Whether it may log in (`ativo`).
    pub active: bool,
    /// Whether it is verified by the operator; otherwise a verification mail is sent to its address.
    pub verified: bool,
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
    registry: SessionCache,
    policy: Arc<PasswordPolicy>,
    links: Arc<MailedLinks>,
}

type AccountOutcome<T> = Result<Result<T, AccountRejection>, TokenError>;

impl Accounts {
    /// Creates it with the registry of this node, the policy and the link service.
    pub fn new(
        registry: SessionCache,
        policy: Arc<PasswordPolicy>,
        links: Arc<MailedLinks>,
    ) -> Self {
        Self { store: links.store.clone(), registry, policy, links }
    }

    /// Creates an account.
    pub async fn create(&self, new: NewAccount, now: Timestamp) -> AccountOutcome<UserId> {
        let (username, email) = match Self::check(&new) {
            Ok(checked) => checked,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let about = [new.username.as_str(), new.email.as_deref().unwrap_or_default()];
        if let Err(weakness) = self.policy.check(&new.password, &about).await? {
            return Ok(Err(AccountRejection::WeakPassword(weakness)));
        }
        let Ok(password_hash) = self.links.passwords.hash(&new.password).await? else {
            return Ok(Err(AccountRejection::Busy));
        };
        let asks = email.is_some() && !new.verified && new.active && self.links.outbox.is_open();
        let fresh = match if asks { self.links.fresh().await?.map(Some) } else { Ok(None) } {
            Ok(fresh) => fresh,
            Err(Busy) => return Ok(Err(AccountRejection::Busy)),
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
            return Ok(Err(AccountRejection::AlreadyExists));
        };
        for role in &new.roles {
            transaction.insert_role(id, role).await?;
        }
        if !new.profile.is_empty() && !transaction.insert_profile(id, &new.profile).await? {
            return Ok(Err(AccountRejection::CpfTaken));
        }
        if !new.active {
            transaction.set_active(id, false, now).await?;
        }
        if new.verified {
            transaction.mark_verified(id, now).await?;
        }
        if let Some(fresh) = fresh {
            let user = transaction.find_user(id).await?;
            let purpose = LinkPurpose::Verification;
            let links = &self.links;
            links.write(&mut transaction, purpose, user.as_ref(), &fresh, None, now).await?;
        }
        transaction.commit().await?;
        Ok(Ok(id))
    }

    /// At most `limit` accounts (1 to 1,000) with ids above `after`, in order of id.
    pub async fn list(&self, after: UserId, limit: u32) -> Result<Vec<Account>, TokenError> {
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
    pub async fn show(&self, username: &str) -> Result<Option<Account>, TokenError> {
        let mut transaction = self.store.read().await?;
        let Some(user) = transaction.find_user_by_username(username).await? else {
            return Ok(None);
        };
        let roles = transaction.roles_of(user.id).await?;
        let profile = transaction.profile_of(user.id).await?;
        Ok(Some(Account { user, roles, profile }))
    }

    /// Replaces the password and revokes all sessions; returns how many were active.
    pub async fn set_password(
        &self,
        username: &str,
        password: &Secret,
        now: Timestamp,
    ) -> AccountOutcome<u64> {
        let known = self.store.read().await?.find_user_by_username(username).await?;
        let address = known.and_then(|user| user.email);
        let about = [username, address.as_ref().map_or("", EmailAddress::expose)];
        if let Err(weakness) = self.policy.check(password, &about).await? {
            return Ok(Err(AccountRejection::WeakPassword(weakness)));
        }
        let Ok(hash) = self.links.passwords.hash(password).await? else {
            return Ok(Err(AccountRejection::Busy));
        };
        let Some((mut transaction, user)) = self.begin(username).await? else {
            return Ok(Err(AccountRejection::UnknownUser));
        };
        transaction.set_password_hash(user.id, &hash).await?;
        let revoked = transaction.revoke_sessions_of(user.id, now).await?;
        let notice = SecurityNotice::PasswordChanged;
        self.links.outbox.notify(&mut transaction, &user, notice, None, now).await?;
        self.finish(transaction, user.id).await?;
        Ok(Ok(revoked))
    }

    /// Disables the account and revokes all sessions; returns how many were active.
    pub async fn disable(&self, username: &str, now: Timestamp) -> AccountOutcome<u64> {
        let Some((mut transaction, user)) = self.begin(username).await? else {
            return Ok(Err(AccountRejection::UnknownUser));
        };
        transaction.set_active(user.id, false, now).await?;
        let revoked = transaction.revoke_sessions_of(user.id, now).await?;
        self.finish(transaction, user.id).await?;
        Ok(Ok(revoked))
    }

    /// Enables the account and ends a lock; revoked sessions stay revoked.
    pub async fn enable(&self, username: &str, now: Timestamp) -> AccountOutcome<()> {
        let Some((mut transaction, user)) = self.begin(username).await? else {
            return Ok(Err(AccountRejection::UnknownUser));
        };
        transaction.set_active(user.id, true, now).await?;
        transaction.unlock(user.id).await?;
        self.finish(transaction, user.id).await?;
        Ok(Ok(()))
    }

    /// Marks the account as verified by the operator, with or without an address.
    pub async fn mark_verified(&self, username: &str, now: Timestamp) -> AccountOutcome<()> {
        let Some((mut transaction, user)) = self.begin(username).await? else {
            return Ok(Err(AccountRejection::UnknownUser));
        };
        transaction.mark_verified(user.id, now).await?;
        self.finish(transaction, user.id).await?;
        Ok(Ok(()))
    }

    /// Removes the second factor and revokes all sessions; returns whether there was one.
    pub async fn reset_second_factor(
        &self,
        username: &str,
        now: Timestamp,
    ) -> AccountOutcome<bool> {
        let Some((mut transaction, user)) = self.begin(username).await? else {
            return Ok(Err(AccountRejection::UnknownUser));
        };
        let removed = transaction.remove_totp(user.id).await?;
        if removed {
            let notice = SecurityNotice::FactorRemoved;
            self.links.outbox.notify(&mut transaction, &user, notice, None, now).await?;
        }
        transaction.revoke_sessions_of(user.id, now).await?;
        self.finish(transaction, user.id).await?;
        Ok(Ok(removed))
    }

    /// Sets whether a second factor is required of the account; returns whether that changed.
    pub async fn require_second_factor(
        &self,
        username: &str,
        required: bool,
        now: Timestamp,
    ) -> AccountOutcome<bool> {
        let Some((mut transaction, user)) = self.begin(username).await? else {
            return Ok(Err(AccountRejection::UnknownUser));
        };
        transaction.set_second_factor_required(user.id, required, now).await?;
        self.finish(transaction, user.id).await?;
        Ok(Ok(user.second_factor_required != required))
    }

    /// Grants a role; returns whether it was new.
    pub async fn grant(&self, username: &str, role: &Role, now: Timestamp) -> AccountOutcome<bool> {
        let Some((mut transaction, user)) = self.begin(username).await? else {
            return Ok(Err(AccountRejection::UnknownUser));
        };
        let roles = transaction.roles_of(user.id).await?;
        if !roles.contains(role) && roles.iter().count() >= MAX_ROLES {
            return Ok(Err(AccountRejection::TooManyRoles));
        }
        let new = transaction.grant_role(user.id, role, now).await?;
        self.finish(transaction, user.id).await?;
        Ok(Ok(new))
    }

    /// Revokes a role; returns whether the account had it.
    pub async fn revoke(
        &self,
        username: &str,
        role: &Role,
        now: Timestamp,
    ) -> AccountOutcome<bool> {
        let Some((mut transaction, user)) = self.begin(username).await? else {
            return Ok(Err(AccountRejection::UnknownUser));
        };
        let removed = transaction.revoke_role(user.id, role, now).await?;
        self.finish(transaction, user.id).await?;
        Ok(Ok(removed))
    }

    async fn begin(&self, username: &str) -> Result<Option<(Transaction, User)>, TokenError> {
        let mut transaction = self.store.begin_write().await?;
        let user = transaction.find_user_by_username(username).await?;
        Ok(user.map(|user| (transaction, user)))
    }

    async fn finish(&self, transaction: Transaction, user: UserId) -> Result<(), TokenError> {
        let committed = transaction.commit().await;
        // After a fault too: it may have been committed.
        self.registry.forget_user(user);
        Ok(committed?)
    }

    fn check(new: &NewAccount) -> Result<(Subject, Option<EmailAddress>), AccountRejection> {
        let username = check_username(&new.username)?;
        let email = new.email.as_deref().map(EmailAddress::parse).transpose();
        let email = email.map_err(|_| AccountRejection::InvalidEmail)?;
        if Roles::new(new.roles.clone()).is_err() {
            return Err(AccountRejection::TooManyRoles);
        }
        Ok((username, email))
    }
}

/// The conflict of a new account with an existing one.
fn refuse_taken(taken: Taken) -> AccountRejection {
    match taken {
        Taken::Username | Taken::Email => AccountRejection::AlreadyExists,
        Taken::Cpf => AccountRejection::CpfTaken,
        Taken::AuthUser => AccountRejection::AuthUserTaken,
    }
}

pub(super) fn check_username(username: &str) -> Result<Subject, AccountRejection> {
    let length = username.chars().count();
    let sound = (1..=MAX_USERNAME).contains(&length)
        && username.trim() == username
        && !is_of_service(&username.to_lowercase());
    if !sound {
        return Err(AccountRejection::InvalidUsername);
    }
    Subject::parse(username).map_err(|_| AccountRejection::InvalidUsername)
}

#[cfg(test)]
#[path = "administration_tests.rs"]
pub(super) mod tests;
