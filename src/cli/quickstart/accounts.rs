//! The two accounts of the quickstart, created once: one administrator and one reader.

use std::path::Path;

use crate::cli::user;
use crate::config;
use guarita_auth::account::{AccountRejection, NewAccount};
use guarita_core::{Profile, Role, Secret, random, time};
use guarita_store::Store;

/// An account that was just created.
#[derive(Debug)]
pub struct CreatedAccount {
    /// Its user name.
    pub username: &'static str,
    /// Its password; shown once.
    pub password: Secret,
}

const ACCOUNTS: [(&str, &str); 2] = [("admin", "Metrics.Admin"), ("reader", "Metrics.Reader")];

/// Creates the accounts that do not exist yet; an error is one line for the operator.
pub async fn ensure(file: &Path) -> Result<Vec<CreatedAccount>, String> {
    let config = config::load(file).map_err(|problems| problems.to_string())?;
    let store = Store::open(&config.store).await.map_err(|fault| format!("database: {fault}"))?;
    let made = make(&config, store.clone()).await;
    store.close().await;
    made
}

async fn make(config: &config::Config, store: Store) -> Result<Vec<CreatedAccount>, String> {
    let accounts = user::accounts(config, store).await;
    let accounts = accounts.map_err(|failure| failure.to_string())?;
    let mut made = Vec::new();
    for (username, role) in ACCOUNTS {
        let password = random::password().map_err(|fault| fault.to_string())?;
        let new = NewAccount {
            username: username.to_owned(),
            email: None,
            password: password.clone(),
            roles: vec![Role::parse(role).map_err(|invalid| invalid.to_string())?],
            profile: Profile::default(),
            active: true,
            verified: true,
        };
        match accounts.create(new, time::now()).await {
            Ok(Ok(_)) => made.push(CreatedAccount { username, password }),
            Ok(Err(AccountRejection::AlreadyExists)) => {}
            Ok(Err(refusal)) => return Err(refusal.to_string()),
            Err(fault) => return Err(fault.to_string()),
        }
    }
    Ok(made)
}
