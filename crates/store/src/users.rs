//! Tables `users` and `user_roles`.

use sqlx::any::AnyRow;

use super::transaction::{findable, number, optional_text, optional_time, text, time};
use super::{LinkPurpose, StoreError, Transaction};
use guarita_core::{EmailAddress, Role, Roles, Secret, Subject, Timestamp, UserId};

/// The hash of an account without a password, with which it cannot log in until one is set.
pub const NO_PASSWORD: &str = "$none";

/// An account.
#[derive(Debug, Clone)]
pub struct User {
    /// The row.
    pub id: UserId,
    /// The name as entered; unique, ignoring case.
    pub username: Subject,
    /// The address (`email_corporativo`), unique after [`EmailAddress::fold`].
    pub email: Option<EmailAddress>,
    /// When the address was verified, or the account was verified by an operator.
    pub email_verified_at: Option<Timestamp>,
    /// A PHC string.
    pub password_hash: Secret,
    /// Whether it is enabled.
    pub active: bool,
    /// Failures since the last success or lock, without those from known devices.
    pub failures: u32,
    /// Locked before this time.
    pub locked_until: Option<Timestamp>,
    /// When its roles last changed; the epoch if they never changed.
    pub roles_changed_at: Timestamp,
    /// Whether a second factor is required.
    pub second_factor_required: bool,
    /// When all its sessions were last revoked, if ever.
    pub sessions_revoked_at: Option<Timestamp>,
    /// When it was created.
    pub created_at: Timestamp,
}

/// A new account.
pub struct NewUser<'a> {
    /// The name.
    pub username: &'a Subject,
    /// The address.
    pub email: Option<&'a str>,
    /// A PHC string.
    pub password_hash: &'a Secret,
}

/// The form in which user names are compared.
pub fn fold(name: &str) -> String {
    name.to_lowercase()
}

/// The form in which a text that may be a name or an address is looked up and counted.
pub fn fold_name_or_address(text: &str) -> String {
    let address = EmailAddress::fold(text);
    if address.contains('@') { address } else { fold(text) }
}

/// Which account is preferred if a text is the name of one and the address of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MatchPreference {
    /// The one with this name.
    Name,
    /// The one with this address.
    Address,
}

/// The columns that `user` reads.
macro_rules! columns {
    () => {
        "id, username, email, email_verified_at, password_hash, active, failures, locked_until, \
         roles_changed_at, second_factor_required, sessions_revoked_at, created_at"
    };
}

fn user(row: &AnyRow) -> Result<User, StoreError> {
    Ok(User {
        id: UserId::new(number(row, "id")?),
        username: Subject::parse(&text(row, "username")?)
            .map_err(|_| StoreError::Invalid("user name"))?,
        email: optional_text(row, "email")?.map(EmailAddress::stored),
        email_verified_at: optional_time(row, "email_verified_at")?,
        password_hash: Secret::new(text(row, "password_hash")?),
        active: number(row, "active")? == 1,
        failures: u32::try_from(number(row, "failures")?)
            .map_err(|_| StoreError::Invalid("count of failures"))?,
        locked_until: optional_time(row, "locked_until")?,
        roles_changed_at: time(row, "roles_changed_at")?,
        second_factor_required: number(row, "second_factor_required")? == 1,
        sessions_revoked_at: optional_time(row, "sessions_revoked_at")?,
        created_at: time(row, "created_at")?,
    })
}

impl Transaction {
    /// Adds an account without roles; [`None`] if the name or the address is taken.
    pub async fn insert_user(
        &mut self,
        new: &NewUser<'_>,
        now: Timestamp,
    ) -> Result<Option<UserId>, StoreError> {
        let query = sqlx::query(
            "INSERT INTO users (username, username_folded, email, email_folded, password_hash, \
             roles_changed_at, created_at) VALUES ($1, $2, $3, $4, $5, 0, $6) \
             ON CONFLICT DO NOTHING RETURNING id",
        )
        .bind(new.username.as_str().to_owned())
        .bind(fold(new.username.as_str()))
        .bind(new.email.map(ToOwned::to_owned))
        .bind(new.email.map(EmailAddress::fold))
        .bind(new.password_hash.expose().to_owned())
        .bind(now.seconds());
        let row = self.find(query).await?;
        row.map(|row| number(&row, "id").map(UserId::new)).transpose()
    }

    /// The account with this name, ignoring case.
    pub async fn find_user_by_username(
        &mut self,
        username: &str,
    ) -> Result<Option<User>, StoreError> {
        let query =
            sqlx::query(concat!("SELECT ", columns!(), " FROM users WHERE username_folded = $1"))
                .bind(findable(fold(username)));
        self.find(query).await?.as_ref().map(user).transpose()
    }

