//! A store, a registry, an issuer and a snapshot with a key of its own, for tests.

use std::sync::Arc;
use std::time::Duration;

use super::{Issuer, RefreshRotation, TokenSettings};
use crate::session::SessionCache;
use crate::snapshot::AuthSnapshot;
use guarita_core::jose::Claims;
use guarita_core::jose::claims::Expectations;
use guarita_core::{Secret, Timestamp};
use guarita_store::Store;
use guarita_store::sample;
use guarita_store::sample::SampleStore;

pub(crate) struct House {
    pub(crate) _directory: SampleStore,
    pub(crate) store: Store,
    pub(crate) registry: SessionCache,
    pub(crate) issuer: Arc<Issuer>,
    pub(crate) snapshot: Arc<AuthSnapshot>,
}

pub(crate) async fn house(refresh_rotation: RefreshRotation) -> House {
    let (directory, store) = sample::open().await;
    let settings = TokenSettings {
        issuer: "ms-auth".into(),
        audience: "api".into(),
        access_ttl: Duration::from_secs(3_600),
        refresh_ttl: Duration::from_secs(86_400),
        refresh_rotation,
        refresh_grace: Duration::from_secs(10),
        session_ttl: Duration::from_secs(4 * 86_400),
    };
    House {
        _directory: directory,
        registry: SessionCache::new(store.clone()),
        store,
        issuer: Arc::new(Issuer::new(settings).unwrap()),
        snapshot: Arc::new(AuthSnapshot::sample()),
    }
}

impl House {
    /// An issuer whose background takes nothing.
    pub(crate) fn crowded_issuer(&self) -> Arc<Issuer> {
        Arc::new(Issuer::new(self.issuer.settings().clone()).unwrap().crowded())
    }

    pub(crate) fn claims(&self, access_token: &Secret, now: Timestamp) -> Claims {
        claims(access_token, &self.snapshot, now)
    }
}

/// The claims of a token that was signed by a key of this snapshot.
pub(crate) fn claims(access_token: &Secret, snapshot: &AuthSnapshot, now: Timestamp) -> Claims {
    let expected = Expectations {
        issuer: "ms-auth".into(),
        audiences: vec!["api".into()],
        leeway: Duration::ZERO,
        max_length: 16_384,
    };
    snapshot.keyring.verify(access_token.expose(), &expected, now).unwrap()
}
