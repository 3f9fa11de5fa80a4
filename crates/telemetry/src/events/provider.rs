//! Identity providers.

use std::fmt::Display;

use super::log_name::LogName;
use super::{Origin, Telemetry};
use crate::audit::{Event, Name};
use guarita_core::{SessionId, Timestamp, UserId};

/// A provider's subject was linked to an account, or one was created for it.
#[derive(Debug)]
pub struct ProviderLinked<'a> {
    /// The request of a login; [`None`] if a token of the provider was presented.
    pub origin: Option<Origin<'a>>,
    /// The account.
    pub user: UserId,
    /// The session.
    pub session: SessionId,
    /// How the account was found, one of a fixed set.
    pub how: &'static str,
}

impl ProviderLinked<'_> {
    /// Records it.
    pub fn emit(self, telemetry: &Telemetry, now: Timestamp) {
        let name = Name::ProviderLinked;
        let event = Event {
            user: Some(self.user),
            session: Some(self.session),
            reason: Some(self.how),
            ..self.origin.map_or(Event::new(name), |origin| origin.event(name))
        };
        telemetry.record(&event, now);
    }
}

/// A provider published other keys than before.
#[derive(Debug)]
pub struct ProviderKeysChanged<'a> {
    /// The provider.
    pub provider: &'a str,
    /// The number of keys.
    pub keys: usize,
}

impl ProviderKeysChanged<'_> {
    /// Logs it.
    pub fn emit(self) {
        let Self { provider, keys } = self;
        tracing::info!(event = LogName::ProviderKeysChanged.as_str(), provider, keys);
    }
}

/// A provider's keys could not be fetched.
#[derive(Debug)]
pub struct ProviderKeysFailed<'a, D> {
    /// The provider.
    pub provider: &'a str,
    /// The cause.
    pub error: D,
}

impl<D: Display> ProviderKeysFailed<'_, D> {
    /// Logs it.
    pub fn emit(self) {
        let Self { provider, error } = self;
        tracing::warn!(event = LogName::ProviderKeysFailed.as_str(), provider, %error);
    }
}

/// A provider's metadata could not be fetched; what is known of it is used.
#[derive(Debug)]
pub struct ProviderMetadataFailed<'a, D> {
    /// The provider.
    pub provider: &'a str,
    /// The cause.
    pub error: D,
}

impl<D: Display> ProviderMetadataFailed<'_, D> {
    /// Logs it.
    pub fn emit(self) {
        let Self { provider, error } = self;
        tracing::warn!(event = LogName::ProviderMetadataFailed.as_str(), provider, %error);
    }
}
