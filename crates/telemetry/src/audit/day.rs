//! Dates and times in UTC, as written in the audit files.

use std::path::Path;
use std::time::Duration;
use std::{fs, io};

use guarita_core::Timestamp;

const SECONDS_PER_DAY: i64 = 86_400;

/// A day since the epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Day(i64);

impl Day {
    pub(super) const fn of(moment: Timestamp) -> Self {
        Self(moment.seconds().div_euclid(SECONDS_PER_DAY))
    }

    /// The day in a file name; [`None`] for other files.
    pub(super) fn of_file(name: &str) -> Option<Self> {
        let date = name.strip_prefix("audit-")?.strip_suffix(".jsonl")?;
        let start = Timestamp::parse_rfc3339(&format!("{date}T00:00:00Z"))?;
        Some(Self::of(start)).filter(|day| day.file_name() == name)
    }

    /// The days that have a file in the directory, oldest first.
    pub(super) fn all(directory: &Path) -> io::Result<Vec<Self>> {
        let mut days = Vec::new();
        for entry in fs::read_dir(directory)? {
            days.extend(entry?.file_name().to_str().and_then(Self::of_file));
        }
        days.sort_unstable();
        Ok(days)
    }

    /// `audit-2026-11-21.jsonl`
    pub(super) fn file_name(self) -> String {
        format!("audit-{}.jsonl", self.start().rfc3339().get(..10).unwrap_or("unknown"))
    }

    /// Whether it is more than `time` before the day of `now`.
    pub(super) fn is_older_than(self, time: Duration, now: Timestamp) -> bool {
        self < Self::of(now.minus(time))
    }

    const fn start(self) -> Timestamp {
        Timestamp::from_seconds(self.0.saturating_mul(SECONDS_PER_DAY))
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

    #[test]
    fn only_names_of_ours_have_a_day() {
        let day = Day::of(Timestamp::from_seconds(1_795_219_200));
        assert_eq!(Day::of_file(&day.file_name()), Some(day));
        for other in [
            "audit-2026-11-31.jsonl",
            "audit-2026-11-2.jsonl",
            "audit-2026-11-21.jsonl.gz",
            "audit-20261121.jsonl",
            "audit-notes.txt",
            "x-2026-11-21.jsonl",
        ] {
            assert_eq!(Day::of_file(other), None, "{other}");
        }
    }
}
