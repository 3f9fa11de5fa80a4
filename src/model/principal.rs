//! The caller, proven now.

use std::sync::Arc;

use super::identity::{Identity, Roles};

/// The caller, proven now: an identity and the roles that count at this moment.
#[derive(Clone, Debug)]
pub struct Principal {
    identity: Arc<Identity>,
    current_roles: Option<Roles>,
    second_factor: bool,
}

impl Principal {
    /// The identity with the roles that its credential states.
    pub fn new(identity: Arc<Identity>) -> Self {
        let second_factor = identity.second_factor();
        Self { identity, current_roles: None, second_factor }
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
}
