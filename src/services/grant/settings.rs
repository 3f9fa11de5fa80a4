//! What tokens are made of.

use std::time::Duration;

/// `[tokens]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// `iss`
    pub issuer: Box<str>,
    /// `aud`
    pub audience: Box<str>,
    /// Life of an access token; 1 s to 24 h, default 60 min.
    pub access_ttl: Duration,
    /// Life of a refresh token; 1 s to 1 year, default 30 d.
    pub refresh_ttl: Duration,
    /// Whether a refresh token is replaced when it is used.
    pub refresh_rotation: bool,
}
