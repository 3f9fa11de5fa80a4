//! The access policy of a route.

use std::time::Duration;

use crate::{Role, Scope, Source};

/// The access policy of a route. All conditions that are set must be met.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    /// No credential is required.
    pub public: bool,
    /// Any of these roles; empty for no condition.
    pub roles: Vec<Role>,
    /// Any of these scopes; empty for no condition.
    pub scopes: Vec<Scope>,
    /// Any of these subject common names of a verified client certificate; empty for no condition.
    pub client_cns: Vec<Box<str>>,
    /// Any of these sources of the credential; empty for no condition.
    pub sources: Vec<Source>,
    /// A second factor in the session.
    pub second_factor: bool,
    /// CSRF protection of requests with a session cookie.
    pub protection: Protection,
    /// How long the last known state of a session or key is used while the database is unavailable, counted from when
    /// the change feed exceeded its maximum lag; 1 s to 1 h. [`None`] rejects such requests.
    pub on_unknown: Option<Duration>,
}

/// CSRF protection of requests with a session cookie and a method that may change something. Requests
/// from another site are always rejected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protection {
    /// The CSRF token is required.
    #[default]
    Token,
    /// The browser must state that the request comes from an own page; if it states nothing, the CSRF token
    /// is required.
    Origin,
}

impl Policy {
    /// Whether a valid credential is required: always, except on public routes without conditions on the
    /// credential. Required by default.
    pub const fn demands_credential(&self) -> bool {
        let free = self.roles.is_empty() && self.scopes.is_empty() && self.sources.is_empty();
        !self.public || self.second_factor || !free
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_public_route_without_demands_asks_for_no_credential() {
        assert!(Policy::default().demands_credential());
        assert!(!Policy { public: true, ..Policy::default() }.demands_credential());
        let cn = Policy { public: true, client_cns: vec!["a".into()], ..Policy::default() };
        assert!(!cn.demands_credential());
        let roles = vec![Role::parse("admin").unwrap()];
        assert!(Policy { public: true, roles, ..Policy::default() }.demands_credential());
        let scopes = vec![Scope::parse("orders:read").unwrap()];
        assert!(Policy { public: true, scopes, ..Policy::default() }.demands_credential());
        let sources = vec![Source::Bearer];
        assert!(Policy { public: true, sources, ..Policy::default() }.demands_credential());
        let factor = Policy { public: true, second_factor: true, ..Policy::default() };
        assert!(factor.demands_credential());
    }
}
