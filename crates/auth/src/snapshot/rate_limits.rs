//! `[rate_limits]`: the rate limits of Guarita's own endpoints.

use std::num::NonZeroU32;
use std::time::Duration;

use guarita_kv::Rate;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// The rates of one kind of request; [`None`] for no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Per IPv4 address or IPv6 /64.
    pub per_source: Option<Rate>,
    /// Per account, name or client.
    pub per_account: Option<Rate>,
}

/// The rates by kind of request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimits {
    /// `POST /auth/login`, `/auth/token`; default 600/1m and 300/1m.
    pub login: Bounds,
    /// `POST /recover`, `/recover/confirm`; default 30/1m and 10/1h.
    pub recover: Bounds,
    /// `POST /verify-email`, `/verify-email/confirm`; default 30/1m and 10/1h.
    pub verify_email: Bounds,
    /// `POST /auth/refresh`; default 3000/1m by source. The account is unknown before the token is checked.
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
