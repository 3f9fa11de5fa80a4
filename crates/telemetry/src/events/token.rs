//! Clients that introspect and revoke tokens.

use super::{Origin, Telemetry};
use crate::audit::{Event, Name};
use guarita_core::{SessionId, Timestamp};

/// A client ended a session by one of its tokens.
#[derive(Debug)]
pub struct TokenRevoked<'a> {
    /// The request.
    pub origin: Origin<'a>,
    /// The local session, if it is one.
    pub session: Option<SessionId>,
    /// The name of the client.
    pub client: &'a str,
}

impl TokenRevoked<'_> {
    /// Records it.
    pub fn emit(self, telemetry: &Telemetry, now: Timestamp) {
        let Self { origin, session, client } = self;
        let event = Event { session, reason: Some(client), ..origin.event(Name::TokenRevoked) };
        telemetry.record(&event, now);
    }
}

/// Client authentication failed at introspection or revocation.
#[derive(Debug)]
pub struct ClientRejected<'a> {
    /// The request.
    pub origin: Origin<'a>,
    /// The code of the rejection.
    pub reason: &'static str,
}

impl ClientRejected<'_> {
    /// Records it.
    pub fn emit(self, telemetry: &Telemetry, now: Timestamp) {
        let event = Event { reason: Some(self.reason), ..self.origin.event(Name::ClientRefused) };
        telemetry.record(&event, now);
    }
}
