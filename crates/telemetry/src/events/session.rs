//! Ends of sessions.

use super::{Caller, Origin, Telemetry};
use crate::audit::{Event, Name};
use guarita_core::{SessionId, Timestamp, UserId};

/// One session ended.
#[derive(Debug)]
pub struct LoggedOut<'a> {
    /// The request.
    pub origin: Origin<'a>,
    /// The account.
    pub user: Option<UserId>,
    /// The local session, if it was one.
    pub session: Option<SessionId>,
}

impl LoggedOut<'_> {
    /// Records it.
    pub fn emit(self, telemetry: &Telemetry, now: Timestamp) {
        let Self { origin, user, session } = self;
        telemetry.record(&Event { user, session, ..origin.event(Name::Logout) }, now);
    }
}

/// All sessions of a user ended.
#[derive(Debug)]
pub struct LoggedOutEverywhere<'a> {
    /// The request.
    pub origin: Origin<'a>,
    /// The account.
    pub user: Option<UserId>,
}

impl LoggedOutEverywhere<'_> {
    /// Records it.
    pub fn emit(self, telemetry: &Telemetry, now: Timestamp) {
        let Self { origin, user } = self;
        telemetry.record(&Event { user, ..origin.event(Name::LogoutAll) }, now);
    }
}

/// A request in progress was aborted, because what it was authorized by was revoked.
#[derive(Debug)]
pub struct StreamClosed<'a> {
    /// The caller.
    pub caller: Caller<'a>,
    /// The reason, one of a fixed set.
    pub reason: &'static str,
}

impl StreamClosed<'_> {
    /// Logs, counts and records it.
    pub fn emit(self, telemetry: &Telemetry, now: Timestamp) {
        let Self { caller, reason } = self;
        tracing::info!(requestId = caller.request_id, "request aborted by a revocation");
        telemetry.metrics().stream_closed(reason);
        telemetry.record(&Event { reason: Some(reason), ..caller.event(Name::StreamClosed) }, now);
    }
}
