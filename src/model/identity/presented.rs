//! What the credential of a principal says beside who it is.

use std::sync::Arc;

use super::{Identity, InvalidIdentity, Principal};
use crate::model::Timestamp;

impl Principal {
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
        let identity = &self.identity;
        if self.current_roles.is_none() && self.second_factor == identity.second_factor {
            return Ok(Arc::clone(identity));
        }
        let settled = Identity::new(
            identity.subject.clone(),
            identity.user,
            identity.session,
            self.roles().clone(),
            identity.source,
            identity.token_id(),
        )?;
        Ok(Arc::new(settled.with_second_factor(self.second_factor)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Roles, Source, Subject};
    use super::*;

    #[test]
    fn a_settled_identity_states_what_counts_now() {
        let subject = Subject::parse("alice").unwrap();
        let stale = Roles::parse(["stale"]).unwrap();
        let identity = Identity::new(subject, None, None, stale, Source::Bearer, Some("t"));
        let identity = Arc::new(identity.unwrap());
        let same = Principal::new(Arc::clone(&identity)).settled().unwrap();
        assert!(Arc::ptr_eq(&same, &identity));
        let fresh = Roles::parse(["fresh"]).unwrap();
        let principal = Principal::with_current_roles(identity, fresh).with_second_factor(true);
        let settled = principal.settled().unwrap();
        assert_eq!(settled.roles().header(), "fresh");
        assert!(settled.second_factor());
        assert_eq!((settled.token_id(), settled.source()), (Some("t"), Source::Bearer));
    }
}
