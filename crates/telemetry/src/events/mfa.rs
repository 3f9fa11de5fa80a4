//! Second factors.

use super::{Origin, Telemetry};
use crate::audit::{Event, Name};
use guarita_core::{SessionId, Timestamp, UserId};

/// Enrolment of a second factor was started.
#[derive(Debug)]
pub struct EnrolmentStarted<'a> {
    /// The request.
    pub origin: Origin<'a>,
    /// The account.
    pub user: UserId,
    /// The session.
    pub session: SessionId,
}

impl EnrolmentStarted<'_> {
    /// Records it.
    pub fn emit(self, telemetry: &Telemetry, now: Timestamp) {
        let event = Event {
            user: Some(self.user),
            session: Some(self.session),
            ..self.origin.event(Name::MfaEnrollStarted)
        };
        telemetry.record(&event, now);
    }
}

/// A second factor became active.
#[derive(Debug)]
pub struct EnrolmentConfirmed<'a> {
    /// The request.
    pub origin: Origin<'a>,
    /// The account.
    pub user: UserId,
    /// The session.
    pub session: SessionId,
}

impl EnrolmentConfirmed<'_> {
    /// Records it.
    pub fn emit(self, telemetry: &Telemetry, now: Timestamp) {
        let event = Event {
            user: Some(self.user),
            session: Some(self.session),
            ..self.origin.event(Name::MfaEnrollConfirmed)
        };
        telemetry.record(&event, now);
    }
}

/// Enrolment of a second factor was rejected: re-authentication is required.
#[derive(Debug)]
pub struct EnrolmentRefused<'a> {
    /// The request.
    pub origin: Origin<'a>,
    /// The account.
    pub user: UserId,
    /// The reason, one of a fixed set.
    pub reason: &'static str,
}

impl EnrolmentRefused<'_> {
    /// Records it.
    pub fn emit(self, telemetry: &Telemetry, now: Timestamp) {
        let event = Event {
            user: Some(self.user),
            reason: Some(self.reason),
            ..self.origin.event(Name::MfaEnrollRefused)
        };
        telemetry.record(&event, now);
    }
}

/// The recovery codes were replaced.
#[derive(Debug)]
pub struct RecoveryCodesRenewed<'a> {
    /// The request.
    pub origin: Origin<'a>,
    /// The account.
    pub user: UserId,
    /// The session.
    pub session: SessionId,
}

impl RecoveryCodesRenewed<'_> {
    /// Records it.
    pub fn emit(self, telemetry: &Telemetry, now: Timestamp) {
        let event = Event {
            user: Some(self.user),
            session: Some(self.session),
            ..self.origin.event(Name::MfaEnrollRenewed)
        };
        telemetry.record(&event, now);
    }
}

/// A second factor was removed.
#[derive(Debug)]
pub struct EnrolmentDisabled<'a> {
    /// The request.
    pub origin: Origin<'a>,
    /// The account.
    pub user: UserId,
    /// The session.
    pub session: SessionId,
}

impl EnrolmentDisabled<'_> {
    /// Records it.
    pub fn emit(self, telemetry: &Telemetry, now: Timestamp) {
        let event = Event {
            user: Some(self.user),
            session: Some(self.session),
            ..self.origin.event(Name::MfaEnrollDisabled)
        };
        telemetry.record(&event, now);
    }
}

/// A second factor was verified at a login.
#[derive(Debug)]
pub struct ChallengeSucceeded<'a> {
    /// The request.
    pub origin: Origin<'a>,
    /// The account.
    pub user: UserId,
    /// The session.
    pub session: SessionId,
}

impl ChallengeSucceeded<'_> {
    /// Counts and records it.
    pub fn emit(self, telemetry: &Telemetry, now: Timestamp) {
        telemetry.metrics().mfa_challenge("succeeded");
        let event = Event {
            user: Some(self.user),
            session: Some(self.session),
            ..self.origin.event(Name::MfaChallengeSucceeded)
        };
        telemetry.record(&event, now);
    }
}

/// A code or ticket was invalid.
#[derive(Debug)]
pub struct ChallengeFailed<'a> {
    /// The request.
    pub origin: Origin<'a>,
    /// The account, if it is known.
    pub user: Option<UserId>,
    /// The reason, one of a fixed set.
    pub reason: &'static str,
}

impl ChallengeFailed<'_> {
    /// Counts and records it.
    pub fn emit(self, telemetry: &Telemetry, now: Timestamp) {
        telemetry.metrics().mfa_challenge(self.reason);
        let event = Event {
            user: self.user,
            reason: Some(self.reason),
            ..self.origin.event(Name::MfaChallengeFailed)
        };
        telemetry.record(&event, now);
    }
}

/// A used code was sent again.
#[derive(Debug)]
pub struct ChallengeReplayed<'a> {
    /// The request.
    pub origin: Origin<'a>,
    /// The account.
    pub user: UserId,
}

impl ChallengeReplayed<'_> {
    /// Logs, counts and records it.
    pub fn emit(self, telemetry: &Telemetry, now: Timestamp) {
        tracing::warn!(requestId = self.origin.request_id, "a used code was sent again");
        telemetry.metrics().mfa_challenge("replayed");
        let event = Event {
            user: Some(self.user),
            reason: Some("replayed"),
            ..self.origin.event(Name::MfaChallengeReplayed)
        };
        telemetry.record(&event, now);
    }
}

/// Too many codes were wrong.
#[derive(Debug)]
pub struct ChallengeLocked<'a> {
    /// The request.
    pub origin: Origin<'a>,
    /// The account.
    pub user: UserId,
}

impl ChallengeLocked<'_> {
    /// Counts and records it.
    pub fn emit(self, telemetry: &Telemetry, now: Timestamp) {
        telemetry.metrics().mfa_challenge("locked");
        let event = Event {
            user: Some(self.user),
            reason: Some("locked"),
            ..self.origin.event(Name::MfaChallengeLocked)
        };
        telemetry.record(&event, now);
    }
}
