//! The caller, proven now.

use std::sync::Arc;

use super::Timestamp;
use super::identity::{Identity, InvalidIdentity, Roles, Source};

/// The caller, proven now: an identity, the roles that count at this moment, and what its credential says
/// beside.
#[derive(Clone, Debug)]
pub struct Principal {
    identity: Arc<Identity>,
    current_roles: Option<Roles>,
    second_factor: bool,
    ends_at: Option<Timestamp>,
    ambient: bool,
}

impl Principal {
    /// The identity with the roles that its credential states.
    pub fn new(identity: Arc<Identity>) -> Self {
        let second_factor = identity.second_factor();
        let ambient = identity.source() == Source::Session;
        Self { identity, current_roles: None, second_factor, ends_at: None, ambient }
    }

    /// The identity with roles that changed after its credential was issued.
    pub fn with_current_roles(identity: Arc<Identity>, roles: Roles) -> Self {
        Self { current_roles: Some(roles), ..Self::new(identity) }
    }

    /// The same, and whether a second factor was proven in its session.
    #[must_use]
    pub fn with_second_factor(self, proven: bool) -> Self {
        Self { second_factor: proven || self.second_factor, ..self }
    }

    /// The same, and when the credential itself ends, whatever its session does.
    #[must_use]
    pub fn ending_at(self, ends_at: Option<Timestamp>) -> Self {
        Self { ends_at, ..self }
    }

    /// The same, proven by what no browser sends by itself.
    #[must_use]
    pub fn deliberate(self) -> Self {
        Self { ambient: false, ..self }
    }

    /// The facts.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The roles that count now.
    pub fn roles(&self) -> &Roles {
        self.current_roles.as_ref().unwrap_or_else(|| self.identity.roles())
    }

    /// Whether a second factor was proven.
    pub const fn second_factor(&self) -> bool {
        self.second_factor
    }

    /// When the credential itself ends, where it says so.
    pub const fn ends_at(&self) -> Option<Timestamp> {
        self.ends_at
    }

    /// Whether a browser may have sent the credential by itself: a cookie.
    pub const fn is_ambient(&self) -> bool {
        self.ambient
    }

    /// An identity that states what counts now, for a credential made of this one.
    ///
    /// # Errors
    /// None that the identity itself had not; see [`Identity::new`].
    pub fn settled(&self) -> Result<Arc<Identity>, InvalidIdentity> {
        let same = self.second_factor == self.identity.second_factor();
        if self.current_roles.is_none() && same {
            return Ok(Arc::clone(&self.identity));
        }
        self.identity.restated(self.roles().clone(), self.second_factor).map(Arc::new)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Scopes, Subject};
    use super::*;

    #[test]
    fn a_settled_identity_states_what_counts_now() {
        let subject = Subject::parse("alice").unwrap();
        let stale = Roles::parse(["stale"]).unwrap();
        let identity = Identity::new(subject, None, None, stale, Source::Bearer, Some("t"));
        let scopes = Scopes::parse(["read"]).unwrap();
        let identity = identity.unwrap().with_scopes(scopes.clone()).of_provider();
        let identity = Arc::new(identity);
        let same = Principal::new(Arc::clone(&identity)).settled().unwrap();
        assert!(Arc::ptr_eq(&same, &identity));
        let fresh = Roles::parse(["fresh"]).unwrap();
        let principal = Principal::with_current_roles(identity, fresh).with_second_factor(true);
        let settled = principal.settled().unwrap();
        assert_eq!(settled.roles().header(), "fresh");
        assert!(settled.second_factor() && settled.is_of_provider());
        assert_eq!(*settled.scopes(), scopes);
        assert_eq!((settled.token_id(), settled.source()), (Some("t"), Source::Bearer));
    }
}
