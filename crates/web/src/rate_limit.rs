//! Rate limiting of the endpoints: excess requests are rejected, counted and audited before anything else is done.

use std::sync::Arc;

use super::error::Rejection;
use super::request_info::RequestInfo;
use guarita_auth::login::LoginRejection;
use guarita_auth::rate_limit::{Account, Limited, Purpose, RateLimiter};
use guarita_core::{Code, time};
use guarita_telemetry::Telemetry;
use guarita_telemetry::events::RateLimited;

/// The rate limits of all endpoints; cheap to clone.
#[derive(Clone, Debug)]
pub struct RateLimitGuard {
    limits: Arc<RateLimiter>,
    telemetry: Telemetry,
}

impl RateLimitGuard {
    /// Creates it with these counters.
    pub fn new(limits: Arc<RateLimiter>, telemetry: Telemetry) -> Self {
        Self { limits, telemetry }
    }

    /// Counts a request by the network that it comes from, then by the account if one is given.
    pub async fn check(
        &self,
        arrival: &RequestInfo,
        purpose: Purpose,
        account: Option<Account<'_>>,
    ) -> Result<(), Rejection> {
        let refuse = |limited| self.refuse(arrival, limited);
        let rates = &arrival.snapshot.rate_limits;
        self.limits.source(rates, purpose, arrival.client).await.map_err(refuse)?;
        match account {
            Some(account) => self.limits.account(rates, purpose, account).await.map_err(refuse),
            None => Ok(()),
        }
    }

    /// The rejection of a request that exceeds a limit.
    pub fn refuse(&self, arrival: &RequestInfo, limited: Limited) -> Rejection {
        let (kind, by) = (limited.purpose.as_str(), limited.by.as_str());
        let origin = arrival.origin();
        RateLimited { origin, kind, by }.emit(&self.telemetry, time::now());
        arrival.refuse(Code::RateLimited).retry_after(limited.retry_after)
    }

    /// The rejection of a wrong password at a re-authentication, and its reason if it is not recorded yet.
    pub(super) fn refuse_password(
        &self,
        arrival: &RequestInfo,
        refusal: LoginRejection,
    ) -> (Rejection, Option<&'static str>) {
        match refusal {
            LoginRejection::RateLimited(limited) => (self.refuse(arrival, limited), None),
            LoginRejection::Locked { retry_after } => {
                (arrival.refuse(Code::Locked).retry_after(retry_after), Some("locked"))
            }
            LoginRejection::Busy => (arrival.refuse(Code::RateLimited), Some("busy")),
            LoginRejection::OutOfReach => (arrival.refuse(Code::Unavailable), Some("unavailable")),
            LoginRejection::InvalidCredentials
            | LoginRejection::EmailUnverified
            | LoginRejection::SecondFactorRequired { .. } => {
                (arrival.refuse(Code::InvalidCredentials), Some("invalid_credentials"))
            }
        }
    }
}
