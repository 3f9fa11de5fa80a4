//! `[rate_limits]` as written.

use schemars::JsonSchema;
use serde::Deserialize;

/// Rate limits of Guarita's own endpoints. A rate is a count and a time, for example `"20/1m"`, or `"off"`:
/// 1 to 1,000,000 in 1 s to 24 h, in a burst or spread. A source is one IPv4 address or one IPv6 /64;
/// behind `trusted_proxies` it is the address that they forward.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawRateLimits {
    /// `/auth/login` and `/auth/token`. Default `per_source = "600/1m"`, `per_account = "300/1m"`.
    #[serde(default)]
    pub login: RawBounds,
    /// `/recover`. Default `per_source = "30/1m"`, `per_account = "10/1h"`.
    #[serde(default)]
    pub recover: RawBounds,
    /// `/verify-email`. Default `per_source = "30/1m"`, `per_account = "10/1h"`.
    #[serde(default)]
    pub verify_email: RawBounds,
    /// `/auth/refresh`. Default `per_source = "3000/1m"`.
    #[serde(default)]
    pub refresh: RawSourceBounds,
    /// `/auth/mfa`. Default `per_source = "120/1m"`, `per_account = "60/1m"`.
    #[serde(default)]
    pub mfa: RawBounds,
    /// `/oauth2/introspect`, where `per_account` is per client. Default `per_source = "6000/1m"`,
    /// `per_account = "6000/1m"`.
    #[serde(default)]
    pub introspection: RawBounds,
}

/// The rates of one kind of request.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawBounds {
    /// For one source.
    #[schemars(extend("pattern" = "^(off|[0-9]+/[0-9]+(ms|s|m|h|d))$"))]
    pub per_source: Option<String>,
    /// For one account, and for each of its known devices; also for a name without an account.
    #[schemars(extend("pattern" = "^(off|[0-9]+/[0-9]+(ms|s|m|h|d))$"))]
    pub per_account: Option<String>,
}

/// The rates of requests that do not name an account.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawSourceBounds {
    /// For one source.
    #[schemars(extend("pattern" = "^(off|[0-9]+/[0-9]+(ms|s|m|h|d))$"))]
    pub per_source: Option<String>,
}
