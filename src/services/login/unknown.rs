//! Names that no account has lock as accounts do, so that a lock does not tell them apart.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use quick_cache::UnitWeighter;
use quick_cache::unsync::Cache;

use super::{Identifier, Settings, lockout};
use crate::adapters::store::Failures;
use crate::model::Timestamp;

/// Names remembered; the ones not tried for longest go first.
const CAPACITY: u64 = 100_000;

#[derive(Clone, Copy, Debug)]
struct Count {
    failures: Failures,
    locked_until: Option<Timestamp>,
}

/// Failures by unknown name, in memory, keyed by a hash that nobody outside can compute.
#[derive(Debug)]
pub(super) struct UnknownNames {
    counts: Mutex<Cache<u64, Count>>,
    keys: RandomState,
}

impl UnknownNames {
    pub(super) fn new() -> Self {
        let counts = Cache::with_weighter(1_024, CAPACITY, UnitWeighter);
        Self { counts: Mutex::new(counts), keys: RandomState::new() }
    }

    /// How long the name is still locked.
    pub(super) fn remaining(&self, name: &Identifier, now: Timestamp) -> Option<Duration> {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        lockout::remaining(counts.get(&self.key(name))?.locked_until, now)
    }

    /// Counts one failure; where the name is locked already, how long it still is.
    pub(super) fn count_failure(
        &self,
        name: &Identifier,
        settings: &Settings,
        now: Timestamp,
    ) -> Option<Duration> {
        let key = self.key(name);
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let none = Count { failures: Failures { since_lock: 0, in_a_row: 0 }, locked_until: None };
        let mut count = counts.get(&key).copied().unwrap_or(none);
        if let Some(remaining) = lockout::remaining(count.locked_until, now) {
            return Some(remaining);
        }
        count.failures.since_lock = count.failures.since_lock.saturating_add(1);
        count.failures.in_a_row = count.failures.in_a_row.saturating_add(1);
        if let Some(until) = lockout::after_failure(count.failures, settings, now) {
            count.failures.since_lock = 0;
            count.locked_until = Some(until);
        }
        counts.insert(key, count);
        None
    }

    /// A number that a name always has in this process.
    pub(super) fn number(&self, name: &Identifier) -> u32 {
        let [a, b, c, d, ..] = self.key(name).to_be_bytes();
        u32::from_be_bytes([a, b, c, d])
    }

    fn key(&self, name: &Identifier) -> u64 {
        self.keys.hash_one((matches!(name, Identifier::Email(_)), name.folded()))
    }
}
