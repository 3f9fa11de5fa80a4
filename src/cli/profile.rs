//! Arguments and output of a user's profile.

use crate::cli::command::CommandError;
use guarita_auth::account::Account;
use guarita_core::profile::{FullName, Oab};
use guarita_core::{Cpf, EmailAddress, Profile};

/// The profile's arguments of `user create`. Values are checked here and not by the argument parser, which
/// would repeat them in its error messages.
#[derive(Debug, clap::Args)]
pub(super) struct ProfileArguments {
    /// The full name.
    #[arg(long)]
    nome_completo: Option<String>,
    /// The CPF, as 00000000000 or 000.000.000-00; unique.
    #[arg(long)]
    cpf: Option<String>,
    /// The OAB (bar association) number; needs --uf-oab.
    #[arg(long)]
    oab: Option<String>,
    /// The state of the OAB number, for example SP.
    #[arg(long)]
    uf_oab: Option<String>,
    /// The user's id at the provider, a UUID; unique.
    #[arg(long)]
    auth_user_id: Option<String>,
}

impl ProfileArguments {
    /// The profile, or why it is invalid.
    pub(super) fn parse(&self) -> Result<Profile, CommandError> {
        fn check<T>(
            parsed: Option<Result<T, impl std::fmt::Display>>,
        ) -> Result<Option<T>, CommandError> {
            parsed.transpose().map_err(|invalid| CommandError::Refused(invalid.to_string()))
        }
        let oab = Oab::parse(self.oab.as_deref(), self.uf_oab.as_deref());
        Ok(Profile {
            full_name: check(self.nome_completo.as_deref().map(FullName::parse))?,
            cpf: check(self.cpf.as_deref().map(Cpf::parse))?,
            oab: oab.map_err(|invalid| CommandError::Refused(invalid.to_string()))?,
            auth_user: check(self.auth_user_id.as_deref().map(Profile::parse_auth_user))?,
        })
    }
}

/// The profile's fields as JSON. The CPF is masked.
pub(super) fn members(account: &Account) -> serde_json::Value {
    let Account { user, profile, .. } = account;
    serde_json::json!({
        "nome_completo": profile.full_name.as_ref().map(FullName::expose),
        "cpf": profile.cpf.as_ref().map(ToString::to_string),
        "email_corporativo": user.email.as_ref().map(EmailAddress::expose),
        "oab": profile.oab.as_ref().map(Oab::number),
        "uf_oab": profile.oab.as_ref().map(|oab| oab.state().as_str()),
        "ativo": user.active,
        "auth_user_id": profile.auth_user.map(|id| id.to_string()),
    })
}
