//! Issuing and refreshing tokens.

pub mod settings;

pub mod tokens;

pub mod refresh;

#[cfg(test)]
pub(crate) mod sample;

pub use refresh::{InvalidRefreshToken, Refresh, Refreshed};
pub use settings::{RefreshRotation, TokenSettings};
pub use tokens::{Issuer, TokenError, TokenRequest, Tokens};
