//! The audit files themselves.

use std::fmt::Display;

use super::log_name::LogName;
use crate::audit::{Event, Name};

/// The newest seal. Its own line ends the batch, and is written with it.
#[derive(Debug)]
pub(crate) struct AuditSealed<D> {
    /// The seal.
    pub(crate) seal: D,
}

impl<D: Display> AuditSealed<D> {
    /// Logs it.
    pub(crate) fn emit(self) {
        tracing::info!(event = LogName::AuditSeal.as_str(), seal = %self.seal, "audit files sealed");
    }
}

/// The newest file did not end cleanly. Its own line is sealed with what was left in the file.
#[derive(Debug)]
pub(crate) struct AuditResumed<'a, D> {
    /// The name of the file.
    pub(crate) file: &'a str,
    /// How the file ended, one of a fixed set.
    pub(crate) reason: &'a str,
    /// The last seal in the file.
    pub(crate) seal: D,
}

impl<'a, D: Display> AuditResumed<'a, D> {
    /// The audit line.
    pub(crate) const fn line(&self) -> Event<'a> {
        Event { reason: Some(self.reason), ..Event::new(Name::AuditResumed) }
    }

    /// Logs it.
    pub(crate) fn emit(self) {
        let Self { file, reason, seal } = self;
        tracing::warn!(
            event = LogName::AuditResumed.as_str(),
            file,
            reason,
            %seal,
            "audit file resumed"
        );
    }
}
