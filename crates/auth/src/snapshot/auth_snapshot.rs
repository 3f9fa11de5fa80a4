//! One generation of what requests are authenticated with.

use std::sync::Arc;
#[cfg(any(test, feature = "test-util"))]
use std::time::Duration;

#[cfg(any(test, feature = "test-util"))]
use guarita_core::jose::{Algorithm, SigningKey};
use guarita_core::jose::{AssertionKeys, Keyring, claims::Expectations};

use super::introspection::IntrospectionClients;
use super::provider::Providers;
use super::rate_limits::RateLimits;
use super::required_factor::RequiredFactor;
use super::service_key::ServiceKey;

/// What a caller is authenticated with. A request reads it once and keeps it to its end, endpoints of our own
/// included; state never enters.
#[derive(Debug)]
pub struct AuthSnapshot {
    /// The signing keys in force.
    pub keyring: Arc<Keyring>,
    /// The keys of assertions, where upstreams get any.
    pub assertion: Option<AssertionKeys>,
    /// `Cache-Control` of the published keys.
    pub jwks_caching: http::HeaderValue,
    /// What a token of ours must say.
    pub expectations: Expectations,
    /// The issuers of others whose tokens are accepted.
    pub providers: Providers,
    /// What an invalid credential does: `false` tries the next, `true` rejects the request.
    pub reject_invalid: bool,
    /// The API key of a service, where the configuration has one.
    pub service_key: Option<ServiceKey>,
    /// Clients that may introspect and revoke tokens.
    pub introspection: IntrospectionClients,
    /// `public_url`: the origin of our own pages.
    pub public_url: Box<str>,
    /// Whether people can sign in here.
    pub sign_in: bool,
    /// `mode = "off"`: nobody is authenticated (loopback only).
    pub open: bool,
    /// How often callers may try.
    pub rate_limits: RateLimits,
    /// Of whom a second factor is demanded.
    pub required_factor: RequiredFactor,
}

#[cfg(any(test, feature = "test-util"))]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
impl AuthSnapshot {
    /// A snapshot with a fresh key and nothing else, for tests of this crate and those above.
    pub fn sample() -> Self {
        let key = SigningKey::generate(Algorithm::EdDsa).unwrap();
        let keyring =
            Keyring::new(SigningKey::parse(Algorithm::EdDsa, &key).unwrap(), Vec::new()).unwrap();
        Self {
            keyring: Arc::new(keyring),
            assertion: None,
            jwks_caching: http::HeaderValue::from_static("no-store"),
            expectations: Expectations {
                issuer: "https://gateway.test".into(),
                audiences: vec!["api".into()],
                leeway: Duration::ZERO,
                max_length: 1 << 14,
            },
            providers: Providers::new(Vec::new()),
            reject_invalid: false,
            service_key: None,
            introspection: IntrospectionClients::default(),
            public_url: "https://gateway.test".into(),
            sign_in: true,
            open: false,
            rate_limits: RateLimits::default(),
            required_factor: RequiredFactor::default(),
        }
    }
}
