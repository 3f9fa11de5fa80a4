//! Rate limiting by the generic cell rate algorithm (ITU-T I.371): one timestamp per key.
//!
//! The timestamp is when the key's bucket will be empty again. It is at most one period ahead, and a key whose
//! timestamp has passed is equivalent to an unknown one. So when memory is full, those keys are evicted first,
//! which changes no limit, and then the one that would expire soonest.

use std::collections::hash_map::RandomState;
use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasher as _, Hash};
use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A rate: so many per period, in a burst or spread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// The count.
    pub count: NonZeroU32,
    /// The period; more than zero.
    pub period: Duration,
}

impl Rate {
    /// The interval per request.
    pub(super) fn interval(self) -> Duration {
        self.period / self.count.get()
    }
}

/// A key, hashed with a secret seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RateKey(u64);

/// Counters by key, for a bounded number of keys.
#[derive(Debug)]
pub struct Limiter {
    keys: RandomState,
    capacity: usize,
    buckets: Mutex<Buckets>,
}

#[derive(Debug, Default)]
struct Buckets {
    empty_at: HashMap<RateKey, Instant>,
    /// The same, soonest first.
    order: BTreeSet<(Instant, RateKey)>,
}

impl Limiter {
    /// Creates it for at most `capacity` keys; about 100 bytes each.
    pub fn new(capacity: usize) -> Self {
        Self { keys: RandomState::new(), capacity, buckets: Mutex::default() }
    }

    /// The key of a value.
    pub fn key(&self, value: impl Hash) -> RateKey {
        RateKey(self.keys.hash_one(value))
    }

    /// Counts one if the limit allows it; otherwise returns the time to wait. Rejected requests are not counted.
    pub fn take(&self, key: RateKey, rate: Rate, now: Instant) -> Result<(), Duration> {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let known = buckets.empty_at.get(&key).copied();
        let next = known.map_or(now, |empty_at| empty_at.max(now)) + rate.interval();
        let ahead = next.saturating_duration_since(now);
        // Whole nanoseconds: rounding the interval down must not cost the last of the count.
        if ahead > rate.period {
            return Err(ahead - rate.period);
        }
        if let Some(known) = known {
            buckets.order.remove(&(known, key));
        } else if buckets.empty_at.len() >= self.capacity {
            buckets.make_room(now);
        }
        buckets.order.insert((next, key));
        buckets.empty_at.insert(key, next);
        Ok(())
    }
}

impl Buckets {
    /// Evicts all keys with empty buckets; if there are none, the one whose bucket is empty soonest.
    fn make_room(&mut self, now: Instant) {
        let mut first = true;
        while let Some((empty_at, key)) = self.order.first().copied() {
            if !first && empty_at > now {
                return;
            }
            first = false;
            self.order.remove(&(empty_at, key));
            self.empty_at.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rate(count: u32, seconds: u64) -> Rate {
        Rate { count: NonZeroU32::new(count).unwrap(), period: Duration::from_secs(seconds) }
    }

    #[test]
    fn a_burst_is_let_through_up_to_the_count_and_then_one_per_interval() {
        let limiter = Limiter::new(10);
        let (key, start) = (limiter.key("a"), Instant::now());
        let ten = rate(10, 60);
        for _ in 0..10 {
            assert_eq!(limiter.take(key, ten, start), Ok(()));
        }
        let wait = limiter.take(key, ten, start).unwrap_err();
        assert_eq!(wait, Duration::from_secs(6));
        assert!(limiter.take(key, ten, start + wait - Duration::from_millis(1)).is_err());
        assert_eq!(limiter.take(key, ten, start + wait), Ok(()));
        assert!(limiter.take(key, ten, start + wait).is_err());
        assert_eq!(limiter.take(limiter.key("b"), ten, start), Ok(()));
    }

    #[test]
    fn a_rate_may_change_under_a_key() {
        let limiter = Limiter::new(10);
        let (key, start) = (limiter.key("a"), Instant::now());
        for _ in 0..10 {
            limiter.take(key, rate(10, 60), start).unwrap();
        }
        assert!(limiter.take(key, rate(2, 60), start).is_err());
        assert!(limiter.take(key, rate(100, 120), start).is_ok());
    }

    #[test]
    fn a_full_memory_forgets_whom_it_frees_least() {
        let limiter = Limiter::new(3);
        let start = Instant::now();
        let ten = rate(10, 60);
        let (attacker, two, three) = (limiter.key(1), limiter.key(2), limiter.key(3));
        for _ in 0..10 {
            limiter.take(attacker, ten, start).unwrap();
        }
        limiter.take(two, ten, start).unwrap();
        limiter.take(three, ten, start).unwrap();
        // A flood of new keys: each pushes out another of its kind, never the one that is refused.
        for other in 100..10_000 {
            limiter.take(limiter.key(other), ten, start).unwrap();
            assert!(limiter.take(attacker, ten, start).is_err(), "freed by {other}");
        }
        assert_eq!(limiter.buckets.lock().unwrap().empty_at.len(), 3);
        // Keys that are as good as unknown go all at once.
        limiter.take(limiter.key(20_000), ten, start + Duration::from_secs(61)).unwrap();
        let buckets = limiter.buckets.lock().unwrap();
        assert_eq!((buckets.empty_at.len(), buckets.order.len()), (1, 1));
    }

    proptest! {
        /// In no window of one period are there more than twice the count, from no instant more
        /// than the count at once, and the wait that is told is enough.
        #[test]
        fn no_pattern_of_arrival_gets_more_than_its_rate(
            count in 1..50_u32,
            steps in prop::collection::vec(0..5_000_u64, 1..300),
        ) {
            let limiter = Limiter::new(4);
            let (key, start) = (limiter.key("a"), Instant::now());
            let rate = rate(count, 60);
            let mut now = start;
            let mut taken = Vec::new();
            for step in steps {
                now += Duration::from_millis(step);
                match limiter.take(key, rate, now) {
                    Ok(()) => taken.push(now),
                    Err(wait) => {
                        prop_assert!(wait > Duration::ZERO && wait <= rate.period);
                    }
                }
            }
            for (position, from) in taken.iter().enumerate() {
                let until = *from + rate.period;
                let within = taken[position..].iter().filter(|at| **at < until).count();
                prop_assert!(within <= 2 * usize::try_from(count).unwrap());
            }
        }
    }
}
