//! `[mfa] required_roles`: the roles whose sessions are valid only with a second factor.

use std::sync::Arc;

use guarita_core::{Role, Roles};

/// The roles that require a second factor.
#[derive(Clone, Debug, Default)]
pub struct RequiredFactor(Arc<[Role]>);

impl RequiredFactor {
    /// Requires it of any of these roles.
    pub fn new(roles: &[Role]) -> Self {
        Self(roles.into())
    }

    /// Whether it is required with these roles; `of_account` if the account itself requires it.
    pub fn is_demanded(&self, roles: &Roles, of_account: bool) -> bool {
        of_account || self.0.iter().any(|role| roles.contains(role))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_or_the_account_demands_it() {
        let required = RequiredFactor::new(&[Role::parse("admin").unwrap()]);
        let roles = |names: &[&str]| Roles::parse(names.iter().copied()).unwrap();
        assert!(required.is_demanded(&roles(&["admin", "reader"]), false));
        assert!(!required.is_demanded(&roles(&["Admin", "administrator"]), false));
        assert!(required.is_demanded(&Roles::none(), true));
        assert!(!RequiredFactor::default().is_demanded(&roles(&["admin"]), false));
    }
}
