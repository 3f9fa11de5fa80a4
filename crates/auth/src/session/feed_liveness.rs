//! The liveness of the change feed: until when it was read. Cached state is used no longer than that.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Maximum lag of the change feed; with a greater lag the caches are not used.
pub(super) const MAX_SILENCE: Duration = Duration::from_secs(1);

/// When the feed was last read.
#[derive(Debug)]
pub(super) struct FeedLiveness {
    pub(super) born: Instant,
    /// Milliseconds from `born` to the time that the feed covers, plus one; 0 before the first poll.
    heard: AtomicU64,
}

impl FeedLiveness {
    /// Creates it; nothing was read yet.
    pub(super) fn new() -> Self {
        Self { born: Instant::now(), heard: AtomicU64::new(0) }
    }

    /// Records that all changes committed before `moment` are applied.
    pub(super) fn note(&self, moment: Instant) {
        let since = moment.saturating_duration_since(self.born).as_millis();
        let heard = u64::try_from(since).unwrap_or(u64::MAX).saturating_add(1);
        self.heard.fetch_max(heard, Ordering::AcqRel);
    }

    /// The lag of the feed; [`None`] before the first poll.
    pub(super) fn silence(&self) -> Option<Duration> {
        let heard = self.heard.load(Ordering::Acquire).checked_sub(1)?;
        Some(self.born.elapsed().saturating_sub(Duration::from_millis(heard)))
    }

    /// Whether the caches can be used.
    pub(super) fn is_recent(&self) -> bool {
        self.silence().is_some_and(|silence| silence <= MAX_SILENCE)
    }
}
