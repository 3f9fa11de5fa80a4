//! The authenticated caller of a request.

use std::sync::Arc;

use super::Timestamp;
use super::identity::{Identity, InvalidIdentity, Roles, Source};

/// The authenticated caller of a request: the identity, the current roles, and properties of the
/// credential.
#[derive(Clone, Debug)]
pub struct Principal {
    identity: Arc<Identity>,
    current_roles: Option<Roles>,
    second_factor: bool,
    ends_at: Option<Timestamp>,
    ambient: bool,
}

impl Principal {
    /// The identity with the roles stated by its credential.
    pub fn new(identity: Arc<Identity>) -> Self {
        let second_factor = identity.second_factor();
        let ambient = identity.source() == Source::Session;
        Self { identity, current_roles: None, second_factor, ends_at: None, ambient }
    }

    /// The identity with roles that changed after its credential was issued.
    pub fn with_current_roles(identity: Arc<Identity>, roles: Roles) -> Self {
        Self { current_roles: Some(roles), ..Self::new(identity) }
    }

    /// Sets whether a second factor was verified in the session.
    #[must_use]
    pub fn with_second_factor(self, proven: bool) -> Self {
        Self { second_factor: proven || self.second_factor, ..self }
    }

    /// Sets when the credential itself expires, independently of the session.
    #[must_use]
    pub fn ending_at(self, ends_at: Option<Timestamp>) -> Self {
        Self { ends_at, ..self }
    }

    /// Marks the credential as one that no browser sends automatically.
    #[must_use]
    pub fn deliberate(self) -> Self {
        Self { ambient: false, ..self }
    }

    /// The identity.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The current roles.
    pub fn roles(&self) -> &Roles {
        self.current_roles.as_ref().unwrap_or_else(|| self.identity.roles())
    }

    /// Whether a second factor was verified.
    pub const fn second_factor(&self) -> bool {
        self.second_factor
    }

    /// When the credential itself expires, if it has an expiry.
    pub const fn ends_at(&self) -> Option<Timestamp> {
        self.ends_at
    }

    /// Whether a browser may have sent the credential automatically (a cookie).
    pub const fn is_ambient(&self) -> bool {
        self.ambient
    }

    /// An identity with the current roles and second factor, for a credential that is derived from this one.
    ///
    /// # Errors
    /// As [`Identity::new`]; cannot occur for an identity that was created.
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
