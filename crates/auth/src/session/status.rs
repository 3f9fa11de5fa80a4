//! The status of sessions and their users.

use std::sync::Arc;

use guarita_core::{Roles, Timestamp, UserId};

/// How a session stands now.
#[derive(Clone, Debug)]
pub enum SessionStatus {
    /// Present, not revoked, its user active.
    Active {
        /// How its user stands.
        user: Arc<UserStatus>,
        /// Whether a second factor was proven in it.
        second_factor: bool,
        /// When it ends, as far as this node knows; the use of a browser's moves it.
        expires_at: Timestamp,
    },
    /// Revoked, expired, unknown, or its user disabled.
    Inactive,
}

/// How the session's user stands now.
#[derive(Debug, PartialEq)]
pub struct UserStatus {
    /// The user.
    pub user: UserId,
    /// The roles in the store.
    pub roles: Roles,
    /// When they last changed: a token issued at or before this second carries stale roles.
    pub roles_changed_at: Timestamp,
    /// Whether a second factor is demanded of the account itself.
    pub second_factor_required: bool,
}

/// Neither memory nor the store can say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the status of the session is unavailable")]
pub struct StatusUnavailable;
