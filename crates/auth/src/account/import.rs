//! Import of accounts from another system, all or none.

mod error;
mod row;
mod table;

use std::collections::HashMap;
use std::time::Duration;

use super::Accounts;
use crate::account::import::error::Bad;
use crate::grant::TokenError;
use guarita_core::{EmailAddress, Timestamp};
use guarita_store::users::fold;
use guarita_store::{NewUser, Taken, Transaction};
pub use row::Candidate;
pub use table::{Format, MAX_FILE, Rows, read};

/// Time-out of the transactions of an import.
const TIMEOUT: Duration = Duration::from_secs(120);

/// The result of an import.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ImportReport {
    /// Number of accounts that were created, or would have been.
    pub accounts: usize,
    /// Invalid rows, in the order of lines; if there are any, nothing was imported.
    pub bad: Vec<Bad>,
}

impl Accounts {
    /// Creates an account for every row in one transaction, or none if any row is invalid. With `dry_run` none in
    /// any case.
    pub async fn import(
        &self,
        rows: Rows,
        dry_run: bool,
        now: Timestamp,
    ) -> Result<ImportReport, TokenError> {
        let Rows { candidates, mut bad } = rows;
        bad.extend(doubles(&candidates));
        bad.extend(self.taken(&candidates).await?);
        if bad.is_empty() && !dry_run {
            let mut transaction = self.store.begin_write_within(TIMEOUT).await?;
            for candidate in &candidates {
                if !insert(&mut transaction, candidate, now).await? {
                    bad.push(Bad::new(candidate.line, "username", "was taken meanwhile"));
                }
            }
            if bad.is_empty() {
                transaction.commit().await?;
            }
        }
        bad.sort_by_key(|bad| bad.line);
        Ok(ImportReport { accounts: candidates.len(), bad })
    }

    /// Rows that conflict with an existing account.
    async fn taken(&self, candidates: &[Candidate]) -> Result<Vec<Bad>, TokenError> {
        let mut transaction = self.store.read_within(TIMEOUT).await?;
        let mut bad = Vec::new();
        for Candidate { line, username, email, profile, .. } in candidates {
            let email = email.as_ref().map(EmailAddress::expose);
            for taken in transaction.find_taken(username.as_str(), email, profile).await? {
                bad.push(Bad::new(*line, column(taken), "belongs to an existing account"));
            }
        }
        Ok(bad)
    }
}

const fn column(taken: Taken) -> &'static str {
    match taken {
        Taken::Username => "username",
        Taken::Email => "email",
        Taken::Cpf => "cpf",
        Taken::AuthUser => "auth_user_id",
    }
}

async fn insert(
    transaction: &mut Transaction,
    candidate: &Candidate,
    now: Timestamp,
) -> Result<bool, TokenError> {
    let new = NewUser {
        username: &candidate.username,
        email: candidate.email.as_ref().map(EmailAddress::expose),
        password_hash: &candidate.password_hash,
    };
    let Some(id) = transaction.insert_user(&new, now).await? else { return Ok(false) };
    for role in &candidate.roles {
        transaction.insert_role(id, role).await?;
    }
    if !candidate.active {
        transaction.set_active(id, false, now).await?;
    }
    if candidate.verified {
        transaction.mark_verified(id, now).await?;
    }
    if candidate.profile.is_empty() {
        return Ok(true);
    }
    Ok(transaction.insert_profile(id, &candidate.profile).await?)
}

/// Rows that conflict with an earlier row.
fn doubles(candidates: &[Candidate]) -> Vec<Bad> {
    let mut seen: HashMap<(&'static str, String), u64> = HashMap::new();
    let mut bad = Vec::new();
    for candidate in candidates {
        let profile = &candidate.profile;
        let values = [
            ("username", Some(fold(candidate.username.as_str()))),
            ("email", candidate.email.as_ref().map(|email| EmailAddress::fold(email.expose()))),
            ("cpf", profile.cpf.as_ref().map(|cpf| cpf.expose().to_owned())),
            ("auth_user_id", profile.auth_user.map(|id| id.to_string())),
        ];
        for (column, value) in values {
            let Some(value) = value else { continue };
            if let Some(line) = seen.get(&(column, value.clone())) {
                bad.push(Bad::new(
                    candidate.line,
                    column,
                    format_args!("is on line {line} already"),
                ));
            } else {
                seen.insert((column, value), candidate.line);
            }
        }
    }
    bad
}

#[cfg(test)]
#[path = "import_tests.rs"]
mod tests;
