//! Why a login is rejected.

use std::time::Duration;

use super::password::Busy;
use crate::rate_limit::Limited;
use guarita_core::Secret;
use guarita_kv as ephemeral;

/// Why a login is rejected.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum LoginRejection {
    /// Unknown user, wrong password, or disabled; which of them is not told.
    InvalidCredentials,
    /// Locked after too many failures.
    Locked {
        /// When to try again.
        retry_after: Duration,
    },
    /// Too many attempts from this source or for this account.
    RateLimited(Limited),
    /// The password is right, and the account must be verified first.
    EmailUnverified,
    /// The password is right, and a second factor is active.
    SecondFactorRequired {
        /// The ticket, opaque; valid for five minutes and five codes.
        ticket: Secret,
    },
    /// The pool of password hashing is full, or there are too many pending logins.
    Busy,
    /// The password is right and a second factor is active, but the shared backend is unavailable.
    OutOfReach,
}

impl From<Limited> for LoginRejection {
    fn from(limited: Limited) -> Self {
        Self::RateLimited(limited)
    }
}

impl From<ephemeral::KvUnavailable> for LoginRejection {
    fn from(_: ephemeral::KvUnavailable) -> Self {
        Self::OutOfReach
    }
}

impl From<Busy> for LoginRejection {
    fn from(_: Busy) -> Self {
        Self::Busy
    }
}
