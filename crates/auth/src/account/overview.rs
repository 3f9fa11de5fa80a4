//! The account as its own user sees it.

use crate::grant::TokenError;
use guarita_core::{Secret, UserId};
use guarita_store::Store;

/// An account as its owner sees it.
#[derive(Debug)]
pub struct AccountOverview {
    /// The user name.
    pub username: String,
    /// The address.
    pub email: Option<Secret>,
    /// The name.
    pub full_name: Option<Secret>,
    /// The roles, separated by commas.
    pub roles: String,
    /// Whether a second factor is active, and how many recovery codes are left.
    pub recovery_codes: Option<i64>,
}

/// Looks accounts up.
#[derive(Debug)]
pub struct Overviews {
    store: Store,
}

impl Overviews {
    /// Over one store.
    pub const fn new(store: Store) -> Self {
        Self { store }
    }

    /// The account, if it still exists.
    pub async fn find(&self, id: UserId) -> Result<Option<AccountOverview>, TokenError> {
        let mut transaction = self.store.read().await?;
        let Some(user) = transaction.find_user(id).await? else { return Ok(None) };
        let roles = transaction.roles_of(id).await?;
        let profile = transaction.profile_of(id).await?;
        let recovery_codes = match transaction.find_totp(id, None).await? {
            Some(_) => Some(transaction.count_recovery_codes(id).await?),
            None => None,
        };
        Ok(Some(AccountOverview {
            username: user.username.as_str().to_owned(),
            email: user.email.map(|email| Secret::new(email.expose())),
            full_name: profile.full_name.map(|name| Secret::new(name.expose())),
            roles: roles.iter().collect::<Vec<_>>().join(", "),
            recovery_codes,
        }))
    }
}
