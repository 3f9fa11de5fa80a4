//! The API key of a service: `SERVICE_API_KEY`.

use std::sync::Arc;

use subtle::ConstantTimeEq as _;

use guarita_core::api_key::SYSTEM;
use guarita_core::identity::InvalidIdentity;
use guarita_core::{Identity, Roles, Secret, SecretDigest, Source, Subject};

/// The service API key and its identity. Holds only the SHA-256 of the key.
#[derive(Clone, Debug)]
pub struct ServiceKey {
    digest: SecretDigest,
    identity: Arc<Identity>,
}

impl ServiceKey {
    /// A key for a caller with these roles, without an account or session.
    ///
    /// # Errors
    /// The roles are not valid in a header field.
    pub fn new(key: &Secret, roles: Roles) -> Result<Self, InvalidIdentity> {
        let subject = Subject::parse(SYSTEM)?;
        let identity = Identity::new(subject, None, None, roles, Source::ApiKey, None)?;
        let digest = SecretDigest::of(key.expose());
        Ok(Self { digest, identity: Arc::new(identity) })
    }

    /// The identity, if the presented key matches. Compares in constant time.
    pub fn identify(&self, presented: &str) -> Option<&Arc<Identity>> {
        let same: bool = self.digest.ct_eq(&SecretDigest::of(presented)).into();
        same.then_some(&self.identity)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// enumeration-timing-004: what is compared are digests, which no prefix leads to.
    #[test]
    fn only_the_whole_key_identifies() {
        let roles = Roles::parse(["Jobs"]).unwrap();
        let key = ServiceKey::new(&Secret::new("a service's key"), roles).unwrap();
        let identity = key.identify("a service's key").unwrap();
        assert_eq!((identity.subject().as_str(), identity.source()), ("system", Source::ApiKey));
        assert_eq!(identity.roles().header(), "Jobs");
        assert_eq!((identity.user(), identity.session()), (None, None));
        for other in ["", "a service's ke", "a service's key ", "A service's key", "x"] {
            assert!(key.identify(other).is_none(), "{other:?}");
        }
        assert!(!format!("{key:?}").contains("a service's key"));
    }
}
