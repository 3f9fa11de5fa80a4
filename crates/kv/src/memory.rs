//! Tickets in memory: bounded, expiring, found by the digest of their key.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use guarita_core::Timestamp;

/// The capacity is used up; older entries are not evicted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CapacityReached;

struct BoundedMapEntry<T> {
    value: T,
    attempts: u32,
    expires_at: Timestamp,
}

/// Values by digest, at most `capacity` of them.
pub struct BoundedMap<T> {
    entries: Mutex<HashMap<String, BoundedMapEntry<T>>>,
    capacity: usize,
}

impl<T> fmt::Debug for BoundedMap<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Memory").field("capacity", &self.capacity).finish_non_exhaustive()
    }
}

impl<T: Clone> BoundedMap<T> {
    /// Creates it for at most `capacity` values.
    pub fn new(capacity: usize) -> Self {
        Self { entries: Mutex::new(HashMap::new()), capacity }
    }

    /// Stores a value until this time, for so many attempts.
    pub fn put(
        &self,
        digest: String,
        value: T,
        attempts: u32,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<(), CapacityReached> {
        let mut entries = self.lock();
        if entries.len() >= self.capacity {
            entries.retain(|_, entry| now < entry.expires_at);
        }
        if entries.len() >= self.capacity {
            return Err(CapacityReached);
        }
        entries.insert(digest, BoundedMapEntry { value, attempts, expires_at });
        Ok(())
    }

    /// Uses one attempt; [`None`] if there are no attempts left, or it is unknown or expired.
    pub fn attempt(&self, digest: &str, now: Timestamp) -> Option<T> {
        let mut entries = self.lock();
        let entry = entries.get_mut(digest)?;
        if now >= entry.expires_at || entry.attempts == 0 {
            entries.remove(digest);
            return None;
        }
        entry.attempts -= 1;
        Some(entry.value.clone())
    }

    /// Removes and returns the value; only one caller gets it.
    pub fn take(&self, digest: &str, now: Timestamp) -> Option<T> {
        let entry = self.lock().remove(digest)?;
        (now < entry.expires_at).then_some(entry.value)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, BoundedMapEntry<T>>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_000);
    const END: Timestamp = Timestamp::from_seconds(1_300);

    #[test]
    fn a_ticket_ends_with_its_attempts_its_time_or_its_use() {
        let memory = BoundedMap::new(2);
        memory.put("a".into(), 7, 2, END, NOW).unwrap();
        assert_eq!(memory.attempt("a", NOW), Some(7));
        assert_eq!(memory.attempt("a", NOW), Some(7));
        assert_eq!(memory.attempt("a", NOW), None);
        memory.put("b".into(), 8, 2, END, NOW).unwrap();
        assert_eq!(memory.attempt("b", END), None);
        memory.put("c".into(), 9, 2, END, NOW).unwrap();
        assert_eq!(memory.take("c", NOW), Some(9));
        assert_eq!(memory.take("c", NOW), None);
    }

    #[test]
    fn a_full_memory_takes_none_until_one_expires() {
        let memory = BoundedMap::new(1);
        memory.put("a".into(), 7, 1, END, NOW).unwrap();
        assert_eq!(memory.put("b".into(), 8, 1, END, NOW), Err(CapacityReached));
        assert_eq!(memory.put("b".into(), 8, 1, END, END), Ok(()));
    }
}
