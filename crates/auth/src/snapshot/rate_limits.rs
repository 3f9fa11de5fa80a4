//! `[rate_limits]`: the rate limits of Guarita's own endpoints.

use std::num::NonZeroU32;
use std::time::Duration;

use guarita_kv::Rate;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// The bounds of one kind of request; none where `None`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// For one IPv4 address, or one IPv6 /64.
    pub per_source: Option<Rate>,
    /// For one account, name or client.
    pub per_account: Option<Rate>,
}

/// Bounds by what is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimits {
    /// `POST /auth/login`, `/auth/token`; default 600/1m and 300/1m.
    pub login: Bounds,
    /// `POST /recover`, `/recover/confirm`; default 30/1m and 10/1h.
    pub recover: Bounds,
    /// `POST /verify-email`, `/verify-email/confirm`; default 30/1m and 10/1h.
    pub verify_email: Bounds,
    /// `POST /auth/refresh`; default 3000/1m by source. The account is not known before the token
    /// is.
    pub refresh: Bounds,
    /// `/auth/mfa/*`; default 120/1m and 60/1m.
    pub mfa: Bounds,
    /// `POST /oauth2/introspect`; default 6000/1m and 6000/1m by client.
    pub introspection: Bounds,
}

/// `count` in `period`; a count of zero is one.
fn rate(count: u32, period: Duration) -> Option<Rate> {
    Some(Rate { count: NonZeroU32::new(count).unwrap_or(NonZeroU32::MIN), period })
}

impl Default for RateLimits {
    fn default() -> Self {
        let mail = Bounds { per_source: rate(30, MINUTE), per_account: rate(10, HOUR) };
        Self {
            login: Bounds { per_source: rate(600, MINUTE), per_account: rate(300, MINUTE) },
            recover: mail,
            verify_email: mail,
            refresh: Bounds { per_source: rate(3000, MINUTE), per_account: None },
            mfa: Bounds { per_source: rate(120, MINUTE), per_account: rate(60, MINUTE) },
            introspection: Bounds {
                per_source: rate(6000, MINUTE),
                per_account: rate(6000, MINUTE),
            },
        }
    }
}
