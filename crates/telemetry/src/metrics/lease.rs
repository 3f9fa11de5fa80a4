//! Series whose labels come from the configuration. They exist as long as what they are about, which a reload may
//! remove.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus::IntGaugeVec;

/// Vectors of series with the same first labels, which are removed together.
pub(super) trait Vectors<const N: usize> {
    /// Removes all series with these labels.
    fn remove(&self, labels: [&str; N]);
}

/// Counts the holders of the series of each combination of labels. The same labels may be held several times: by the
/// snapshot in force, and by the one before it for requests in progress.
pub(super) struct Leases<V, const N: usize> {
    vectors: V,
    holders: Mutex<HashMap<[Box<str>; N], usize>>,
}

impl<V: Vectors<N>, const N: usize> Leases<V, N> {
    pub(super) fn new(vectors: V) -> Arc<Self> {
        Arc::new(Self { vectors, holders: Mutex::default() })
    }

    pub(super) const fn vectors(&self) -> &V {
        &self.vectors
    }

    /// Keeps the series with these labels until the lease is dropped. Creates none.
    pub(super) fn hold(self: &Arc<Self>, labels: [&str; N]) -> Lease<V, N> {
        let labels = labels.map(Box::from);
        let mut holders = lock(&self.holders);
        let count = holders.entry(labels.clone()).or_default();
        *count = count.saturating_add(1);
        drop(holders);
        Lease { leases: Arc::clone(self), labels }
    }
}

impl<V, const N: usize> fmt::Debug for Leases<V, N> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Leases").finish_non_exhaustive()
    }
}

/// The last lease of a combination of labels removes the series with these labels.
pub(super) struct Lease<V: Vectors<N>, const N: usize> {
    leases: Arc<Leases<V, N>>,
    labels: [Box<str>; N],
}

impl<V: Vectors<N>, const N: usize> Lease<V, N> {
    pub(super) fn vectors(&self) -> &V {
        self.leases.vectors()
    }

    pub(super) fn labels(&self) -> [&str; N] {
        self.labels.each_ref().map(|label| &**label)
    }
}

impl<V: Vectors<N>, const N: usize> fmt::Debug for Lease<V, N> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Lease").field(&self.labels).finish()
    }
}

impl<V: Vectors<N>, const N: usize> Drop for Lease<V, N> {
    fn drop(&mut self) {
        // Locked to the end: whoever holds them next creates them anew.
        let mut holders = lock(&self.leases.holders);
        match holders.get_mut(&self.labels) {
            Some(count) if *count > 1 => *count -= 1,
            Some(_) | None => {
                holders.remove(&self.labels);
                self.vectors().remove(self.labels());
            }
        }
    }
}

/// Gauges that are all reported at once: those that a report does not mention are removed.
#[derive(Debug)]
pub(super) struct ReportedGauges<const N: usize> {
    gauges: IntGaugeVec,
    reported: Mutex<HashSet<[Box<str>; N]>>,
}

impl<const N: usize> ReportedGauges<N> {
    pub(super) fn new(gauges: IntGaugeVec) -> Self {
        Self { gauges, reported: Mutex::default() }
    }

    /// Sets these, and removes all others.
    pub(super) fn report<'a>(&self, values: impl IntoIterator<Item = ([&'a str; N], i64)>) {
        let mut reported = lock(&self.reported);
        let mut gone = std::mem::take(&mut *reported);
        for (labels, value) in values {
            self.gauges.with_label_values(&labels).set(value);
            let labels = labels.map(Box::from);
            gone.remove(&labels);
            reported.insert(labels);
        }
        for labels in gone {
            // It was set by an earlier report, and only here it is removed.
            let _ = self.gauges.remove_label_values(&labels);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
