//! Parses the columns of one row into a new account.

use std::collections::BTreeMap;

use crate::account::administration::check_username;
use crate::account::import::error::Bad;
use crate::login::hash_format;
use guarita_core::identity::MAX_ROLES;
use guarita_core::profile::{FullName, InvalidProfile, Oab};
use guarita_core::{Cpf, EmailAddress, Profile, Role, Secret, Subject};

/// The known columns. `email` and `email_corporativo` are the same.
pub(super) const COLUMNS: [&str; 12] = [
    "username",
    "email",
    "email_corporativo",
    "email_verified",
    "password_hash",
    "roles",
    "nome_completo",
    "cpf",
    "oab",
    "uf_oab",
    "ativo",
    "auth_user_id",
];

/// The non-empty texts of a row.
pub(super) type Texts = BTreeMap<&'static str, Secret>;

/// A new account from a row.
#[derive(Debug)]
pub struct Candidate {
    pub(super) line: u64,
    pub(super) username: Subject,
    pub(super) email: Option<EmailAddress>,
    pub(super) password_hash: Secret,
    pub(super) roles: Vec<Role>,
    pub(super) profile: Profile,
    pub(super) active: bool,
    /// Whether its address was verified in the other system.
    pub(super) verified: bool,
}

/// Parses the columns of a row and collects all errors.
struct ImportReader<'a> {
    line: u64,
    texts: &'a Texts,
    bad: &'a mut Vec<Bad>,
}

/// The account of a row; errors are added to `bad`.
pub(super) fn parse(line: u64, texts: &Texts, bad: &mut Vec<Bad>) -> Option<Candidate> {
    let before = bad.len();
    let mut reader = ImportReader { line, texts, bad };
    let username = match reader.text("username") {
        Some(_) => reader.parsed("username", check_username),
        None => {
            reader.note("username", "is missing");
            None
        }
    };
    let email = reader.email();
    let hash = reader.parsed("password_hash", |text| {
        let hash = Secret::new(text);
        hash_format::check(&hash).map(|()| hash)
    });
    let roles = reader.parsed("roles", parse_roles).unwrap_or_default();
    let active = reader.parsed("ativo", parse_flag).unwrap_or(true);
    let verified = reader.parsed("email_verified", parse_flag).unwrap_or(false);
    let profile = reader.profile();
    if bad.len() > before {
        return None;
    }
    let password_hash = hash.unwrap_or_else(|| Secret::new(hash_format::NO_PASSWORD));
    let username = username?;
    Some(Candidate { line, username, email, password_hash, roles, profile, active, verified })
}

impl ImportReader<'_> {
    fn text(&self, column: &'static str) -> Option<&str> {
        self.texts.get(column).map(Secret::expose)
    }

    fn note(&mut self, column: &'static str, reason: impl std::fmt::Display) {
        self.bad.push(Bad::new(self.line, column, reason));
    }

    fn parsed<T, E: std::fmt::Display>(
        &mut self,
        column: &'static str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let parsed = parse(self.text(column)?);
        parsed.map_err(|reason| self.note(column, reason)).ok()
    }

    fn email(&mut self) -> Option<EmailAddress> {
        if self.text("email").is_some() && self.text("email_corporativo").is_some() {
            self.note("email_corporativo", "conflicts with email: set only one of them");
        }
        let column = if self.text("email").is_some() { "email" } else { "email_corporativo" };
        self.parsed(column, EmailAddress::parse)
    }

    fn profile(&mut self) -> Profile {
        let oab = Oab::parse(self.text("oab"), self.text("uf_oab")).unwrap_or_else(|invalid| {
            let of_state = invalid == InvalidProfile::State;
            self.note(if of_state { "uf_oab" } else { "oab" }, invalid);
            None
        });
        Profile {
            full_name: self.parsed("nome_completo", FullName::parse),
            cpf: self.parsed("cpf", Cpf::parse),
            oab,
            auth_user: self.parsed("auth_user_id", Profile::parse_auth_user),
        }
    }
}

/// Names of roles, separated by `;`, `,` or white space.
fn parse_roles(text: &str) -> Result<Vec<Role>, String> {
    let between = |letter: char| matches!(letter, ';' | ',') || letter.is_whitespace();
    let names = text.split(between).filter(|name| !name.is_empty());
    let roles: Result<Vec<Role>, _> = names.map(Role::parse).collect();
    let roles = roles.map_err(|invalid| invalid.to_string())?;
    if roles.len() > MAX_ROLES {
        return Err("a user can have at most 256 roles".to_owned());
    }
    Ok(roles)
}

fn parse_flag(text: &str) -> Result<bool, &'static str> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err("must be true (1) or false (0)"),
    }
}
