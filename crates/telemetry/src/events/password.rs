//! Changes of passwords.

use super::{Origin, Telemetry};
use crate::audit::{Event, Name};
use guarita_core::{SessionId, Timestamp, UserId};

/// A password was changed by its user.
#[derive(Debug)]
pub struct PasswordChanged<'a> {
    /// The request.
    pub origin: Origin<'a>,
    /// The account.
    pub user: UserId,
    /// The session.
    pub session: SessionId,
}

impl PasswordChanged<'_> {
    /// Records it.
    pub fn emit(self, telemetry: &Telemetry, now: Timestamp) {
        let event = Event {
            user: Some(self.user),
            session: Some(self.session),
            ..self.origin.event(Name::PasswordChanged)
        };
        telemetry.record(&event, now);
    }
}

/// A change of password was rejected: the current one was wrong, or the new one too weak.
#[derive(Debug)]
pub struct PasswordRefused<'a> {
    /// The request.
    pub origin: Origin<'a>,
    /// The account.
    pub user: UserId,
    /// The session.
    pub session: SessionId,
    /// The reason, one of a fixed set.
    pub reason: &'static str,
}

impl PasswordRefused<'_> {
    /// Records it.
    pub fn emit(self, telemetry: &Telemetry, now: Timestamp) {
        let event = Event {
            user: Some(self.user),
            session: Some(self.session),
            reason: Some(self.reason),
            ..self.origin.event(Name::PasswordUnchanged)
        };
        telemetry.record(&event, now);
    }
}
