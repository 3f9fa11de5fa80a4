//! The identifier that a user enters at login.

use std::fmt;

use guarita_core::email;
use guarita_store::users::fold_name_or_address;

/// Maximum length of a user name, in characters.
pub const MAX_USERNAME: usize = 128;

/// The identifier of a login. An account is found by its name and by its address, independently of which field was
/// used: otherwise one text would have two locks, and the second would reveal whether an account has the first.
#[derive(Clone)]
pub enum Identifier {
    /// Given as a user name.
    Username(String),
    /// Given as an e-mail address.
    Email(String),
}

impl Identifier {
    /// Whether its length is valid for an account.
    pub(super) fn is_bounded(&self) -> bool {
        match self {
            Self::Username(name) => {
                name.len() <= MAX_USERNAME * 4 && (1..=MAX_USERNAME).contains(&name.chars().count())
            }
            Self::Email(email) => (1..=email::MAX_LENGTH).contains(&email.len()),
        }
    }

    /// The text as entered.
    pub(super) fn text(&self) -> &str {
        match self {
            Self::Username(text) | Self::Email(text) => text,
        }
    }

    /// The folded form, for comparing and counting.
    pub(super) fn folded(&self) -> String {
        fold_name_or_address(self.text())
    }
}

/// Prints nothing, because it may be an address, or a password entered in the wrong field.
impl fmt::Debug for Identifier {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Username(_) => "Username",
            Self::Email(_) => "Email",
        })
    }
}
