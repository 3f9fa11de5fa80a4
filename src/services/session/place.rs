//! Where a reader of the feed of changes stands: the newest number it has seen, and the numbers below that it
//! has not.
//!
//! PostgreSQL hands a number out before the change with it is committed, so that a later number may be seen
//! earlier. What is missing is asked for again at every turn, until the transaction that has it must have
//! ended: then it was rolled back. With SQLite nothing is ever missing.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Most numbers that may be missing.
const MAX_GAPS: usize = 1_024;
/// No transaction of ours lives nearly as long.
const LONGEST_TRANSACTION: Duration = Duration::from_secs(300);

/// A place in the feed.
#[derive(Debug)]
pub(super) struct Place {
    /// The server that numbers the changes.
    server: i64,
    newest: i64,
    /// Missing numbers, and the boundary that the horizon must reach before they are given up.
    gaps: BTreeMap<i64, i64>,
    /// A boundary above all transactions that went on when this place was taken, while one of them may still
    /// commit a change with a lower number.
    unsettled: Option<(i64, Instant)>,
}

/// More is missing than can be remembered, or the changes are those of another server: nothing is sure.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Lost;

impl Place {
    /// The newest number that is seen. What was under way then, below `boundary`, may have a lower one.
    pub(super) fn new(server: i64, newest: i64, boundary: i64) -> Self {
        let unsettled = Some((boundary, Instant::now()));
        Self { server, newest, gaps: BTreeMap::new(), unsettled }
    }

    pub(super) fn server(&self) -> i64 {
        self.server
    }

    pub(super) fn newest(&self) -> i64 {
        self.newest
    }

    /// The numbers that are missing, lowest first.
    pub(super) fn missing(&self) -> Vec<i64> {
        self.gaps.keys().copied().collect()
    }

    /// Whether no change can come that has a lower number than this place began with. Those are not looked
    /// for: memory is to be emptied instead, until no more can come.
    pub(super) fn is_settled(&self) -> bool {
        self.unsettled.is_none()
    }

    /// Settles once all that went on when this place was taken has ended. Where a transaction of somebody else
    /// on the same server goes on for hours, nothing of ours is left among what began before it.
    pub(super) fn settle(&mut self, ended_below: i64) {
        if let Some((boundary, since)) = self.unsettled
            && (ended_below >= boundary || since.elapsed() > LONGEST_TRANSACTION)
        {
            self.unsettled = None;
        }
    }

    /// The numbers between those seen before and these, which are higher and in order.
    pub(super) fn skipped(&self, numbers: &[i64]) -> Result<Vec<i64>, Lost> {
        let mut skipped = Vec::new();
        let mut before = self.newest;
        for number in numbers {
            let room = MAX_GAPS.saturating_sub(self.gaps.len() + skipped.len());
            let between = number.saturating_sub(before).saturating_sub(1);
            if usize::try_from(between).is_ok_and(|between| between > room) {
                return Err(Lost);
            }
            skipped.extend(before + 1..*number);
            before = *number;
        }
        Ok(skipped)
    }

    /// What is missing is what was missing before, but for the `found` and for those whose transaction must have
    /// ended below the horizon, and the `skipped`, until the horizon reaches `boundary`.
    pub(super) fn advance(
        &mut self,
        newest: Option<i64>,
        found: &[i64],
        ended_below: i64,
        (skipped, boundary): (&[i64], i64),
    ) {
        for number in found {
            self.gaps.remove(number);
        }
        self.gaps.retain(|_, boundary| *boundary > ended_below);
        self.gaps.extend(skipped.iter().map(|number| (*number, boundary)));
        self.newest = newest.unwrap_or(self.newest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> Place {
        Place::new(1, 10, 100)
    }

    #[test]
    fn a_gap_is_kept_until_its_transaction_must_have_ended() {
        let mut place = place();
        let skipped = place.skipped(&[11, 14]).unwrap();
        assert_eq!(skipped, [12, 13]);
        place.advance(Some(14), &[], 100, (&skipped, 120));
        assert_eq!((place.newest(), place.missing()), (14, vec![12, 13]));
        place.advance(None, &[13], 119, (&[], 0));
        assert_eq!(place.missing(), [12]);
        place.advance(None, &[], 120, (&[], 0));
        assert_eq!((place.newest(), place.missing()), (14, vec![]));
    }

    #[test]
    fn more_gaps_than_can_be_remembered_are_a_lost_place() {
        let mut place = place();
        let most = 11 + i64::try_from(MAX_GAPS).unwrap();
        let skipped = place.skipped(&[most]).unwrap();
        assert_eq!(skipped.len(), MAX_GAPS);
        assert_eq!(place.skipped(&[most + 1]), Err(Lost));
        place.advance(Some(most), &[], 0, (&skipped, 120));
        assert_eq!(place.skipped(&[most + 1]), Ok(vec![]));
        assert_eq!(place.skipped(&[most + 2]), Err(Lost));
        assert_eq!(place.skipped(&[i64::MAX]), Err(Lost));
    }

    #[test]
    fn a_place_settles_once_what_went_on_before_it_has_ended() {
        let mut place = place();
        place.settle(99);
        assert!(!place.is_settled());
        place.settle(100);
        assert!(place.is_settled());
    }
}
