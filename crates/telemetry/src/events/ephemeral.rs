//! Shared state that cannot be reached.

use std::fmt::Display;
use std::time::Duration;

use super::log_name::LogName;

/// The backend of rate limits and tickets can be reached again.
#[derive(Debug)]
pub struct EphemeralUp<'a> {
    /// The backend, as in a sentence.
    pub backend: &'a str,
}

impl EphemeralUp<'_> {
    /// Logs it.
    pub fn emit(self) {
        tracing::info!(
            event = LogName::EphemeralUp.as_str(),
            "{} can be reached again",
            self.backend
        );
    }
}

/// The backend of rate limits and tickets cannot be reached.
#[derive(Debug)]
pub struct EphemeralDown<'a, D> {
    /// The backend, as in a sentence.
    pub backend: &'a str,
    /// The cause.
    pub reason: D,
}

impl<D: Display> EphemeralDown<'_, D> {
    /// Logs it.
    pub fn emit(self) {
        tracing::warn!(
            event = LogName::EphemeralDown.as_str(),
            reason = %self.reason,
            "{} cannot be reached: each gateway limits by itself, and tickets are rejected",
            self.backend
        );
    }
}

/// Redis did not respond before the gateway started to serve.
#[derive(Debug)]
pub struct EphemeralLate;

impl EphemeralLate {
    /// Logs it.
    pub fn emit(self) {
        tracing::warn!(
            event = LogName::EphemeralLate.as_str(),
            "Redis has not responded yet; serving without it"
        );
    }
}

/// Routes serve stale session state.
#[derive(Debug)]
pub struct OnUnknownServing {
    /// For how long they do.
    pub within: Duration,
}

impl OnUnknownServing {
    /// Logs it.
    pub fn emit(self) {
        tracing::warn!(
            event = LogName::OnUnknownServing.as_str(),
            within_seconds = self.within.as_secs(),
            "neither the feed of changes nor the database can be asked: callers of routes that say so are \
             served by what was last known"
        );
    }
}
