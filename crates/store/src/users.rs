//! Tables `users` and `user_roles`.

use sqlx::any::AnyRow;

use super::transaction::{findable, number, optional_text, optional_time, text, time};
use super::{LinkPurpose, StoreError, Transaction};
use guarita_core::{EmailAddress, Role, Roles, Secret, Subject, Timestamp, UserId};

/// In place of the hash where an account has no password: it cannot log in with one until one is
/// set.
pub const NO_PASSWORD: &str = "$none";

/// One account.
#[derive(Debug, Clone)]
pub struct User {
    /// The row.
    pub id: UserId,
    /// The name as it was given; unique without regard to case.
    pub username: Subject,
    /// The address (`email_corporativo`), unique after [`EmailAddress::fold`].
    pub email: Option<EmailAddress>,
    /// When the address was proven, or an operator vouched for the account.
    pub email_verified_at: Option<Timestamp>,
    /// A PHC string.
    pub password_hash: Secret,
    /// Whether it may log in and be let through.
    pub active: bool,
    /// Failures since the last success or lock, those from known devices apart.
    pub failures: u32,
    /// Locked before this time.
    pub locked_until: Option<Timestamp>,
    /// When its roles last changed; the epoch while they are those it was created with.
    pub roles_changed_at: Timestamp,
    /// Whether its sessions count only once a second factor was proven.
    pub second_factor_required: bool,
    /// When all its sessions were last revoked, if they were.
    pub sessions_revoked_at: Option<Timestamp>,
    /// When it was created.
    pub created_at: Timestamp,
}

/// An account to be.
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

/// The form in which a text is looked for, and counted, that may be a name or an address.
pub fn fold_name_or_address(text: &str) -> String {
    let address = EmailAddress::fold(text);
    if address.contains('@') { address } else { fold(text) }
}

/// Whose a text is that is the name of one account and the address of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MatchPreference {
    /// Of the one that has it as its name.
    Name,
    /// Of the one that has it as its address.
    Address,
}

/// What `user` reads.
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
    /// Adds an account without roles; `None` where the name or the address is taken.
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

    /// The account of that name, in any case.
    pub async fn find_user_by_username(
        &mut self,
        username: &str,
    ) -> Result<Option<User>, StoreError> {
        let query =
            sqlx::query(concat!("SELECT ", columns!(), " FROM users WHERE username_folded = $1"))
                .bind(findable(fold(username)));
        self.find(query).await?.as_ref().map(user).transpose()
    }

    /// The account with that address, in any case.
    pub async fn find_user_by_email(&mut self, email: &str) -> Result<Option<User>, StoreError> {
        let query =
            sqlx::query(concat!("SELECT ", columns!(), " FROM users WHERE email_folded = $1"))
                .bind(findable(EmailAddress::fold(email)));
        self.find(query).await?.as_ref().map(user).transpose()
    }

    /// The account of that name or with that address, in one statement. A name that is an address is found by all
    /// spellings that the address has.
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

    /// The account with that id.
    pub async fn find_user(&mut self, id: UserId) -> Result<Option<User>, StoreError> {
        let query =
            sqlx::query(concat!("SELECT ", columns!(), " FROM users WHERE id = $1")).bind(id.get());
        self.find(query).await?.as_ref().map(user).transpose()
    }

    /// At most `limit` accounts with ids above `after`, in order of id.
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

    /// Gives a role at creation, when no token carries others yet.
    pub async fn insert_role(&mut self, id: UserId, role: &Role) -> Result<bool, StoreError> {
        let query = sqlx::query(
            "INSERT INTO user_roles (user_id, role) VALUES ($1, $2) ON CONFLICT DO NOTHING",
        )
        .bind(id.get())
        .bind(role.as_str().to_owned());
        Ok(self.execute(query).await? > 0)
    }

    /// Gives a role; whether it was new.
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

    /// Takes a role away; whether there was one.
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

    /// Demands a second factor of the account, or no longer. Tokens from before carry stale roles:
    /// those of a session that lacks its factor have none.
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

    /// All its sessions were revoked: a provider's token that was issued until then begins none. An earlier moment
    /// changes nothing.
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

    /// Marks the address as proven, if it still is that one and the account is active; whether so.
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

    /// Marks the account as verified on an operator's word, with or without an address.
    pub async fn mark_verified(&mut self, id: UserId, now: Timestamp) -> Result<(), StoreError> {
        let query = sqlx::query("UPDATE users SET email_verified_at = $2 WHERE id = $1")
            .bind(id.get())
            .bind(now.seconds());
        self.execute(query).await.map(|_| ())
    }

    /// Replaces the password's hash, forgets failures and known devices, ends a lock, and makes
    /// links to set another void.
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
