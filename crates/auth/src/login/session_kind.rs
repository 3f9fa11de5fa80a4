//! The kind of session that a login creates.

/// What a login opens a session with. But for the first, the device is made known too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionKind {
    /// An access token only.
    AccessToken,
    /// An access token and a refresh token.
    Tokens,
    /// A cookie.
    Cookie,
}
