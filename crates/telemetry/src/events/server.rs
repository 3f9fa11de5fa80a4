//! Start, drain and stop of the gateway, and its clock.

use std::fmt::Display;
use std::net::SocketAddr;

use super::Telemetry;
use super::log_name::LogName;
use crate::audit::{Event, Name};
use guarita_core::Timestamp;

/// An address is open.
#[derive(Debug)]
pub struct Listening<'a> {
    /// What is served there.
    pub listener: &'a str,
    /// The address.
    pub address: SocketAddr,
    /// Whether the socket was inherited.
    pub inherited: bool,
}

impl Listening<'_> {
    /// Logs it.
    pub fn emit(self) {
        let Self { listener, address, inherited } = self;
        tracing::info!(
            event = LogName::Listening.as_str(),
            listener,
            %address,
            inherited,
            "listening"
        );
    }
}

/// There is no mail server.
#[derive(Debug)]
pub struct MailMissing<D> {
    /// What does not work without it.
    pub warning: D,
}

impl<D: Display> MailMissing<D> {
    /// Logs it.
    pub fn emit(self) {
        tracing::warn!(event = LogName::MailNone.as_str(), "{}", self.warning);
    }
}

/// The gateway serves.
#[derive(Debug)]
pub struct ServerStarted;

impl ServerStarted {
    /// Logs and records it.
    pub fn emit(self, telemetry: &Telemetry, now: Timestamp) {
        telemetry.record(&Event::new(Name::Started), now);
        tracing::info!(event = LogName::ServerStarted.as_str(), "serving");
    }
}

/// The gateway announces that it stops.
#[derive(Debug)]
pub struct ServerDraining;

impl ServerDraining {
    /// Logs it.
    pub fn emit(self) {
        tracing::info!(event = LogName::ServerDraining.as_str(), "draining");
    }
}

/// The gateway accepts no more connections.
#[derive(Debug)]
pub struct ServerClosing;

impl ServerClosing {
    /// Logs it.
    pub fn emit(self) {
        tracing::info!(event = LogName::ServerClosing.as_str(), "no longer accepting connections");
    }
}

/// The gateway stopped.
#[derive(Debug)]
pub struct ServerStopped;

impl ServerStopped {
    /// Records it.
    pub fn emit(self, telemetry: &Telemetry, now: Timestamp) {
        telemetry.record(&Event::new(Name::Stopped), now);
    }
}

/// The clock differs from the database's clock.
#[derive(Debug)]
pub struct ClockWrong {
    /// How far it is ahead, in seconds.
    pub offset: i64,
}

impl ClockWrong {
    /// Logs it.
    pub fn emit(self) {
        tracing::error!(
            event = LogName::ClockWrong.as_str(),
            offset = self.offset,
            "the clock differs from the database's: tokens may be valid too early, too late or not at all"
        );
    }
}

/// The clock agrees with the database's clock again.
#[derive(Debug)]
pub struct ClockRight {
    /// How far it is ahead, in seconds.
    pub offset: i64,
}

impl ClockRight {
    /// Logs it.
    pub fn emit(self) {
        tracing::info!(
            event = LogName::ClockRight.as_str(),
            offset = self.offset,
            "the clock agrees with the database's again"
        );
    }
}
