//! The configuration and its reloads.

use std::fmt::Display;

use super::Telemetry;
use super::log_name::LogName;
use crate::audit::{Event, Name};
use guarita_core::Timestamp;

/// A configuration was applied.
#[derive(Debug)]
pub struct ReloadSucceeded {
    /// The generation that it is now.
    pub generation: u64,
    /// What asked for the reload.
    pub reason: &'static str,
    /// The number of routes.
    pub routes: usize,
}

impl ReloadSucceeded {
    /// Logs, counts and records it.
    pub fn emit(self, telemetry: &Telemetry, now: Timestamp) {
        let Self { generation, reason, routes } = self;
        tracing::info!(event = LogName::ReloadSucceeded.as_str(), generation, reason, routes);
        telemetry.metrics().reloaded(true, now.seconds());
        telemetry.record(&Event { reason: Some(reason), ..Event::new(Name::ReloadSucceeded) }, now);
    }
}

/// A configuration was rejected; the current one is kept.
#[derive(Debug)]
pub struct ReloadFailed<'a> {
    /// The problems of the configuration; one log line each.
    pub problems: &'a [String],
    /// What asked for the reload.
    pub reason: &'static str,
    /// The generation that stays.
    pub generation: u64,
}

impl ReloadFailed<'_> {
    /// Logs, counts and records it.
    pub fn emit(self, telemetry: &Telemetry, now: Timestamp) {
        let Self { problems, reason, generation } = self;
        for problem in problems {
            tracing::error!(
                event = LogName::ReloadFailed.as_str(),
                reason,
                generation,
                "{problem}"
            );
        }
        telemetry.metrics().reloaded(false, now.seconds());
        telemetry.record(&Event { reason: Some(reason), ..Event::new(Name::ReloadFailed) }, now);
    }
}

/// A changed value takes effect after a restart only.
#[derive(Debug)]
pub struct RestartNeeded<'a> {
    /// The configuration key.
    pub key: &'a str,
}

impl RestartNeeded<'_> {
    /// Logs it.
    pub fn emit(self) {
        tracing::warn!(
            event = LogName::RestartNeeded.as_str(),
            key = self.key,
            "the new value takes effect after a restart; everything else was applied"
        );
    }
}

/// The configuration is valid, but deserves a look.
#[derive(Debug)]
pub struct ConfigWarning<D> {
    /// What deserves a look.
    pub warning: D,
}

impl<D: Display> ConfigWarning<D> {
    /// Logs it.
    pub fn emit(self) {
        tracing::warn!(event = LogName::ConfigWarning.as_str(), "{}", self.warning);
    }
}

/// Changes of files are not reported by the file system.
#[derive(Debug)]
pub struct ConfigWatchFailed<D> {
    /// The cause.
    pub error: D,
}

impl<D: Display> ConfigWatchFailed<D> {
    /// Logs it.
    pub fn emit(self) {
        tracing::warn!(
            event = LogName::WatchFailed.as_str(),
            error = %self.error,
            "files cannot be watched; changes are detected by polling every 10 s"
        );
    }
}
