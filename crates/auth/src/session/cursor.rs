//! The cursor of a reader of the change feed: the newest number that it has seen, and the gaps below.
//!
//! PostgreSQL assigns a number before the change is committed, so a higher number may become visible earlier. Gaps
//! are queried again at every poll, until the transaction with that number must have ended: then it was rolled
//! back. SQLite has no gaps.

use std::collections::BTreeMap;
use std::time::Duration;

use guarita_store::XidHorizon;

/// Maximum number of gaps.
const MAX_GAPS: usize = 1_024;
/// A cursor that was not advanced for this time is dropped, long before changes are removed ([`super::ExpiryCleanup`]).
pub(super) const MAX_GAP: Duration = Duration::from_secs(600);

/// A cursor of the change feed.
#[derive(Debug)]
pub(super) struct FeedCursor {
    /// The server that numbers the changes.
    server: i64,
    /// When everything had been read, in milliseconds by the clock of that server: the local clock may stand still with
    /// the machine, and changes are removed by the server's clock.
    read_ms: i64,
    newest: i64,
    /// Gaps, and the boundary that the horizon must reach before they are dropped.
    gaps: BTreeMap<i64, i64>,
}

/// There are too many gaps, so changes may be missed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooManyGaps;

impl FeedCursor {
    /// The newest number, if no change with a lower number can follow.
    pub(super) fn new(horizon: &XidHorizon, newest: i64) -> Self {
        let XidHorizon { server, now_ms: read_ms, .. } = *horizon;
        Self { server, read_ms, newest, gaps: BTreeMap::new() }
    }

    /// Whether the reader can continue from here: it is the same server, and no newer changes were removed.
    pub(super) fn holds(&self, horizon: &XidHorizon) -> bool {
        let silence = u128::from(horizon.now_ms.abs_diff(self.read_ms));
        horizon.server == self.server && silence < MAX_GAP.as_millis()
    }

    pub(super) fn newest(&self) -> i64 {
        self.newest
    }

    /// The gaps, lowest first.
    pub(super) fn missing(&self) -> Vec<i64> {
        self.gaps.keys().copied().collect()
    }

    /// The gaps between the numbers seen before and these, which are higher and in order.
    pub(super) fn skipped(&self, numbers: &[i64]) -> Result<Vec<i64>, TooManyGaps> {
        let mut skipped = Vec::new();
        let mut before = self.newest;
        for number in numbers {
            let room = MAX_GAPS.saturating_sub(self.gaps.len() + skipped.len());
            let between = number.saturating_sub(before).saturating_sub(1);
            if usize::try_from(between).is_ok_and(|between| between > room) {
                return Err(TooManyGaps);
            }
            skipped.extend(before + 1..*number);
            before = *number;
        }
        Ok(skipped)
    }

    /// Updates the gaps: the previous ones, except for those in `found` and those whose transaction must have ended
    /// below the horizon, and the `skipped` ones, until the horizon reaches `boundary`.
    pub(super) fn advance(
        &mut self,
        newest: Option<i64>,
        found: &[i64],
        horizon: &XidHorizon,
        (skipped, boundary): (&[i64], i64),
    ) {
        for number in found {
            self.gaps.remove(number);
        }
        self.gaps.retain(|_, boundary| *boundary > horizon.ended_below);
        self.gaps.extend(skipped.iter().map(|number| (*number, boundary)));
        match newest {
            Some(newest) => self.newest = newest,
            None => self.read_ms = horizon.now_ms,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn horizon(ended_below: i64) -> XidHorizon {
        XidHorizon { ended_below, server: 1, now_ms: 1_000_000 }
    }

    fn place() -> FeedCursor {
        FeedCursor::new(&horizon(100), 10)
    }

    #[test]
    fn a_gap_is_kept_until_its_transaction_must_have_ended() {
        let mut place = place();
        let skipped = place.skipped(&[11, 14]).unwrap();
        assert_eq!(skipped, [12, 13]);
        place.advance(Some(14), &[], &horizon(100), (&skipped, 120));
        assert_eq!((place.newest(), place.missing()), (14, vec![12, 13]));
        place.advance(None, &[13], &horizon(119), (&[], 0));
        assert_eq!(place.missing(), [12]);
        place.advance(None, &[], &horizon(120), (&[], 0));
        assert_eq!((place.newest(), place.missing()), (14, vec![]));
    }

    #[test]
    fn more_gaps_than_can_be_remembered_are_a_lost_place() {
        let mut place = place();
        let most = 11 + i64::try_from(MAX_GAPS).unwrap();
        let skipped = place.skipped(&[most]).unwrap();
        assert_eq!(skipped.len(), MAX_GAPS);
        assert_eq!(place.skipped(&[most + 1]), Err(TooManyGaps));
        place.advance(Some(most), &[], &horizon(0), (&skipped, 120));
        assert_eq!(place.skipped(&[most + 1]), Ok(vec![]));
        assert_eq!(place.skipped(&[most + 2]), Err(TooManyGaps));
        assert_eq!(place.skipped(&[i64::MAX]), Err(TooManyGaps));
    }

    #[test]
    fn a_place_holds_on_its_server_for_a_while_by_the_clock_there() {
        let mut place = place();
        let later = |passed: i64| XidHorizon { now_ms: 1_000_000 + passed, ..horizon(100) };
        assert!(place.holds(&later(599_999)) && place.holds(&later(-599_999)));
        assert!(!place.holds(&later(600_000)) && !place.holds(&later(-600_000)));
        assert!(!place.holds(&XidHorizon { server: 2, ..horizon(100) }));
        // What was read is not all that there is.
        place.advance(Some(11), &[], &later(500_000), (&[], 0));
        assert!(!place.holds(&later(600_000)));
        place.advance(None, &[], &later(500_000), (&[], 0));
        assert!(place.holds(&later(600_000)) && !place.holds(&later(1_100_000)));
    }
}
