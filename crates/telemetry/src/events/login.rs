//! Logins.

use std::fmt::Display;

use super::{Origin, Telemetry};
use crate::audit::{Event, Name};
use guarita_core::{SessionId, Timestamp, UserId};

/// A login opened a session.
#[derive(Debug)]
pub struct LoginSucceeded<'a> {
    /// The request.
    pub origin: Origin<'a>,
    /// The account.
    pub user: UserId,
    /// The opened session.
    pub session: SessionId,
    /// Whether a provider authenticated the user.
    pub by_provider: bool,
}

impl LoginSucceeded<'_> {
    /// Counts and records it.
    pub fn emit(self, telemetry: &Telemetry, now: Timestamp) {
        telemetry.metrics().login("succeeded");
        let event = Event {
            user: Some(self.user),
            session: Some(self.session),
            reason: Some(if self.by_provider { "provider" } else { "succeeded" }),
            ..self.origin.event(Name::LoginSucceeded)
        };
        telemetry.record(&event, now);
    }
}

/// A login was rejected.
#[derive(Debug)]
pub struct LoginFailed<'a> {
    /// The request.
    pub origin: Origin<'a>,
    /// The reason, one of a fixed set.
    pub reason: &'static str,
}

impl LoginFailed<'_> {
    /// Counts and records it.
    pub fn emit(self, telemetry: &Telemetry, now: Timestamp) {
        telemetry.metrics().login(self.reason);
        let event = Event { reason: Some(self.reason), ..self.origin.event(Name::LoginFailed) };
        telemetry.record(&event, now);
    }
}

/// A login with a provider was rejected.
#[derive(Debug)]
pub struct ProviderLoginFailed<'a, D> {
    /// The request.
    pub origin: Origin<'a>,
    /// The provider.
    pub provider: &'a str,
    /// The reason, one of a fixed set.
    pub reason: &'static str,
    /// The cause; only logged.
    pub failure: D,
}

impl<D: Display> ProviderLoginFailed<'_, D> {
    /// Logs, counts and records it.
    pub fn emit(self, telemetry: &Telemetry, now: Timestamp) {
        tracing::warn!(
            requestId = self.origin.request_id,
            provider = self.provider,
            reason = %self.failure,
            "login with a provider rejected"
        );
        LoginFailed { origin: self.origin, reason: self.reason }.emit(telemetry, now);
    }
}

/// A login was rejected because the account is locked.
#[derive(Debug)]
pub struct LoginLocked<'a> {
    /// The request.
    pub origin: Origin<'a>,
}

impl LoginLocked<'_> {
    /// Counts and records it.
    pub fn emit(self, telemetry: &Telemetry, now: Timestamp) {
        telemetry.metrics().login("locked");
        let event = Event { reason: Some("locked"), ..self.origin.event(Name::LoginLocked) };
        telemetry.record(&event, now);
    }
}

/// A login was rejected by a rate limit, which is recorded as [`super::RateLimited`].
#[derive(Debug)]
pub struct LoginRateLimited;

impl LoginRateLimited {
    /// Counts it.
    pub fn emit(self, telemetry: &Telemetry) {
        telemetry.metrics().login("rate_limited");
    }
}

/// The password was right; a second factor is required before a session is opened.
#[derive(Debug)]
pub struct LoginPending;

impl LoginPending {
    /// Counts it.
    pub fn emit(self, telemetry: &Telemetry) {
        telemetry.metrics().login("mfa_required");
    }
}
