//! Stale session state (`on_unknown = "serve_for …"` of a route): the last known state is used only while the change
//! feed exceeds its maximum lag, only if the database does not respond either, and only for the configured time.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::feed_liveness::MAX_SILENCE;
use super::status::StatusUnavailable;
use guarita_telemetry::events::OnUnknownServing;

/// While the database does not respond, one request per this time tries it again.
const PERIOD: Duration = Duration::from_secs(1);

/// Permission of a request to use stale session state.
#[derive(Debug)]
pub struct StaleReadPolicy {
    within: Duration,
    used: AtomicBool,
}

impl StaleReadPolicy {
    /// For this time after the feed exceeded its maximum lag.
    pub const fn new(within: Duration) -> Self {
        Self { within, used: AtomicBool::new(false) }
    }

    /// Whether stale state was used.
    pub fn is_used(&self) -> bool {
        self.used.load(Ordering::Relaxed)
    }

    /// Whether it applies at this lag of the feed; never if the feed was never read.
    fn holds(&self, silence: Option<Duration>) -> bool {
        let end = MAX_SILENCE.saturating_add(self.within);
        silence.is_some_and(|silence| silence > MAX_SILENCE && silence <= end)
    }
}

/// Circuit breaker for the database, for requests that may use stale state.
#[derive(Debug)]
pub(super) struct StoreCircuitBreaker {
    born: Instant,
    /// When the database is tried next, in milliseconds since `born`; 0 while it responds.
    next: AtomicU64,
    told: AtomicBool,
}

impl StoreCircuitBreaker {
    pub(super) fn new() -> Self {
        Self { born: Instant::now(), next: AtomicU64::new(0), told: AtomicBool::new(false) }
    }

    /// Resets it, because the feed is up to date.
    pub(super) fn heard(&self) {
        self.next.store(0, Ordering::Relaxed);
        self.told.store(false, Ordering::Relaxed);
    }

    /// The state from the database or, with `leave`, the stale state if the database does not respond. While the circuit
    /// is open, the stale state is used first, so that not every request waits for the time-out.
    pub(super) async fn ask<T>(
        &self,
        leave: Option<&StaleReadPolicy>,
        silence: impl Fn() -> Option<Duration>,
        asking: impl Future<Output = Result<T, StatusUnavailable>>,
        recall: impl Fn() -> Option<T>,
    ) -> Result<T, StatusUnavailable> {
        let Some(leave) = leave.filter(|leave| leave.holds(silence())) else { return asking.await };
        if self.is_given_up()
            && let Some(known) = recall()
        {
            self.note_use(leave);
            return Ok(known);
        }
        match asking.await {
            Ok(answer) => {
                self.next.store(0, Ordering::Relaxed);
                Ok(answer)
            }
            Err(StatusUnavailable) => {
                self.next.store(self.millis().saturating_add(millis(PERIOD)), Ordering::Relaxed);
                // Time has passed.
                let known = if leave.holds(silence()) { recall() } else { None };
                known.inspect(|_| self.note_use(leave)).ok_or(StatusUnavailable)
            }
        }
    }

    /// Whether the circuit is open, and this request is not the one that tries the database.
    fn is_given_up(&self) -> bool {
        let (next, now) = (self.next.load(Ordering::Relaxed), self.millis());
        if next == 0 || now < next {
            return next != 0;
        }
        let then = now.saturating_add(millis(PERIOD));
        let (when, or) = (Ordering::Relaxed, Ordering::Relaxed);
        self.next.compare_exchange(next, then, when, or).is_err()
    }

    fn note_use(&self, leave: &StaleReadPolicy) {
        leave.used.store(true, Ordering::Relaxed);
        if !self.told.swap(true, Ordering::Relaxed) {
            OnUnknownServing { within: leave.within }.emit();
        }
    }

    fn millis(&self) -> u64 {
        millis(self.born.elapsed())
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    async fn ask(
        reach: &StoreCircuitBreaker,
        leave: Option<&StaleReadPolicy>,
        silence: Duration,
        answer: Result<&'static str, StatusUnavailable>,
    ) -> Result<&'static str, StatusUnavailable> {
        reach.ask(leave, || Some(silence), async { answer }, || Some("memory")).await
    }

    #[tokio::test]
    async fn a_leave_holds_from_the_bound_for_as_long_as_it_says() {
        for (silence, expected) in [
            (Duration::from_millis(900), Err(StatusUnavailable)),
            (MAX_SILENCE, Err(StatusUnavailable)),
            (MAX_SILENCE + Duration::from_millis(1), Ok("memory")),
            (MAX_SILENCE + MINUTE, Ok("memory")),
            (MAX_SILENCE + MINUTE + Duration::from_millis(1), Err(StatusUnavailable)),
        ] {
            let (reach, leave) = (StoreCircuitBreaker::new(), StaleReadPolicy::new(MINUTE));
            let asked = ask(&reach, Some(&leave), silence, Err(StatusUnavailable)).await;
            assert_eq!(asked, expected, "{silence:?}");
            assert_eq!(leave.is_used(), expected.is_ok(), "{silence:?}");
        }
    }

    #[tokio::test]
    async fn without_a_leave_or_before_the_feed_was_heard_nothing_is_believed() {
        let (reach, leave) = (StoreCircuitBreaker::new(), StaleReadPolicy::new(MINUTE));
        let silence = MAX_SILENCE * 2;
        assert_eq!(
            ask(&reach, None, silence, Err(StatusUnavailable)).await,
            Err(StatusUnavailable)
        );
        let asked = reach
            .ask(Some(&leave), || None, async { Err(StatusUnavailable) }, || Some("memory"))
            .await;
        assert_eq!(asked, Err(StatusUnavailable));
        let nothing =
            reach.ask(Some(&leave), || Some(silence), async { Err(StatusUnavailable) }, || None);
        assert_eq!(nothing.await, Err::<&str, _>(StatusUnavailable));
        assert!(!leave.is_used());
    }

    #[tokio::test]
    async fn a_store_that_answers_is_believed_and_one_that_did_not_is_asked_now_and_then() {
        let (reach, leave, silence) =
            (StoreCircuitBreaker::new(), StaleReadPolicy::new(MINUTE), MAX_SILENCE * 2);
        assert_eq!(ask(&reach, Some(&leave), silence, Ok("store")).await, Ok("store"));
        assert!(!leave.is_used());
        assert_eq!(ask(&reach, Some(&leave), silence, Err(StatusUnavailable)).await, Ok("memory"));
        // It would answer, and is not asked yet.
        assert_eq!(ask(&reach, Some(&leave), silence, Ok("store")).await, Ok("memory"));
        // What memory does not know is asked for all the same.
        let unknown = reach.ask(Some(&leave), || Some(silence), async { Ok("store") }, || None);
        assert_eq!(unknown.await, Ok("store"));
        assert_eq!(ask(&reach, Some(&leave), silence, Ok("store")).await, Ok("store"));
    }

    #[test]
    fn one_caller_in_a_period_finds_out_whether_the_store_answers_again() {
        let reach =
            StoreCircuitBreaker { born: Instant::now() - MINUTE, ..StoreCircuitBreaker::new() };
        assert!(!reach.is_given_up());
        reach.next.store(1, Ordering::Relaxed);
        assert!(!reach.is_given_up(), "its turn has come");
        assert!(reach.is_given_up(), "somebody else's");
        reach.heard();
        assert!(!reach.is_given_up());
    }
}
