//! Mailed links: password recovery and verification of addresses.

use super::{Origin, Telemetry};
use crate::audit::{Event, Name};
use guarita_core::{Timestamp, UserId};

/// A link to reset a password was requested.
#[derive(Debug)]
pub struct RecoveryRequested<'a> {
    /// The request.
    pub origin: Origin<'a>,
    /// The account, if it is known.
    pub user: Option<UserId>,
}

impl RecoveryRequested<'_> {
    /// Records it.
    pub fn emit(self, telemetry: &Telemetry, now: Timestamp) {
        let event = Event { user: self.user, ..self.origin.event(Name::RecoveryRequested) };
        telemetry.record(&event, now);
    }
}

/// A password was reset with a link.
#[derive(Debug)]
pub struct RecoveryCompleted<'a> {
    /// The request.
    pub origin: Origin<'a>,
    /// The account.
    pub user: UserId,
}

impl RecoveryCompleted<'_> {
    /// Records it.
    pub fn emit(self, telemetry: &Telemetry, now: Timestamp) {
        let event = Event { user: Some(self.user), ..self.origin.event(Name::RecoveryCompleted) };
        telemetry.record(&event, now);
    }
}

/// A link was invalid, or the new password too weak.
#[derive(Debug)]
pub struct RecoveryFailed<'a> {
    /// The request.
    pub origin: Origin<'a>,
    /// The account, if it is known.
    pub user: Option<UserId>,
    /// The reason, one of a fixed set.
    pub reason: &'static str,
}

impl RecoveryFailed<'_> {
    /// Records it.
    pub fn emit(self, telemetry: &Telemetry, now: Timestamp) {
        let event = Event {
            user: self.user,
            reason: Some(self.reason),
            ..self.origin.event(Name::RecoveryFailed)
        };
        telemetry.record(&event, now);
    }
}

/// A link to verify an address was requested.
#[derive(Debug)]
pub struct VerificationRequested<'a> {
    /// The request.
    pub origin: Origin<'a>,
    /// The account, if it is known.
    pub user: Option<UserId>,
}

impl VerificationRequested<'_> {
    /// Records it.
    pub fn emit(self, telemetry: &Telemetry, now: Timestamp) {
        let event = Event { user: self.user, ..self.origin.event(Name::VerificationRequested) };
        telemetry.record(&event, now);
    }
}

/// An address was verified with a link.
#[derive(Debug)]
pub struct VerificationCompleted<'a> {
    /// The request.
    pub origin: Origin<'a>,
    /// The account.
    pub user: UserId,
}

impl VerificationCompleted<'_> {
    /// Records it.
    pub fn emit(self, telemetry: &Telemetry, now: Timestamp) {
        let event =
            Event { user: Some(self.user), ..self.origin.event(Name::VerificationCompleted) };
        telemetry.record(&event, now);
    }
}

/// A link was invalid.
#[derive(Debug)]
pub struct VerificationFailed<'a> {
    /// The request.
    pub origin: Origin<'a>,
    /// The reason, one of a fixed set.
    pub reason: &'static str,
}

impl VerificationFailed<'_> {
    /// Records it.
    pub fn emit(self, telemetry: &Telemetry, now: Timestamp) {
        let event =
            Event { reason: Some(self.reason), ..self.origin.event(Name::VerificationFailed) };
        telemetry.record(&event, now);
    }
}
