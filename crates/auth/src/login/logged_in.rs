//! The result of a login.

use super::Tokens;
use guarita_core::{Secret, SessionId, UserId};

/// The result of a login.
#[derive(Debug)]
pub struct LoggedIn {
    /// The session.
    pub session: SessionId,
    /// The user.
    pub user: UserId,
    /// The credential of the session.
    pub key: IssuedCredential,
    /// The token of the known device, to be stored in a cookie.
    pub device: Option<Secret>,
}

/// The credential of a session.
#[derive(Debug)]
pub enum IssuedCredential {
    /// A session cookie, for a browser; no tokens are issued.
    Cookie(Secret),
    /// Tokens.
    Tokens(Tokens),
}

impl LoggedIn {
    /// The cookie, if it is a browser session.
    pub const fn cookie(&self) -> Option<&Secret> {
        match &self.key {
            IssuedCredential::Cookie(cookie) => Some(cookie),
            IssuedCredential::Tokens(_) => None,
        }
    }
}
