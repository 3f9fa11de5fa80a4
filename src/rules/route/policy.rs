//! What a route demands of a caller.

use std::time::Duration;

use crate::model::{Role, Scope, Source};

/// The demands of one route. All that are set must hold.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    /// Nobody is asked who they are.
    pub public: bool,
    /// Any of these roles; empty demands none.
    pub roles: Vec<Role>,
    /// Any of these scopes; empty demands none.
    pub scopes: Vec<Scope>,
    /// Any of these subject CNs in a verified client certificate; empty demands none.
    pub client_cns: Vec<Box<str>>,
    /// Any of these sources of the credential; empty takes all.
    pub sources: Vec<Source>,
    /// A second factor, proven when the session began.
    pub second_factor: bool,
    /// How a request under a session cookie shows that it was meant.
    pub protection: Protection,
    /// How long a caller of whom nothing can be asked is taken for who it was last known to be, from when the feed of
    /// changes fell silent beyond its bound; 1 s to 1 h. `None` refuses it.
    pub on_unknown: Option<Duration>,
}

/// How a request under a session cookie, with a method that may change something, shows that it was
/// meant by the person. None comes from another site.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protection {
    /// By the anti-forgery token.
    #[default]
    Token,
    /// By the browser's word that it comes from a page of ours; by the token where the browser says
    /// nothing.
    Origin,
}

impl Policy {
    /// Whether nobody passes without a credential that counts: everywhere but on public routes that
    /// demand nothing a credential would have to prove. The default demands one.
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
