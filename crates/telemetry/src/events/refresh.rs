//! Token refreshes.

use super::Telemetry;
use crate::audit::{Event, Name};
use guarita_core::{SessionId, Timestamp, UserId};

/// A refresh token was exchanged.
#[derive(Debug)]
pub struct RefreshSucceeded<'a> {
    /// The request id.
    pub request_id: &'a str,
    /// The account.
    pub user: UserId,
    /// The session.
    pub session: SessionId,
    /// Whether the same tokens were issued again, because the response to the first request was lost.
    pub repeated: bool,
}

impl RefreshSucceeded<'_> {
    /// Counts and records it.
    pub fn emit(self, telemetry: &Telemetry, now: Timestamp) {
        let event = Event {
            user: Some(self.user),
            session: Some(self.session),
            ..refreshed(Name::RefreshSucceeded, self.request_id)
        };
        write(telemetry, event, if self.repeated { "repeated" } else { "succeeded" }, now);
    }
}

/// A refresh token was rejected.
#[derive(Debug)]
pub struct RefreshFailed<'a> {
    /// The request id.
    pub request_id: &'a str,
    /// The reason, one of a fixed set.
    pub reason: &'static str,
}

impl RefreshFailed<'_> {
    /// Counts and records it.
    pub fn emit(self, telemetry: &Telemetry, now: Timestamp) {
        write(telemetry, refreshed(Name::RefreshFailed, self.request_id), self.reason, now);
    }
}

/// A used refresh token was presented again: its family is revoked.
#[derive(Debug)]
pub struct RefreshReused<'a> {
    /// The request id.
    pub request_id: &'a str,
    /// The account.
    pub user: UserId,
    /// The session, which ended.
    pub session: SessionId,
}

impl RefreshReused<'_> {
    /// Logs, counts and records it.
    pub fn emit(self, telemetry: &Telemetry, now: Timestamp) {
        let event = Event {
            user: Some(self.user),
            session: Some(self.session),
            ..refreshed(Name::RefreshReuse, self.request_id)
        };
        write(telemetry, event, "reused", now);
    }
}

const fn refreshed(name: Name, request_id: &str) -> Event<'_> {
    Event { request_id: Some(request_id), ..Event::new(name) }
}

fn write(telemetry: &Telemetry, event: Event<'_>, result: &'static str, now: Timestamp) {
    telemetry.metrics().refresh(result);
    telemetry.record(&Event { reason: Some(result), ..event }, now);
}
