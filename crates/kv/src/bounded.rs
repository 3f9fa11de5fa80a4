//! Caches bounded by the number and by the size of their entries.

use std::hash::Hash;

use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{DefaultHashBuilder, OptionsBuilder, Weighter};

/// Average size of an entry, in bytes: the size limit is the capacity times this.
pub const MEAN_ENTRY_BYTES: u64 = 2048;

/// An empty cache of at most `capacity` entries and `capacity` x 2 KiB, with the weights of [`weight_of`]. Hashed
/// with a random seed per process, so that nobody can cause collisions.
pub fn bounded<K, V, W>(capacity: usize, weighter: W) -> Cache<K, V, W>
where
    K: Eq + Hash,
    V: Clone,
    W: Weighter<K, V> + Clone,
{
    let bytes = u64::try_from(capacity).unwrap_or(u64::MAX).saturating_mul(MEAN_ENTRY_BYTES);
    let options =
        OptionsBuilder::new().estimated_items_capacity(capacity).weight_capacity(bytes).build();
    match options {
        Ok(options) => Cache::with_options(
            options,
            weighter,
            DefaultHashBuilder::default(),
            DefaultLifecycle::default(),
        ),
        Err(_) => Cache::with_weighter(capacity, bytes, weighter),
    }
}

/// The weight of an entry of so many bytes: never less than the average, so that one limit covers number and size.
pub fn weight_of(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX).max(MEAN_ENTRY_BYTES)
}
