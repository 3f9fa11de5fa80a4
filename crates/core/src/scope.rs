//! Scopes of a credential.

use std::fmt;
use std::sync::Arc;

/// Maximum number of scopes of an identity.
pub const MAX_SCOPES: usize = 256;
/// Maximum length of a scope, in bytes.
pub const MAX_SCOPE_LENGTH: usize = 128;

/// A value that cannot be a scope, or too many of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidScope {
    /// Not a `scope-token` of RFC 6749 section 3.3, or longer than 128 bytes.
    #[error(
        "a scope must be 1 to 128 characters of visible ASCII, without a space, a quote or a backslash"
    )]
    Scope,
    /// More than 256 scopes.
    #[error("more than 256 scopes")]
    TooMany,
}

/// One scope: a `scope-token` of RFC 6749 section 3.3 of at most 128 bytes. Compared exactly.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scope(Arc<str>);

impl Scope {
    /// Checks the bounds.
    pub fn parse(text: &str) -> Result<Self, InvalidScope> {
        let fits = (1..=MAX_SCOPE_LENGTH).contains(&text.len());
        let clean =
            text.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\'));
        if fits && clean { Ok(Self(text.into())) } else { Err(InvalidScope::Scope) }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Scopes: sorted, unique, at most 256. Written with a space between two (RFC 6749 section 3.3).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scopes(Arc<[Scope]>);

impl Scopes {
    /// No scopes.
    pub fn none() -> Self {
        Self::default()
    }

    /// Sorts the scopes and removes duplicates. More than 256 are an error.
    pub fn new(mut scopes: Vec<Scope>) -> Result<Self, InvalidScope> {
        scopes.sort_unstable();
        scopes.dedup();
        if scopes.len() > MAX_SCOPES {
            return Err(InvalidScope::TooMany);
        }
        Ok(Self(scopes.into()))
    }

    /// Parses each scope; one invalid scope is an error.
    pub fn parse<'a>(scopes: impl IntoIterator<Item = &'a str>) -> Result<Self, InvalidScope> {
        let mut parsed = Vec::new();
        for scope in scopes {
            // Whoever sends doubles without end is stopped here.
            if parsed.len() >= MAX_SCOPES {
                return Err(InvalidScope::TooMany);
            }
            parsed.push(Scope::parse(scope)?);
        }
        Self::new(parsed)
    }

    /// Parses scopes separated by single spaces; an empty text is no scopes.
    pub fn parse_list(text: &str) -> Result<Self, InvalidScope> {
        if text.is_empty() { Ok(Self::none()) } else { Self::parse(text.split(' ')) }
    }

    /// Whether the scope is among them.
    pub fn contains(&self, scope: &Scope) -> bool {
        self.0.binary_search(scope).is_ok()
    }

    /// The scopes, sorted.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(Scope::as_str)
    }

    /// Whether there are no scopes.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, scope) in self.iter().enumerate() {
            if position > 0 {
                formatter.write_str(" ")?;
            }
            formatter.write_str(scope)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_sorted_unique_and_joined_by_one_space() {
        let scopes = Scopes::parse(["orders:write", "a", "orders:write", "!"]).unwrap();
        assert_eq!(scopes.to_string(), "! a orders:write");
        assert_eq!(Scopes::parse_list(&scopes.to_string()), Ok(scopes.clone()));
        assert!(scopes.contains(&Scope::parse("a").unwrap()));
        assert!(!scopes.contains(&Scope::parse("A").unwrap()));
        assert!(Scopes::parse_list("").unwrap().is_empty());
    }

    /// RFC 6749 section 3.3: %x21 / %x23-5B / %x5D-7E
    #[test]
    fn a_scope_cannot_smuggle_another() {
        let long = "a".repeat(MAX_SCOPE_LENGTH + 1);
        for text in ["", "a b", "a\"b", "a\\b", "a\tb", "a\u{0}", "a\u{7f}", "é", &long] {
            assert_eq!(Scope::parse(text), Err(InvalidScope::Scope), "{text:?}");
        }
        for text in [" a", "a ", "a  b", " "] {
            assert_eq!(Scopes::parse_list(text), Err(InvalidScope::Scope), "{text:?}");
        }
        assert!(Scope::parse(&long[1..]).is_ok());
    }

    #[test]
    fn scopes_are_bounded() {
        let names: Vec<String> = (0..=MAX_SCOPES).map(|number| number.to_string()).collect();
        let parse = |count| Scopes::parse(names.iter().take(count).map(String::as_str));
        assert!(parse(MAX_SCOPES).is_ok());
        assert_eq!(parse(MAX_SCOPES + 1), Err(InvalidScope::TooMany));
        assert_eq!(Scopes::parse(["a"; MAX_SCOPES + 1]), Err(InvalidScope::TooMany));
    }
}
