//! The counters of all kinds of requests. The rates come with each request.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

use crate::snapshot::rate_limits::{Bounds, RateLimits};
use guarita_core::UserId;
use guarita_kv::{Counted, Ephemeral, Rate, RateCounters};

/// Maximum number of counted keys, about 100 bytes each.
const CAPACITY: usize = 200_000;

/// The kind of request. Each has its own counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// A login with a password.
    Login,
    /// Password recovery.
    Recover,
    /// Verification of an e-mail address.
    VerifyEmail,
    /// A token refresh.
    Refresh,
    /// A second factor.
    Mfa,
    /// Token introspection.
    Introspection,
}

impl Purpose {
    /// The name in metrics and audit lines.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::Recover => "recover",
            Self::VerifyEmail => "verify_email",
            Self::Refresh => "refresh",
            Self::Mfa => "mfa",
            Self::Introspection => "introspection",
        }
    }

    const fn bounds(self, rates: &RateLimits) -> Bounds {
        match self {
            Self::Login => rates.login,
            Self::Recover => rates.recover,
            Self::VerifyEmail => rates.verify_email,
            Self::Refresh => rates.refresh,
            Self::Mfa => rates.mfa,
            Self::Introspection => rates.introspection,
        }
    }
}

/// The account that a request is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Account<'a> {
    /// An account, independently of the name that was used.
    User(UserId),
    /// A known device, by its digest; others cannot use up its rate.
    Device(&'a str),
    /// A folded name or address without an account, or a client.
    Name(&'a str),
}

/// What a request was counted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// The network that it came from.
    Source,
    /// The account that it was about.
    Account,
}

impl By {
    /// The name in metrics and audit lines.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Account => "account",
        }
    }
}

/// A rate limit was exceeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Limited {
    /// The kind of request.
    pub purpose: Purpose,
    /// What it was counted by.
    pub by: By,
    /// When to try again, in whole seconds, at least one.
    pub retry_after: Duration,
}

/// The key of a counter.
#[derive(Clone, Copy, Debug, Hash)]
struct RequestCount<'a> {
    purpose: Purpose,
    of: Of<'a>,
}

#[derive(Clone, Copy, Debug, Hash)]
enum Of<'a> {
    Source(IpAddr),
    Account(Account<'a>),
}

impl Counted for RequestCount<'_> {
    fn name(&self) -> String {
        let purpose = self.purpose.as_str();
        match self.of {
            Of::Source(network) => format!("{purpose} source {network}"),
            Of::Account(Account::User(user)) => format!("{purpose} user {user}"),
            Of::Account(Account::Device(digest)) => format!("{purpose} device {digest}"),
            Of::Account(Account::Name(name)) => format!("{purpose} name {name}"),
        }
    }
}

/// Counts requests, over all gateways that share the backend.
pub struct RateLimiter {
    counters: RateCounters,
}

impl fmt::Debug for RateLimiter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("RateLimiter").finish_non_exhaustive()
    }
}

impl RateLimiter {
    /// Creates it with the counters of this backend.
    pub fn new(ephemeral: &Ephemeral) -> Self {
        Self { counters: ephemeral.rates(CAPACITY) }
    }

    /// Counts a request by the network that it comes from.
    pub async fn source(
        &self,
        rates: &RateLimits,
        purpose: Purpose,
        address: IpAddr,
    ) -> Result<(), Limited> {
        let rate = purpose.bounds(rates).per_source;
        let count = RequestCount { purpose, of: Of::Source(network(address)) };
        self.take(count, rate).await.map_err(|wait| limited(purpose, By::Source, wait))
    }

    /// Counts a request by the account that it is about. To be called after [`Self::source`], so that rejected requests
    /// do not use up an account's rate.
    pub async fn account(
        &self,
        rates: &RateLimits,
        purpose: Purpose,
        account: Account<'_>,
    ) -> Result<(), Limited> {
        let rate = purpose.bounds(rates).per_account;
        let count = RequestCount { purpose, of: Of::Account(account) };
        self.take(count, rate).await.map_err(|wait| limited(purpose, By::Account, wait))
    }

