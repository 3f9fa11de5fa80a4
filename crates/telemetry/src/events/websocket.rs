//! WebSockets.

use std::time::Duration;

use super::{Caller, Telemetry};
use crate::audit::{Event, Name};
use guarita_core::Timestamp;

/// A WebSocket was opened.
#[derive(Debug)]
pub struct WebSocketOpened<'a> {
    /// The caller.
    pub caller: Caller<'a>,
    /// The path pattern of the route.
    pub route: &'a str,
}

impl WebSocketOpened<'_> {
    /// Counts and records it.
    pub fn emit(self, telemetry: &Telemetry, now: Timestamp) {
        telemetry.metrics().websocket_opened();
        let event = Event { route: Some(self.route), ..self.caller.event(Name::WebSocketOpened) };
        telemetry.record(&event, now);
    }
}

/// A WebSocket was rejected by the gateway or the upstream.
#[derive(Debug)]
pub struct WebSocketRejected<'a> {
    /// The caller.
    pub caller: Caller<'a>,
    /// The path pattern of the route, if there is one.
    pub route: Option<&'a str>,
    /// The code of the rejection, or that the upstream did not accept it.
    pub reason: &'static str,
    /// The time until it was rejected.
    pub duration: Duration,
}

impl WebSocketRejected<'_> {
    /// Counts and records it.
    pub fn emit(self, telemetry: &Telemetry, now: Timestamp) {
        telemetry.metrics().websocket_rejected();
        let event = Event {
            route: self.route,
            reason: Some(self.reason),
            duration: Some(self.duration),
            ..self.caller.event(Name::WebSocketRejected)
        };
        telemetry.record(&event, now);
    }
}

/// A WebSocket was closed.
#[derive(Debug)]
pub struct WebSocketClosed<'a> {
    /// The caller.
    pub caller: Caller<'a>,
    /// The path pattern of the route.
    pub route: &'a str,
    /// The reason, one of a fixed set.
    pub reason: &'static str,
    /// How long it was open.
    pub duration: Duration,
}

impl WebSocketClosed<'_> {
    /// Counts and records it.
    pub fn emit(self, telemetry: &Telemetry, now: Timestamp) {
        telemetry.metrics().websocket_closed(self.reason);
        let event = Event {
            route: Some(self.route),
            reason: Some(self.reason),
            duration: Some(self.duration),
            ..self.caller.event(Name::WebSocketClosed)
        };
        telemetry.record(&event, now);
    }
}
