//! The settings of tokens.

use std::time::Duration;

use guarita_core::Timestamp;

/// `[tokens]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenSettings {
    /// `iss`
    pub issuer: Box<str>,
    /// `aud`
    pub audience: Box<str>,
    /// Life of an access token; 1 s to 24 h, default 60 min.
    pub access_ttl: Duration,
    /// Life of a refresh token; 1 s to 1 year, default 30 d.
    pub refresh_ttl: Duration,
    /// What becomes of a refresh token that is used.
    pub refresh_rotation: RefreshRotation,
    /// How long a used refresh token still gets the successor it got; 0 to
    /// [`crate::session::KEEP_SUCCESSOR_SEEDS`], default 10 s.
    pub refresh_grace: Duration,
    /// Longest life of a session, however often it is refreshed; 1 s to 10 years, default 90 d.
    pub session_ttl: Duration,
}

/// What becomes of a refresh token that is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefreshRotation {
    /// There are none: a session ends with its first access token.
    Off,
    /// It stays good.
    Static,
    /// A successor takes its place (RFC 9700 section 4.14.2).
    Rotate,
}

impl TokenSettings {
    /// When a refresh token issued now ends, in a session that began then.
    pub fn refresh_ends(&self, began: Timestamp, now: Timestamp) -> Timestamp {
        now.plus(self.refresh_ttl).min(began.plus(self.session_ttl))
    }

    /// When an access token issued now ends, in a session that began then.
    pub fn access_ends(&self, began: Timestamp, now: Timestamp) -> Timestamp {
        now.plus(self.access_ttl).min(began.plus(self.session_ttl))
    }
}