    /// The account with this address, ignoring case.
    pub async fn find_user_by_email(&mut self, email: &str) -> Result<Option<User>, StoreError> {
        let query =
            sqlx::query(concat!("SELECT ", columns!(), " FROM users WHERE email_folded = $1"))
                .bind(findable(EmailAddress::fold(email)));
        self.find(query).await?.as_ref().map(user).transpose()
    }

    /// The account with this name or address, in one statement. A name that is an address is found by all spellings of
    /// the address.
    pub async fn find_user_by_either(
        &mut self,
        text: &str,
        first: MatchPreference,
    ) -> Result<Option<User>, StoreError> {
        let rank_of_name = match first {
            MatchPreference::Name => 0_i64,
            MatchPreference::Address => 2,
        };
        let query = sqlx::query(concat!(
            "SELECT ",
            columns!(),
            " FROM users WHERE username_folded = $1 OR username_folded = $2 OR email_folded = $2 \
             ORDER BY CASE WHEN username_folded = $1 THEN $3 WHEN email_folded = $2 THEN 1 \
             ELSE 3 END LIMIT 1",
        ))
        .bind(findable(fold(text)))
        .bind(findable(fold_name_or_address(text)))
        .bind(rank_of_name);
        self.find(query).await?.as_ref().map(user).transpose()
    }

    /// The account with this id.
    pub async fn find_user(&mut self, id: UserId) -> Result<Option<User>, StoreError> {
        let query =
            sqlx::query(concat!("SELECT ", columns!(), " FROM users WHERE id = $1")).bind(id.get());
        self.find(query).await?.as_ref().map(user).transpose()
    }

    /// At most `limit` accounts with ids above `after`, in the order of ids.
    pub async fn list_users(&mut self, after: UserId, limit: i64) -> Result<Vec<User>, StoreError> {
        let query = sqlx::query(concat!(
            "SELECT ",
            columns!(),
            " FROM users WHERE id > $1 ORDER BY id LIMIT $2"
        ))
        .bind(after.get())
        .bind(limit);
        self.all(query).await?.iter().map(user).collect()
    }

    /// The account's roles.
    pub async fn roles_of(&mut self, id: UserId) -> Result<Roles, StoreError> {
        let query = sqlx::query("SELECT role FROM user_roles WHERE user_id = $1").bind(id.get());
        let rows = self.all(query).await?;
        let names = rows
            .iter()
            .map(|row| text(row, "role"))
            .collect::<Result<Vec<String>, StoreError>>()?;
        Roles::parse(names.iter().map(String::as_str)).map_err(|_| StoreError::Invalid("role"))
    }

    /// Grants a role at creation, when there are no tokens with other roles yet.
    pub async fn insert_role(&mut self, id: UserId, role: &Role) -> Result<bool, StoreError> {
        let query = sqlx::query(
            "INSERT INTO user_roles (user_id, role) VALUES ($1, $2) ON CONFLICT DO NOTHING",
        )
        .bind(id.get())
        .bind(role.as_str().to_owned());
        Ok(self.execute(query).await? > 0)
    }

    /// Grants a role; returns whether it was new.
    pub async fn grant_role(
        &mut self,
        id: UserId,
        role: &Role,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let new = self.insert_role(id, role).await?;
        if new {
            self.roles_changed(id, now).await?;
        }
        Ok(new)
    }

    /// Revokes a role; returns whether the account had it.
    pub async fn revoke_role(
        &mut self,
        id: UserId,
        role: &Role,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let query = sqlx::query("DELETE FROM user_roles WHERE user_id = $1 AND role = $2")
            .bind(id.get())
            .bind(role.as_str().to_owned());
        let removed = self.execute(query).await? > 0;
        if removed {
            self.roles_changed(id, now).await?;
        }
        Ok(removed)
    }

    async fn roles_changed(&mut self, id: UserId, now: Timestamp) -> Result<(), StoreError> {
        let query = sqlx::query(
            "UPDATE users SET roles_changed_at = CASE WHEN roles_changed_at > $2 \
             THEN roles_changed_at ELSE $3 END WHERE id = $1",
        )
        .bind(id.get())
        .bind(now.seconds())
        .bind(now.seconds());
        self.execute(query).await?;
        self.append_user_change(id, now).await
    }

