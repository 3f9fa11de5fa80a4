//! Points in time, in whole seconds since the Unix epoch.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Seconds since the Unix epoch, UTC (the `NumericDate` of RFC 7519 section 2, whole seconds).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(i64);

impl Timestamp {
    /// From seconds since the epoch.
    pub const fn from_seconds(seconds: i64) -> Self {
        Self(seconds)
    }

    /// Seconds since the epoch.
    pub const fn seconds(self) -> i64 {
        self.0
    }

    /// This moment and `duration` later, in whole seconds, saturating.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        let seconds = i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
        Self(self.0.saturating_add(seconds))
    }

    /// This moment and `duration` earlier, in whole seconds, saturating.
    #[must_use]
    pub fn minus(self, duration: Duration) -> Self {
        let seconds = i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
        Self(self.0.saturating_sub(seconds))
    }

    /// Formats as RFC 3339 in UTC; empty after the year 9999.
    pub fn rfc3339(self) -> String {
        jiff::Timestamp::from_second(self.0).map_or_else(|_| String::new(), |time| time.to_string())
    }

    /// Parses RFC 3339.
    pub fn parse_rfc3339(text: &str) -> Option<Self> {
        text.parse().ok().map(|time: jiff::Timestamp| Self(time.as_second()))
    }

    /// Whole seconds from `self` until `later`; zero if `later` is past.
    pub fn until(self, later: Self) -> Duration {
        Duration::from_secs(u64::try_from(later.0.saturating_sub(self.0)).unwrap_or(0))
    }
}

/// The wall clock. Called by the outer layers only; everything below takes `now` as an argument.
pub fn now() -> Timestamp {
    Timestamp(system::seconds())
}

#[cfg(target_os = "linux")]
mod system {
    use rustix::time::{ClockId, clock_gettime};

    /// The coarse clock: a few milliseconds late, which does not matter for whole seconds, and ten times cheaper.
    pub(super) fn seconds() -> i64 {
        clock_gettime(ClockId::RealtimeCoarse).tv_sec
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use std::time::{SystemTime, UNIX_EPOCH};

    #[expect(clippy::disallowed_methods, reason = "the one place that asks the system")]
    pub(super) fn seconds() -> i64 {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_written_in_utc() {
        assert_eq!(Timestamp::from_seconds(0).rfc3339(), "1970-01-01T00:00:00Z");
        assert_eq!(Timestamp::from_seconds(i64::MAX).rfc3339(), "");
    }

    #[test]
    fn arithmetic_saturates() {
        let end = Timestamp::from_seconds(i64::MAX);
        assert_eq!(end.plus(Duration::from_secs(5)), end);
        assert_eq!(end.until(Timestamp::from_seconds(0)), Duration::ZERO);
        assert_eq!(
            Timestamp::from_seconds(10).until(Timestamp::from_seconds(25)),
            Duration::from_secs(15)
        );
    }
}
