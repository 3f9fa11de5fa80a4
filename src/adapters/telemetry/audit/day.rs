//! Days and moments in UTC, as the audit file writes them.

use crate::model::Timestamp;

const SECONDS_PER_DAY: i64 = 86_400;

/// A day, counted from the epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Day(i64);

impl Day {
    pub(super) const fn of(moment: Timestamp) -> Self {
        Self(moment.seconds().div_euclid(SECONDS_PER_DAY))
    }

    /// `audit-2026-11-21.jsonl`
    pub(super) fn file_name(self) -> String {
        let start = Timestamp::from_seconds(self.0.saturating_mul(SECONDS_PER_DAY));
        format!("audit-{}.jsonl", start.rfc3339().get(..10).unwrap_or("unknown"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_ends_at_midnight_utc() {
        let last = Timestamp::from_seconds(1_795_219_199);
        assert_eq!(Day::of(last).file_name(), "audit-2026-11-20.jsonl");
        let next = Timestamp::from_seconds(1_795_219_200);
        assert_eq!(Day::of(next).file_name(), "audit-2026-11-21.jsonl");
        assert!(Day::of(last) < Day::of(next));
    }
}
