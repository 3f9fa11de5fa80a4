//! A store, a registry and an issuer with a key of its own, for tests.

use std::sync::Arc;
use std::time::Duration;

use super::{Issuer, RefreshRotation, TokenSettings};
use crate::session::SessionCache;
use guarita_core::jose::claims::Expectations;
use guarita_core::jose::{Algorithm, Claims, Keyring, SigningKey};
use guarita_core::{Secret, Timestamp};
use guarita_store::Store;
use guarita_store::sample;
use guarita_store::sample::SampleStore;

pub(crate) struct House {
    pub(crate) _directory: SampleStore,
    pub(crate) store: Store,
    pub(crate) registry: SessionCache,
    pub(crate) issuer: Arc<Issuer>,
    keyring: Arc<Keyring>,
}

pub(crate) async fn house(refresh_rotation: RefreshRotation) -> House {
    let (directory, store) = sample::open().await;
    let secret = SigningKey::generate(Algorithm::EdDsa).unwrap();
    let key = SigningKey::parse(Algorithm::EdDsa, &secret).unwrap();
    let keyring = Arc::new(Keyring::new(key, Vec::new()).unwrap());
    let settings = TokenSettings {
        issuer: "ms-auth".into(),
        audience: "api".into(),
        access_ttl: Duration::from_secs(3_600),
        refresh_ttl: Duration::from_secs(86_400),
        refresh_rotation,
        refresh_grace: Duration::from_secs(10),
        session_ttl: Duration::from_secs(4 * 86_400),
    };
    let keys = Arc::clone(&keyring);
    House {
        _directory: directory,
        registry: SessionCache::new(store.clone()),
        store,
        issuer: Arc::new(Issuer::new(move || Arc::clone(&keys), settings).unwrap()),
        keyring,
    }
}

impl House {
    /// An issuer whose background takes nothing.
    pub(crate) fn crowded_issuer(&self) -> Arc<Issuer> {
        let (keys, settings) = (Arc::clone(&self.keyring), self.issuer.settings().clone());
        Arc::new(Issuer::new(move || Arc::clone(&keys), settings).unwrap().crowded())
    }

    pub(crate) fn claims(&self, access_token: &Secret, now: Timestamp) -> Claims {
        let expected = Expectations {
            issuer: "ms-auth".into(),
            audiences: vec!["api".into()],
            leeway: Duration::ZERO,
            max_length: 16_384,
        };
        self.keyring.verify(access_token.expose(), &expected, now).unwrap()
    }
}
