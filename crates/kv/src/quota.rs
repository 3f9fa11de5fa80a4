//! A capacity budget: how many more entries may be stored before the present ones are counted again.

use std::sync::atomic::{AtomicI64, Ordering};

/// The fraction of the free capacity that is used without counting again; the rest is for other gateways.
const SHARES: i64 = 16;

/// The number of entries that this gateway may add without counting again.
#[derive(Debug, Default)]
pub(super) struct CapacityBudget(AtomicI64);

impl CapacityBudget {
    /// Uses one; returns whether there was any.
    pub(super) fn take(&self) -> bool {
        let less = |left: i64| (left > 0).then(|| left - 1);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok()
    }

    /// Sets the budget from the counted free capacity and uses one; returns whether there was any.
    pub(super) fn take_of(&self, free: i64) -> bool {
        self.0.store(free / SHARES, Ordering::Relaxed);
        free > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_there_is_much_room_few_count_it_and_where_there_is_little_all_do() {
        let room = CapacityBudget::default();
        let (mut kept, mut counts) = (0, 0);
        let most = 100_000;
        while room.take() || {
            counts += 1;
            room.take_of(most - kept)
        } {
            kept += 1;
        }
        assert_eq!(kept, most);
        assert!(counts < 300, "{counts}");
        assert!(!room.take() && !room.take_of(0) && room.take_of(1) && !room.take());
    }
}
