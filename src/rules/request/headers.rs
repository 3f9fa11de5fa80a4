//! Families of header names: compared folded (lower case, `_` to `-`), stripped before anything is
//! set.

use std::collections::HashSet;

use http::{HeaderMap, HeaderName, header};

/// The names under which the upstream receives who is calling (contract section 4,
/// `[identity_headers]`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityHeaders {
    /// The subject; `sub`.
    pub subject: HeaderName,
    /// Roles joined by commas; `app_roles`.
    pub roles: HeaderName,
    /// The numeric id of the local user row; `x-auth-uid`.
    pub user: HeaderName,
    /// The session; `x-auth-sid`.
    pub session: HeaderName,
    /// The source; `x-auth-source`.
    pub source: HeaderName,
}

impl Default for IdentityHeaders {
    fn default() -> Self {
        Self {
            subject: HeaderName::from_static("sub"),
            roles: HeaderName::from_static("app_roles"),
            user: HeaderName::from_static("x-auth-uid"),
            session: HeaderName::from_static("x-auth-sid"),
            source: HeaderName::from_static("x-auth-source"),
        }
    }
}

impl IdentityHeaders {
    /// All names.
    pub const fn names(&self) -> [&HeaderName; 5] {
        [&self.subject, &self.roles, &self.user, &self.session, &self.source]
    }
}

/// Names that no caller may set, whoever listens behind: identities as rivals write them, and
/// targets that some servers believe over the request line.
const ALWAYS: [&str; 35] = [
    "sub",
    "app-roles",
    "x-auth-uid",
    "x-auth-sid",
    "x-auth-source",
    "x-auth-assertion",
    "x-auth-user",
    "x-auth-sub",
    "x-auth-roles",
    "x-auth-email",
    "x-service-api-key",
    "x-forwarded-user",
    "x-forwarded-email",
    "x-forwarded-groups",
    "x-forwarded-preferred-username",
    "x-forwarded-access-token",
    "x-auth-request-user",
    "x-auth-request-email",
    "x-auth-request-groups",
    "x-auth-request-preferred-username",
    "x-auth-request-access-token",
    "remote-user",
    "remote-groups",
    "remote-name",
    "remote-email",
    "x-remote-user",
    "x-original-url",
    "x-original-uri",
    "x-rewrite-url",
    "x-client-cert",
    "x-forwarded-client-cert",
    "x-ssl-client-cert",
    "x-http-method-override",
    "proxy",
    "proxy-authorization",
];

/// A set of folded header names; one lookup decides.
#[derive(Clone, Debug)]
pub struct HeaderFamilies {
    names: HashSet<Box<str>, foldhash::fast::RandomState>,
    /// Bit `n` is set where a name of `n` bytes is in the set.
    lengths: u64,
}

impl HeaderFamilies {
    /// Builds the set, at reload: the given names and those that are always stripped.
    pub fn new<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let names: HashSet<Box<str>, _> = names
            .into_iter()
            .chain(ALWAYS)
            .map(|name| fold(name).collect::<String>().into())
            .collect();
        let lengths = names.iter().fold(0, |bits, name| bits | bit(name.len()));
        Self { names, lengths }
    }

    /// Whether the name belongs to one of the families, whatever its case and separators.
    pub fn contains(&self, name: &HeaderName) -> bool {
        let name = name.as_str();
        if self.lengths & bit(name.len()) == 0 {
            return false;
        }
        if !name.as_bytes().contains(&b'_') {
            return self.names.contains(name);
        }
        self.names.contains(fold(name).collect::<String>().as_str())
    }

    /// The names in `headers` that belong to a family. Empty, without an allocation, for an honest
    /// caller.
    ///
    /// What `Connection` names is removed by the proxy before this; a name that is set for the
    /// upstream is set after both, so it cannot be named away.
    pub fn find_in(&self, headers: &HeaderMap) -> Vec<HeaderName> {
        headers.keys().filter(|name| self.contains(name)).cloned().collect()
    }
}

const fn bit(length: usize) -> u64 {
    if length < 64 { 1 << length } else { 0 }
}

/// Lower case, `_` to `-`.
fn fold(name: &str) -> impl Iterator<Item = char> {
    name.chars().map(|letter| if letter == '_' { '-' } else { letter.to_ascii_lowercase() })
}

/// Whether two names are one to a server that folds them.
pub fn same_family(one: &str, other: &str) -> bool {
    fold(one).eq(fold(other))
}

/// Names that cannot carry an identity, because they mean something to HTTP itself.
pub fn is_reserved(name: &HeaderName) -> bool {
    const RESERVED: [HeaderName; 16] = [
        header::HOST,
        header::CONNECTION,
        header::CONTENT_LENGTH,
        header::TRANSFER_ENCODING,
        header::TE,
        header::TRAILER,
        header::UPGRADE,
        header::AUTHORIZATION,
        header::COOKIE,
        header::EXPECT,
        header::CONTENT_TYPE,
        header::PROXY_AUTHORIZATION,
        header::FORWARDED,
        header::ACCEPT,
        header::RANGE,
        header::SET_COOKIE,
    ];
    RESERVED.iter().any(|reserved| same_family(reserved.as_str(), name.as_str()))
        || same_family(name.as_str(), "x-request-id")
        || same_family(name.as_str(), "keep-alive")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_spelling_of_a_name_is_found() {
        let families = HeaderFamilies::new(["X-User"]);
        for name in
            ["x-user", "x_user", "app_roles", "app-roles", "x_auth-sid", "remote_user", "sub"]
        {
            assert!(families.contains(&HeaderName::try_from(name).unwrap()), "{name}");
        }
        for name in ["x-users", "x-request-id", "accept", "subject"] {
            assert!(!families.contains(&HeaderName::try_from(name).unwrap()), "{name}");
        }
    }

    #[test]
    fn names_of_http_cannot_carry_an_identity() {
        assert!(is_reserved(&HeaderName::from_static("content_length")));
        assert!(is_reserved(&HeaderName::from_static("host")));
        assert!(!is_reserved(&HeaderName::from_static("x-forwarded-user")));
    }

    proptest! {
        #[test]
        fn separators_and_case_never_hide_a_name(
            position in 0..ALWAYS.len(),
            flips in prop::collection::vec(any::<bool>(), 40),
        ) {
            let families = HeaderFamilies::new([]);
            let name: String = ALWAYS[position].chars().zip(flips).map(|(letter, flip)| match letter {
                '-' if flip => '_',
                letter if flip => letter.to_ascii_uppercase(),
                letter => letter,
            }).collect();
            prop_assert!(families.contains(&HeaderName::try_from(name).unwrap()));
        }
    }
}
