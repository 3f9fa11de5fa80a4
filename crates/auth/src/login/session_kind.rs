//! The kind of session that a login creates.

/// The kind of session that a login creates. Except for the first, the device becomes known too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionKind {
    /// An access token only.
    AccessToken,
    /// An access token and a refresh token.
    Tokens,
    /// A cookie.
    Cookie,
}
