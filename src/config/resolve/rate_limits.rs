//! `[rate_limits]`

use std::num::NonZeroU32;
use std::time::Duration;

use super::super::written::{self, RawConfig};
use super::ConfigResolver;
use super::quantity::parse_time;
use guarita_auth::snapshot::rate_limits::{Bounds, RateLimits};
use guarita_kv::Rate;

const MAX_COUNT: u32 = 1_000_000;
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(86_400);

/// All rates.
pub(super) fn resolve(written: &RawConfig, reader: &mut ConfigResolver<'_>) -> RateLimits {
    let (of, default) = (&written.rate_limits, RateLimits::default());
    let mut both = |kind: &str, of: &written::RawBounds, default: Bounds| Bounds {
        per_source: rate(kind, "per_source", of.per_source.as_ref(), default.per_source, reader),
        per_account: rate(
            kind,
            "per_account",
            of.per_account.as_ref(),
            default.per_account,
            reader,
        ),
    };
    RateLimits {
        login: both("login", &of.login, default.login),
        recover: both("recover", &of.recover, default.recover),
        verify_email: both("verify_email", &of.verify_email, default.verify_email),
        mfa: both("mfa", &of.mfa, default.mfa),
        introspection: both("introspection", &of.introspection, default.introspection),
        refresh: Bounds {
            per_source: rate(
                "refresh",
                "per_source",
                of.refresh.per_source.as_ref(),
                default.refresh.per_source,
                reader,
            ),
            per_account: None,
        },
    }
}

/// A rate; the default if it is missing or invalid, [`None`] if it is off.
fn rate(
    kind: &str,
    by: &str,
    written: Option<&String>,
    default: Option<Rate>,
    reader: &mut ConfigResolver<'_>,
) -> Option<Rate> {
    let Some(text) = written else { return default };
    if text == "off" {
        return None;
    }
    let path = format!("rate_limits.{kind}.{by}");
    let parsed = text
        .split_once('/')
        .and_then(|(count, period)| Some((count.parse::<u32>().ok()?, parse_time(period)?)));
    let Some((count, period)) = parsed else {
        let hint = "a count and a time, for example \"20/1m\", or \"off\"";
        reader.report.problem_with_hint(&path, "is not a valid rate", hint);
        return default;
    };
    match NonZeroU32::new(count).filter(|count| count.get() <= MAX_COUNT) {
        Some(count) if (SHORTEST..=LONGEST).contains(&period) => Some(Rate { count, period }),
        Some(_) | None => {
            let hint = "\"off\" disables the limit";
            reader.report.problem_with_hint(&path, "must be 1 to 1000000 in 1s to 1d", hint);
            default
        }
    }
}
