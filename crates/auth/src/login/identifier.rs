//! The identifier that a user enters at login.

use std::fmt;

use guarita_core::email;
use guarita_store::users::fold_name_or_address;

/// Longest user name, in characters.
pub const MAX_USERNAME: usize = 128;

/// Who somebody says they are. An account is found by its name and by its address, whichever of them it was given
/// as: else one text had two locks, and the second told whether an account has the first.
#[derive(Clone)]
pub enum Identifier {
    /// As a user name.
    Username(String),
    /// As an e-mail address.
    Email(String),
}

impl Identifier {
    /// Whether its length is one that an account may have.
    pub(super) fn is_bounded(&self) -> bool {
        match self {
            Self::Username(name) => {
                name.len() <= MAX_USERNAME * 4 && (1..=MAX_USERNAME).contains(&name.chars().count())
            }
            Self::Email(email) => (1..=email::MAX_LENGTH).contains(&email.len()),
        }
    }

    /// What was given.
    pub(super) fn text(&self) -> &str {
        match self {
            Self::Username(text) | Self::Email(text) => text,
        }
    }

    /// The form in which it is compared, and counted.
    pub(super) fn folded(&self) -> String {
        fold_name_or_address(self.text())
    }
}

/// What somebody typed may be an address, or a password in the wrong field.
impl fmt::Debug for Identifier {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Username(_) => "Username",
            Self::Email(_) => "Email",
        })
    }
}