    async fn take(&self, count: RequestCount<'_>, rate: Option<Rate>) -> Result<(), Duration> {
        match rate {
            Some(rate) => self.counters.take(&count, rate, Instant::now()).await,
            None => Ok(()),
        }
    }
}

fn limited(purpose: Purpose, by: By, wait: Duration) -> Limited {
    let whole = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    Limited { purpose, by, retry_after: Duration::from_secs(whole.max(1)) }
}

/// The IPv4 address, also if it is mapped to IPv6, or the IPv6 /64, which belongs to one subscriber.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let prefix = address.to_bits() & !u128::from(u64::MAX);
            IpAddr::V6(Ipv6Addr::from_bits(prefix))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;

    fn limits(count: u32) -> (RateLimiter, RateLimits) {
        let rate =
            Rate { count: NonZeroU32::new(count).unwrap(), period: Duration::from_secs(3_600) };
        let bounds = Bounds { per_source: Some(rate), per_account: Some(rate) };
        let off = Bounds { per_source: None, per_account: None };
        let rates = RateLimits { login: bounds, mfa: off, ..RateLimits::default() };
        (RateLimiter::new(&Ephemeral::memory()), rates)
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// Case rate-limit-lockout-002.
    #[tokio::test]
    async fn rate_limit_lockout_002_one_network_has_one_budget_however_it_is_written() {
        let (limits, rates) = limits(2);
        for (one, other) in [("1.2.3.4", "::ffff:1.2.3.4"), ("2001:db8::1", "2001:db8::ffff:1:2:3")]
        {
            limits.source(&rates, Purpose::Login, address(one)).await.unwrap();
            limits.source(&rates, Purpose::Login, address(other)).await.unwrap();
            let refused = limits.source(&rates, Purpose::Login, address(one)).await.unwrap_err();
            assert_eq!(refused.by, By::Source);
            assert!((1..=1800).contains(&refused.retry_after.as_secs()), "{refused:?}");
        }
        for other in ["1.2.3.5", "2001:db8:0:1::1"] {
            assert_eq!(limits.source(&rates, Purpose::Login, address(other)).await, Ok(()));
        }
        let all = limits.source(&rates, Purpose::Login, address("2001:db8:0:2::")).await;
        assert_eq!(all, Ok(()));
        for host in 1..1 << 16 {
            let of_64 = Ipv6Addr::from_bits(address_bits("2001:db8:0:3::") | host);
            let allowed = limits.source(&rates, Purpose::Login, of_64.into()).await.is_ok();
            assert_eq!(allowed, host <= 2, "{of_64}");
        }
    }

    fn address_bits(text: &str) -> u128 {
        text.parse::<Ipv6Addr>().unwrap().to_bits()
    }

    #[tokio::test]
    async fn each_request_is_counted_at_the_rate_that_it_came_with() {
        let (limits, before) = limits(1);
        let account = Account::Name("1");
        assert_eq!(limits.account(&before, Purpose::Login, account).await, Ok(()));
        assert!(limits.account(&before, Purpose::Login, account).await.is_err());
        let off = Bounds { per_source: None, per_account: None };
        let after = RateLimits { login: off, ..before };
        assert_eq!(limits.account(&after, Purpose::Login, account).await, Ok(()));
        assert!(limits.account(&before, Purpose::Login, account).await.is_err());
    }

    #[tokio::test]
    async fn accounts_devices_and_names_count_apart_and_off_is_off() {
        let (limits, rates) = limits(1);
        let all = [Account::User(UserId::new(1)), Account::Device("1"), Account::Name("1")];
        for account in all {
            assert_eq!(limits.account(&rates, Purpose::Login, account).await, Ok(()));
            assert!(limits.account(&rates, Purpose::Login, account).await.is_err());
        }
        assert_eq!(limits.account(&rates, Purpose::Recover, all[0]).await, Ok(()));
        for _ in 0..10_000 {
            assert_eq!(limits.account(&rates, Purpose::Mfa, all[0]).await, Ok(()));
        }
    }
}
