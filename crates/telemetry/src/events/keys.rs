//! Signing keys.

use std::fmt::Display;

use super::Telemetry;
use super::log_name::LogName;
use crate::audit::{Event, Name};
use guarita_core::Timestamp;

/// The first keys of a purpose were created.
#[derive(Debug)]
pub struct KeysMade<'a> {
    /// The purpose.
    pub purpose: &'a str,
    /// The number of keys.
    pub count: usize,
}

impl KeysMade<'_> {
    /// Logs it.
    pub fn emit(self) {
        let Self { purpose, count } = self;
        tracing::info!(event = LogName::KeysMade.as_str(), purpose, count);
    }
}

/// A new key is published; it signs later.
#[derive(Debug)]
pub enum KeyAnnounced<'a> {
    /// Because another algorithm is configured.
    Algorithm(&'a str),
    /// Because the previous key is old.
    Rotated {
        /// The id of the key.
        id: &'a str,
        /// From when it signs, in RFC 3339.
        signs_from: Option<&'a str>,
    },
}

impl KeyAnnounced<'_> {
    /// Logs it.
    pub fn emit(self) {
        let event = LogName::KeysAnnounced.as_str();
        match self {
            Self::Algorithm(algorithm) => tracing::info!(event, algorithm),
            Self::Rotated { id, signs_from } => {
                tracing::info!(event, kid = id, signsFrom = signs_from);
            }
        }
    }
}

/// Another algorithm is configured, but no key could be created for it.
#[derive(Debug)]
pub struct KeyAlgorithmKept<D> {
    /// The cause.
    pub why: D,
}

impl<D: Display> KeyAlgorithmKept<D> {
    /// Logs it.
    pub fn emit(self) {
        tracing::warn!(
            event = LogName::KeysAlgorithm.as_str(),
            why = %self.why,
            "no key created, present keys kept"
        );
    }
}

/// A new key could not be created when the previous one was old.
#[derive(Debug)]
pub struct KeyRotationFailed<D> {
    /// The cause.
    pub error: D,
}

impl<D: Display> KeyRotationFailed<D> {
    /// Logs it.
    pub fn emit(self) {
        tracing::error!(
            event = LogName::KeysRotationFailed.as_str(),
            error = %self.error,
            "rotating the signing key failed"
        );
    }
}

/// Keys can be read again.
#[derive(Debug)]
pub struct KeysRead;

impl KeysRead {
    /// Logs it.
    pub fn emit(self) {
        tracing::info!(event = LogName::KeysRead.as_str(), "keys can be read again");
    }
}

/// Keys cannot be read.
#[derive(Debug)]
pub struct KeysUnread<D> {
    /// The cause.
    pub error: D,
}

impl<D: Display> KeysUnread<D> {
    /// Logs it.
    pub fn emit(self) {
        tracing::error!(
            event = LogName::KeysUnread.as_str(),
            error = %self.error,
            "keys unreadable, present keys kept"
        );
    }
}

/// Changed keys are in use.
#[derive(Debug)]
pub struct KeysTaken {
    /// The generation of the configuration that has them.
    pub generation: u64,
}

impl KeysTaken {
    /// Logs and records it.
    pub fn emit(self, telemetry: &Telemetry, now: Timestamp) {
        tracing::info!(
            event = LogName::KeysTaken.as_str(),
            generation = self.generation,
            "signing keys reloaded"
        );
        telemetry.record(&Event::new(Name::KeysChanged), now);
    }
}

/// Changed keys cannot be used.
#[derive(Debug)]
pub struct KeysRefused<D> {
    /// What is wrong with them; [`None`] if it could not be determined.
    pub problems: Option<D>,
}

impl<D: Display> KeysRefused<D> {
    /// Logs it.
    pub fn emit(self) {
        let event = LogName::KeysRefused.as_str();
        match self.problems {
            Some(problems) => {
                tracing::error!(event, %problems, "signing keys rejected, present keys kept");
            }
            None => tracing::error!(event, "reloading the signing keys failed"),
        }
    }
}
