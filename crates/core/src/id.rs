//! Ids of rows.

use std::fmt;

use uuid::Uuid;

/// The numeric id of a local user row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserId(i64);

impl UserId {
    /// From the row's id.
    pub const fn new(id: i64) -> Self {
        Self(id)
    }

    /// The row's id.
    pub const fn get(self) -> i64 {
        self.0
    }
}

impl fmt::Display for UserId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// The id of a session (`sid`): a UUID, written with hyphens in lower case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(Uuid);

impl SessionId {
    /// From a UUID.
    pub const fn new(id: Uuid) -> Self {
        Self(id)
    }

    /// Parses the hyphenated lower-case form only, so that a session has exactly one spelling.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != 36 || text.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return None;
        }
        Uuid::try_parse(text).ok().map(Self)
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_id_has_one_spelling() {
        let text = "01932c07-7f0c-7d5e-8a00-0123456789ab";
        assert_eq!(SessionId::parse(text).unwrap().to_string(), text);
        assert!(SessionId::parse(&text.to_uppercase()).is_none());
        assert!(SessionId::parse(&text.replace('-', "")).is_none());
    }
}
