//! When an account, a known device or an unknown name is locked; pure functions.
//!
//! Each consecutive lock is twice as long as the previous one, up to a day. After a hundred consecutive failures no
//! more passwords are tried (NIST SP 800-63B-4 section 3.2.2) until the password is reset or the account is
//! unlocked; to get there takes an attacker two weeks. Known devices are counted separately, so an attacker cannot
//! lock out a user with a known device.

use std::time::Duration;

use super::LoginSettings;
use guarita_core::Timestamp;
use guarita_store::Failures;

/// Maximum duration of a lock, and of `Retry-After`.
const LONGEST: Duration = Duration::from_secs(86_400);
/// Consecutive failures after which a lock is permanent.
const MAX_CONSECUTIVE_FAILURES: u32 = 100;
/// A permanent lock.
const PERMANENT_LOCK: Duration = Duration::from_secs(100 * 365 * 86_400);

/// The remaining time of a lock, at most a day; [`None`] if it is not locked.
pub fn remaining(locked_until: Option<Timestamp>, now: Timestamp) -> Option<Duration> {
    let remaining = locked_until.map(|until| now.until(until))?;
    (!remaining.is_zero()).then_some(remaining.min(LONGEST))
}

/// The end of the lock after so many failures; [`None`] if it is not locked.
pub fn after_failure(
    failures: Failures,
    settings: &LoginSettings,
    now: Timestamp,
) -> Option<Timestamp> {
    let each = settings.lockout_failures.max(1);
    if failures.in_a_row >= MAX_CONSECUTIVE_FAILURES.max(each) {
        return Some(now.plus(PERMANENT_LOCK));
    }
    if failures.since_lock < each {
        return None;
    }
    let before = (failures.in_a_row / each).saturating_sub(1);
    let factor = 2_u32.saturating_pow(before);
    let longest = LONGEST.max(settings.lockout_duration);
    Some(now.plus(settings.lockout_duration.saturating_mul(factor).min(longest)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::login::Hashing;
    use crate::session::Lifetimes;

    const NOW: Timestamp = Timestamp::from_seconds(1_000);

    fn settings() -> LoginSettings {
        LoginSettings {
            lockout_failures: 5,
            lockout_duration: Duration::from_secs(300),
            min_length: 15,
            require_verified_email: false,
            hashing: Hashing {
                memory_kib: 8,
                iterations: 1,
                parallelism: 1,
                concurrency: 1,
                queue: 1,
            },
            browser: Lifetimes {
                idle: Duration::from_secs(100),
                absolute: Duration::from_secs(1_000),
            },
        }
    }

    fn after(since_lock: u32, in_a_row: u32) -> Option<i64> {
        let failures = Failures { since_lock, in_a_row };
        after_failure(failures, &settings(), NOW).map(|until| until.seconds() - NOW.seconds())
    }

    #[test]
    fn the_fifth_failure_locks_for_five_minutes() {
        assert_eq!(after(4, 4), None);
        assert_eq!(after(5, 5), Some(300));
        assert_eq!(after(6, 6), Some(300));
    }

    #[test]
    fn rate_limit_lockout_011_each_lock_in_a_row_is_longer_and_the_hundredth_failure_closes() {
        assert_eq!(after(4, 9), None);
        assert_eq!(after(5, 10), Some(600));
        assert_eq!(after(5, 15), Some(1_200));
        assert_eq!(after(5, 50), Some(86_400));
        assert_eq!(after(5, 95), Some(86_400));
        assert!(after(5, 100).unwrap() > 86_400 * 365);
        assert!(after(1, 101).unwrap() > 86_400 * 365);
    }

    #[test]
    fn a_lock_ends_at_its_second_and_tells_at_most_a_day() {
        let until = Some(Timestamp::from_seconds(1_300));
        assert_eq!(remaining(until, NOW), Some(Duration::from_secs(300)));
        assert_eq!(remaining(until, Timestamp::from_seconds(1_299)), Some(Duration::from_secs(1)));
        assert_eq!(remaining(until, Timestamp::from_seconds(1_300)), None);
        assert_eq!(remaining(None, NOW), None);
        assert_eq!(remaining(Some(NOW.plus(PERMANENT_LOCK)), NOW), Some(LONGEST));
    }
}
