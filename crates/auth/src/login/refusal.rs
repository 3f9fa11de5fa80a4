//! Why a login is rejected.

use std::time::Duration;

use super::password::Busy;
use crate::rate_limit::Limited;
use guarita_core::Secret;
use guarita_kv as ephemeral;

/// Why a login is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum LoginRejection {
    /// Unknown user, wrong password, or disabled: not told apart.
    InvalidCredentials,
    /// Locked after too many failures.
    Locked {
        /// When to try again.
        retry_after: Duration,
    },
    /// Too many attempts from this source or at this account.
    RateLimited(Limited),
    /// The password is right, and the account must be verified first.
    EmailUnverified,
    /// The password is right, and a second factor is active.
    SecondFactorRequired {
        /// Opaque, for five minutes and five codes.
        ticket: Secret,
    },
    /// The pool of password hashing is full, or too many logins wait for their second factor.
    Busy,
    /// The password is right, a second factor is active, and what all gateways share cannot be asked.
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
