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
    /// Lifetime of an access token; 1 s to 24 h, default 60 min.
    pub access_ttl: Duration,
    /// Lifetime of a refresh token; 1 s to 1 year, default 30 d.
    pub refresh_ttl: Duration,
    /// What becomes of a refresh token that is used.
    pub refresh_rotation: RefreshRotation,
    /// How long a used refresh token still gets the same successor; 0 to
    /// [`crate::session::KEEP_SUCCESSOR_SEEDS`], default 10 s.
    pub refresh_grace: Duration,
    /// Maximum lifetime of a session, however often it is refreshed; 1 s to 10 years, default 90 d.
    pub session_ttl: Duration,
}

/// What becomes of a refresh token that is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefreshRotation {
    /// No refresh tokens: a session ends with its first access token.
    Off,
    /// It stays valid.
    Static,
    /// It is replaced by a successor (RFC 9700 section 4.14.2).
    Rotate,
}

impl TokenSettings {
    /// The expiry of a refresh token that is issued now, in a session that began then.
    pub fn refresh_ends(&self, began: Timestamp, now: Timestamp) -> Timestamp {
        now.plus(self.refresh_ttl).min(began.plus(self.session_ttl))
    }

    /// The expiry of an access token that is issued now, in a session that began then.
    pub fn access_ends(&self, began: Timestamp, now: Timestamp) -> Timestamp {
        now.plus(self.access_ttl).min(began.plus(self.session_ttl))
    }
}
