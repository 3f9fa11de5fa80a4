//! Creates, lists and revokes API keys. Each change is one transaction; it takes effect on this node before the
//! function returns, on every other node within 1 s.

use std::time::Duration;

use ipnet::IpNet;

use crate::session;
use guarita_core::api_key::{InvalidName, KEY_PREFIX};
use guarita_core::jose::api_key;
use guarita_core::jose::api_key::KeyDigest;
use guarita_core::random;
use guarita_core::random::RandomFault;
use guarita_core::{ApiKeyId, ApiKeyName, Roles, Scopes, Secret, Timestamp};
use guarita_store as store;
use guarita_store::{ApiKey, NewApiKey, Store, WhichKeys};

/// Maximum number of valid keys per name: the current one and its successor.
pub const MAX_OF_ONE_NAME: i64 = 2;
/// Maximum number of networks of a key.
pub const MAX_NETWORKS: usize = 100;
/// Minimum lifetime of a key.
pub const MIN_LIFETIME: Duration = Duration::from_secs(1);
/// Maximum lifetime of a key.
pub const MAX_LIFETIME: Duration = Duration::from_secs(3_650 * 86_400);

/// Why a change is rejected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[must_use]
pub enum ApiKeyRejection {
    /// Out of bounds.
    #[error(transparent)]
    InvalidName(#[from] InvalidName),
    /// More than 100 networks.
    #[error("a key can have at most 100 networks")]
    TooManyNetworks,
    /// Out of bounds.
    #[error("the lifetime of a key must be 1s to 3650d")]
    InvalidLifetime,
    /// There are already two valid keys of this name.
    #[error("there are two valid keys of this name already: revoke one of them first")]
    TwoAlready,
    /// No key matches that is not revoked.
    #[error("there is no such key, or it is already revoked")]
    UnknownKey,
}

/// An internal fault.
#[derive(Debug, thiserror::Error)]
pub enum ApiKeyError {
    /// The store.
    #[error(transparent)]
    Store(#[from] store::StoreError),
    /// Randomness.
    #[error(transparent)]
    Random(#[from] RandomFault),
}

/// The properties of a new key.
#[derive(Debug)]
pub struct Grant {
    /// The name.
    pub name: ApiKeyName,
    /// The roles.
    pub roles: Roles,
    /// The scopes.
    pub scopes: Scopes,
    /// Networks that it may be used from, at most 100; empty for any address.
    pub networks: Vec<IpNet>,
    /// The lifetime, 1 s to 3,650 d; [`None`] for no expiry.
    pub lifetime: Option<Duration>,
}

/// A created key. The key itself is not stored and cannot be shown again.
#[derive(Debug)]
pub struct Created {
    /// The id.
    pub id: ApiKeyId,
    /// The key itself.
    pub key: Secret,
}

type ApiKeyOutcome<T> = Result<Result<T, ApiKeyRejection>, ApiKeyError>;

/// The administration of named keys.
#[derive(Debug)]
pub struct ApiKeyAdministration {
    store: Store,
    sessions: session::SessionCache,
}

impl ApiKeyAdministration {
    /// Creates it with a store; `sessions` is notified of changes on this node.
    pub fn new(store: Store, sessions: session::SessionCache) -> Self {
        Self { store, sessions }
    }

    /// Creates a key. At most two keys of a name can be valid at a time.
    pub async fn create(&self, grant: Grant, now: Timestamp) -> ApiKeyOutcome<Created> {
        if grant.networks.len() > MAX_NETWORKS {
            return Ok(Err(ApiKeyRejection::TooManyNetworks));
        }
        let bounds = MIN_LIFETIME..=MAX_LIFETIME;
        if grant.lifetime.is_some_and(|lifetime| !bounds.contains(&lifetime)) {
            return Ok(Err(ApiKeyRejection::InvalidLifetime));
        }
        let key = api_key::key(&random::token()?);
        let Some(digest) = KeyDigest::of(key.expose()) else { return Err(RandomFault.into()) };
        let new = NewApiKey {
            name: &grant.name,
            prefix: api_key::shown(&key),
            digest: digest.text(),
            roles: &grant.roles,
            scopes: &grant.scopes,
            networks: &grant.networks,
            expires_at: grant.lifetime.map(|lifetime| now.plus(lifetime)),
        };
        let mut transaction = self.store.begin_write().await?;
        let inserted = transaction.insert_api_key(&new, MAX_OF_ONE_NAME, now).await?;
        let Some(id) = inserted else { return Ok(Err(ApiKeyRejection::TwoAlready)) };
        transaction.commit().await?;
        Ok(Ok(Created { id, key }))
    }

    /// At most 1,000 keys with ids above `after`, in the order of ids; including revoked ones if `revoked`.
    pub async fn list(&self, after: ApiKeyId, revoked: bool) -> Result<Vec<ApiKey>, ApiKeyError> {
        Ok(self.store.read().await?.list_api_keys(after, revoked).await?)
    }

    /// Revokes a key by id, by prefix, or by the key itself, or all keys of a name. Returns how many.
    pub async fn revoke(&self, which: &str, now: Timestamp) -> ApiKeyOutcome<usize> {
        let which = match meant(which) {
            Ok(which) => which,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let mut transaction = self.store.begin_write().await?;
        let revoked = transaction.revoke_api_keys(&which, now).await?;
        let committed = transaction.commit().await;
        for key in &revoked {
            // After a fault too: it may have been committed.
            self.sessions.forget_api_key(*key);
        }
        committed?;
        Ok(if revoked.is_empty() { Err(ApiKeyRejection::UnknownKey) } else { Ok(revoked.len()) })
    }
}

/// Parses the operator's argument: digits are an id, `gua_` begins a key or its prefix, everything else is a name.
fn meant(which: &str) -> Result<WhichKeys, ApiKeyRejection> {
    if let Ok(id) = which.parse() {
        return Ok(WhichKeys::Id(ApiKeyId::new(id)));
    }
    if let Some(digest) = KeyDigest::of(which) {
        return Ok(WhichKeys::Digest(digest.text()));
    }
    if which.starts_with(KEY_PREFIX) {
        let whole = which.len() == api_key::SHOWN;
        return if whole {
            Ok(WhichKeys::Prefix(which.into()))
        } else {
            Err(ApiKeyRejection::UnknownKey)
        };
    }
    Ok(WhichKeys::Name(ApiKeyName::parse(which)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use guarita_store::sample;
    use guarita_store::sample::NOW;

    fn grant(name: &str) -> Grant {
        Grant {
            name: ApiKeyName::parse(name).unwrap(),
            roles: Roles::none(),
            scopes: Scopes::none(),
            networks: Vec::new(),
            lifetime: None,
        }
    }

    async fn administration() -> (sample::SampleStore, ApiKeyAdministration) {
        let (directory, store) = sample::open().await;
        let sessions = session::SessionCache::new(store.clone());
        (directory, ApiKeyAdministration::new(store, sessions))
    }

    #[tokio::test]
    async fn two_keys_of_one_name_count_and_a_third_waits_for_a_revocation() {
        let (_directory, keys) = administration().await;
        let first = keys.create(grant("jobs"), NOW).await.unwrap().unwrap();
        let second = keys.create(grant("jobs"), NOW).await.unwrap().unwrap();
        assert_ne!(first.key, second.key);
        let third = keys.create(grant("jobs"), NOW).await.unwrap();
        assert_eq!(third.unwrap_err(), ApiKeyRejection::TwoAlready);
        assert_eq!(keys.revoke(&first.id.to_string(), NOW).await.unwrap(), Ok(1));
        assert!(keys.create(grant("jobs"), NOW).await.unwrap().is_ok());
        let listed = keys.list(ApiKeyId::new(0), false).await.unwrap();
        assert_eq!(listed.len(), 2);
        let told = format!("{listed:?} {first:?}");
        assert!(!told.contains(first.key.expose()) && !told.contains(second.key.expose()));
    }

    #[tokio::test]
    async fn a_key_is_revoked_by_what_is_known_of_it() {
        let (_directory, keys) = administration().await;
        for by in ["id", "shown", "key", "name"] {
            let made = keys.create(grant("jobs"), NOW).await.unwrap().unwrap();
            let which = match by {
                "id" => made.id.to_string(),
                "shown" => api_key::shown(&made.key).to_owned(),
                "key" => made.key.expose().to_owned(),
                _ => "jobs".to_owned(),
            };
            assert_eq!(keys.revoke(&which, NOW).await.unwrap(), Ok(1), "{by}");
            assert_eq!(
                keys.revoke(&which, NOW).await.unwrap(),
                Err(ApiKeyRejection::UnknownKey),
                "{by}"
            );
        }
        keys.create(grant("jobs"), NOW).await.unwrap().unwrap();
        keys.create(grant("jobs"), NOW).await.unwrap().unwrap();
        assert_eq!(keys.revoke("jobs", NOW).await.unwrap(), Ok(2));
        for which in ["99", "gua_", "gua_ABCDEFG", "gua_ABCDEFGH", "nobody"] {
            assert_eq!(
                keys.revoke(which, NOW).await.unwrap(),
                Err(ApiKeyRejection::UnknownKey),
                "{which}"
            );
        }
        for which in ["", "a b", "-1x"] {
            assert_eq!(keys.revoke(which, NOW).await.unwrap(), Err(InvalidName.into()), "{which}");
        }
    }

    #[tokio::test]
    async fn what_a_key_gives_is_bounded() {
        let (_directory, keys) = administration().await;
        let network: IpNet = "10.0.0.0/8".parse().unwrap();
        let many = Grant { networks: vec![network; MAX_NETWORKS + 1], ..grant("a") };
        assert_eq!(
            keys.create(many, NOW).await.unwrap().unwrap_err(),
            ApiKeyRejection::TooManyNetworks
        );
        for lifetime in [Duration::from_millis(999), MAX_LIFETIME + Duration::from_secs(1)] {
            let odd = Grant { lifetime: Some(lifetime), ..grant("a") };
            assert_eq!(
                keys.create(odd, NOW).await.unwrap().unwrap_err(),
                ApiKeyRejection::InvalidLifetime
            );
        }
        let long = Grant {
            networks: vec![network; MAX_NETWORKS],
            lifetime: Some(MAX_LIFETIME),
            ..grant("a")
        };
        assert!(keys.create(long, NOW).await.unwrap().is_ok());
    }
}
