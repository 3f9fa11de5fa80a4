//! A request to log in.

use super::{Identifier, SessionKind};
use guarita_core::Secret;
use std::net::IpAddr;

/// A login request.
#[derive(Debug, Clone)]
pub struct LoginRequest {
    /// The identifier.
    pub identifier: Identifier,
    /// The password.
    pub password: Secret,
    /// The kind of session to create.
    pub opens: SessionKind,
    /// The token of a known device, as received.
    pub device: Option<Secret>,
    /// The client's address and user agent, stored with the session.
    pub address: Option<IpAddr>,
    /// At most 256 bytes are stored.
    pub user_agent: Option<String>,
}
