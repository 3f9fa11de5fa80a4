//! The name that somebody gives.

use std::fmt;

use crate::adapters::store::users::fold;
use crate::model::{EmailAddress, email};

/// Longest user name, in characters.
pub const MAX_USERNAME: usize = 128;

/// Who somebody says they are.
#[derive(Clone)]
pub enum Identifier {
    /// The user name.
    Username(String),
    /// The e-mail address.
    Email(String),
    /// Either, as people type it into one field.
    Either(String),
}

impl Identifier {
    /// Whether its length is one that an account may have.
    pub(super) fn is_bounded(&self) -> bool {
        match self {
            Self::Username(name) | Self::Either(name) => {
                name.len() <= MAX_USERNAME * 4 && (1..=MAX_USERNAME).contains(&name.chars().count())
            }
            Self::Email(email) => (1..=email::MAX_LENGTH).contains(&email.len()),
        }
    }

    /// Whether it is an address: what people type into one field is, where it looks like one.
    pub(super) fn is_address(&self) -> bool {
        match self {
            Self::Username(_) => false,
            Self::Email(_) => true,
            Self::Either(name) => name.contains('@'),
        }
    }

    /// The form in which it is compared.
    pub(super) fn folded(&self) -> String {
        match self {
            Self::Username(name) | Self::Either(name) => fold(name),
            Self::Email(email) => EmailAddress::fold(email),
        }
    }
}

/// What somebody typed may be an address, or a password in the wrong field.
impl fmt::Debug for Identifier {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Username(_) => "Username",
            Self::Email(_) => "Email",
            Self::Either(_) => "Either",
        })
    }
}
