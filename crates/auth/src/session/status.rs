//! The status of sessions and their users.

use std::sync::Arc;

use guarita_core::{Roles, Timestamp, UserId};

/// The status of a session.
#[derive(Clone, Debug)]
pub enum SessionStatus {
    /// It exists, is not revoked or expired, and its user is active.
    Active {
        /// The status of its user.
        user: Arc<UserStatus>,
        /// Whether a second factor was verified in it.
        second_factor: bool,
        /// Its expiry, as known to this node; the use of a browser session extends it.
        expires_at: Timestamp,
    },
    /// Revoked, expired, unknown, or its user disabled.
    Inactive,
}

/// The status of a session's user.
#[derive(Debug, PartialEq)]
pub struct UserStatus {
    /// The user.
    pub user: UserId,
    /// The roles in the database.
    pub roles: Roles,
    /// When they last changed: a token issued at or before this second has stale roles.
    pub roles_changed_at: Timestamp,
    /// Whether the account itself requires a second factor.
    pub second_factor_required: bool,
}

/// The status is unavailable: it is not cached and the database does not respond.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the status of the session is unavailable")]
pub struct StatusUnavailable;