    /// Enables or disables.
    pub async fn set_active(
        &mut self,
        id: UserId,
        active: bool,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let query = sqlx::query("UPDATE users SET active = $2 WHERE id = $1")
            .bind(id.get())
            .bind(i64::from(active));
        self.execute(query).await?;
        self.append_user_change(id, now).await
    }

    /// Sets whether a second factor is required of the account. Earlier tokens then have stale roles, because those of
    /// a session without its required second factor have none.
    pub async fn set_second_factor_required(
        &mut self,
        id: UserId,
        required: bool,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let query = sqlx::query("UPDATE users SET second_factor_required = $2 WHERE id = $1")
            .bind(id.get())
            .bind(i64::from(required));
        self.execute(query).await?;
        self.roles_changed(id, now).await
    }

    /// Records that all its sessions were revoked, so that provider tokens issued until then open no sessions. An earlier
    /// time has no effect.
    pub async fn note_sessions_revoked(
        &mut self,
        id: UserId,
        until: Timestamp,
    ) -> Result<(), StoreError> {
        let query = sqlx::query(
            "UPDATE users SET sessions_revoked_at = $2 \
             WHERE id = $1 AND (sessions_revoked_at IS NULL OR sessions_revoked_at < $3)",
        )
        .bind(id.get())
        .bind(until.seconds())
        .bind(until.seconds());
        self.execute(query).await.map(|_| ())
    }

    /// Marks the address as verified, if it is still this one and the account is active; returns whether it was.
    pub async fn verify_email(
        &mut self,
        id: UserId,
        email: &str,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let query = sqlx::query(
            "UPDATE users SET email_verified_at = $3 WHERE id = $1 AND email = $2 AND active = 1",
        )
        .bind(id.get())
        .bind(email.to_owned())
        .bind(now.seconds());
        Ok(self.execute(query).await? > 0)
    }

    /// Marks the account as verified by an operator, with or without an address.
    pub async fn mark_verified(&mut self, id: UserId, now: Timestamp) -> Result<(), StoreError> {
        let query = sqlx::query("UPDATE users SET email_verified_at = $2 WHERE id = $1")
            .bind(id.get())
            .bind(now.seconds());
        self.execute(query).await.map(|_| ())
    }

    /// Replaces the password hash, removes failures and known devices, ends a lock, and invalidates recovery links.
    pub async fn set_password_hash(&mut self, id: UserId, hash: &Secret) -> Result<(), StoreError> {
        let query = sqlx::query("UPDATE users SET password_hash = $2 WHERE id = $1")
            .bind(id.get())
            .bind(hash.expose().to_owned());
        self.execute(query).await?;
        self.unlock(id).await?;
        self.forget_links(LinkPurpose::Reset, id).await?;
        self.forget_devices(id).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;
    use crate::sample::NOW;

    async fn insert(transaction: &mut Transaction, username: &str, email: Option<&str>) -> UserId {
        let username = Subject::parse(username).unwrap();
        let password_hash = Secret::new("$argon2id$none");
        let new = NewUser { username: &username, email, password_hash: &password_hash };
        transaction.insert_user(&new, NOW).await.unwrap().unwrap()
    }

    #[tokio::test]
    async fn one_text_finds_one_account_by_every_spelling_and_the_name_goes_first_where_it_is_asked()
     {
        let (_directory, store) = sample::open().await;
        let mut transaction = store.begin_write().await.unwrap();
        let ana = insert(&mut transaction, "Ana", Some("ana@example.test")).await;
        let named = insert(&mut transaction, "bia@example.test", None).await;
        let wide = insert(&mut transaction, "ｃaio@example.test", None).await;
        let twice = insert(&mut transaction, "both@example.test", None).await;
        let other = insert(&mut transaction, "other", Some("both@example.test")).await;
        for (text, by_name, by_address) in [
            ("ana", Some(ana), Some(ana)),
            ("ａna", None, None),
            ("ANA@example.test", Some(ana), Some(ana)),
            ("ａna＠example.test", Some(ana), Some(ana)),
            ("Bia@example.test", Some(named), Some(named)),
            ("ｂia@example.test", Some(named), Some(named)),
            ("ｃaio@example.test", Some(wide), Some(wide)),
            ("both@example.test", Some(twice), Some(other)),
            ("nobody@example.test", None, None),
            ("", None, None),
            ("a\0@b", None, None),
        ] {
            for (first, expected) in
                [(MatchPreference::Name, by_name), (MatchPreference::Address, by_address)]
            {
                let found = transaction.find_user_by_either(text, first).await.unwrap();
                assert_eq!(found.map(|user| user.id), expected, "{text} {first:?}");
            }
        }
    }
}
