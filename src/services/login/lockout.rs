//! When an account locks; pure.

use std::time::Duration;

use super::Settings;
use crate::model::Timestamp;

/// How long the account is still locked; `None` where it is not.
pub fn remaining(locked_until: Option<Timestamp>, now: Timestamp) -> Option<Duration> {
    locked_until.map(|until| now.until(until)).filter(|remaining| !remaining.is_zero())
}

/// Until when the account is locked after its `failures`th failure in a row; `None` where it is not.
pub fn after_failure(failures: u32, settings: &Settings, now: Timestamp) -> Option<Timestamp> {
    (failures >= settings.lockout_failures).then(|| now.plus(settings.lockout_duration))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::services::login::Hashing;

    const NOW: Timestamp = Timestamp::from_seconds(1_000);

    fn settings() -> Settings {
        Settings {
            lockout_failures: 5,
            lockout_duration: Duration::from_secs(300),
            min_length: 15,
            hashing: Hashing {
                memory_kib: 8,
                iterations: 1,
                parallelism: 1,
                concurrency: 1,
                queue: 1,
            },
        }
    }

    #[test]
    fn the_fifth_failure_locks_for_five_minutes() {
        assert_eq!(after_failure(4, &settings(), NOW), None);
        assert_eq!(after_failure(5, &settings(), NOW), Some(Timestamp::from_seconds(1_300)));
        assert_eq!(after_failure(6, &settings(), NOW), Some(Timestamp::from_seconds(1_300)));
    }

    #[test]
    fn a_lock_ends_at_its_second() {
        let until = Some(Timestamp::from_seconds(1_300));
        assert_eq!(remaining(until, NOW), Some(Duration::from_secs(300)));
        assert_eq!(remaining(until, Timestamp::from_seconds(1_299)), Some(Duration::from_secs(1)));
        assert_eq!(remaining(until, Timestamp::from_seconds(1_300)), None);
        assert_eq!(remaining(None, NOW), None);
    }
}
