//! Table `profiles`.

use sqlx::any::AnyRow;

use super::transaction::{number, optional_text};
use super::{StoreError, Transaction};
use guarita_core::profile::{FullName, Oab};
use guarita_core::{Cpf, EmailAddress, Profile, UserId};

/// The conflict of a new account with an existing one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// The user name.
    Username,
    /// The e-mail address.
    Email,
    /// The CPF.
    Cpf,
    /// The id at a provider.
    AuthUser,
}

fn profile(row: &AnyRow) -> Result<Profile, StoreError> {
    let full_name = optional_text(row, "nome_completo")?.map(|text| FullName::parse(&text));
    let cpf = optional_text(row, "cpf")?.map(|text| Cpf::parse(&text));
    let auth_user = optional_text(row, "auth_user_id")?.map(|text| Profile::parse_auth_user(&text));
    let (number, state) = (optional_text(row, "oab")?, optional_text(row, "uf_oab")?);
    Ok(Profile {
        full_name: full_name.transpose().map_err(|_| StoreError::Invalid("full name"))?,
        cpf: cpf.transpose().map_err(|_| StoreError::Invalid("CPF"))?,
        oab: Oab::parse(number.as_deref(), state.as_deref())
            .map_err(|_| StoreError::Invalid("OAB number"))?,
        auth_user: auth_user.transpose().map_err(|_| StoreError::Invalid("id at a provider"))?,
    })
}

impl Transaction {
    /// Adds the profile of an account that has none; returns whether its CPF and its id at a provider were free.
    pub async fn insert_profile(&mut self, id: UserId, new: &Profile) -> Result<bool, StoreError> {
        let query = sqlx::query(
            "INSERT INTO profiles (user_id, nome_completo, cpf, oab, uf_oab, auth_user_id) \
             VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
        )
        .bind(id.get())
        .bind(new.full_name.as_ref().map(|name| name.expose().to_owned()))
        .bind(new.cpf.as_ref().map(|cpf| cpf.expose().to_owned()))
        .bind(new.oab.as_ref().map(|oab| oab.number().to_owned()))
        .bind(new.oab.as_ref().map(|oab| oab.state().as_str().to_owned()))
        .bind(new.auth_user.map(|id| id.hyphenated().to_string()));
        Ok(self.execute(query).await? > 0)
    }

    /// The profile of an account; empty if there is none.
    pub async fn profile_of(&mut self, id: UserId) -> Result<Profile, StoreError> {
        let query = sqlx::query(
            "SELECT nome_completo, cpf, oab, uf_oab, auth_user_id FROM profiles WHERE user_id = $1",
        )
        .bind(id.get());
        match self.find(query).await? {
            Some(row) => profile(&row),
            None => Ok(Profile::default()),
        }
    }

    /// Which of these values an account already has.
    pub async fn find_taken(
        &mut self,
        username: &str,
        email: Option<&str>,
        profile: &Profile,
    ) -> Result<Vec<Taken>, StoreError> {
        let cpf = profile.cpf.as_ref().map(|cpf| cpf.expose().to_owned());
        let auth_user = profile.auth_user.map(|id| id.hyphenated().to_string());
        let questions = [
            (
                Taken::Username,
                "SELECT 1 AS found FROM users WHERE username_folded = $1",
                Some(super::users::fold(username)),
            ),
            (
                Taken::Email,
                "SELECT 1 AS found FROM users WHERE email_folded = $1",
                email.map(EmailAddress::fold),
            ),
            (Taken::Cpf, "SELECT 1 AS found FROM profiles WHERE cpf = $1", cpf),
            (Taken::AuthUser, "SELECT 1 AS found FROM profiles WHERE auth_user_id = $1", auth_user),
        ];
        let mut taken = Vec::new();
        for (what, statement, value) in questions {
            let Some(value) = value else { continue };
            let row = self.find(sqlx::query(statement).bind(value)).await?;
            if row.map(|row| number(&row, "found")).transpose()?.is_some() {
                taken.push(what);
            }
        }
        Ok(taken)
    }
}

#[cfg(test)]
mod tests {
    use crate::sample;
    use guarita_core::profile::FullName;

    use super::*;

    #[tokio::test]
    async fn a_profile_is_kept_whole_and_its_cpf_is_unique() {
        let (_directory, store) = sample::open().await;
        let (ana, bob) = (sample::user(&store, "ana").await, sample::user(&store, "bob").await);
        let whole = Profile {
            full_name: Some(FullName::parse("Ana Souza").unwrap()),
            cpf: Some(Cpf::parse("529.982.247-25").unwrap()),
            oab: Oab::parse(Some("123456"), Some("SP")).unwrap(),
            auth_user: Some(
                Profile::parse_auth_user("01932c07-7f0c-7d5e-8a00-0123456789ab").unwrap(),
            ),
        };
        let mut transaction = store.begin_write().await.unwrap();
        assert!(transaction.insert_profile(ana, &whole).await.unwrap());
        assert_eq!(transaction.profile_of(ana).await.unwrap(), whole);
        assert!(transaction.profile_of(bob).await.unwrap().is_empty());
        assert!(!transaction.insert_profile(bob, &whole).await.unwrap());
        let taken = transaction.find_taken("ANA", Some("a@b"), &whole).await.unwrap();
        assert_eq!(taken, [Taken::Username, Taken::Cpf, Taken::AuthUser]);
        assert!(transaction.find_taken("x", None, &Profile::default()).await.unwrap().is_empty());
    }
}
