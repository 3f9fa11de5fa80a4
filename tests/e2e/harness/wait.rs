//! Waiting for conditions. Nothing here waits for time to pass.

use std::future::Future;
use std::time::Duration;

use tokio::time::MissedTickBehavior;

/// How long any condition may take.
pub const DEADLINE: Duration = Duration::from_secs(60);
/// How often a condition is looked at.
const PERIOD: Duration = Duration::from_millis(10);

/// The future's output, or a failed test that names what did not happen.
pub async fn within<F: Future>(what: &str, future: F) -> F::Output {
    let Ok(output) = tokio::time::timeout(DEADLINE, future).await else {
        panic!("{what}: not within {DEADLINE:?}");
    };
    output
}

/// As [`within`], for what takes a real browser.
pub async fn within_minutes<F: Future>(what: &str, future: F) -> F::Output {
    let Ok(output) = tokio::time::timeout(DEADLINE * 3, future).await else {
        panic!("{what}: not within {:?}", DEADLINE * 3);
    };
    output
}

/// Asks until there is something, or fails the test.
pub async fn until<T, F>(what: &str, probe: impl FnMut() -> F) -> T
where
    F: Future<Output = Option<T>>,
{
    within(what, found(probe)).await
}

/// Asks until there is something, for ever.
pub async fn found<T, F>(mut probe: impl FnMut() -> F) -> T
where
    F: Future<Output = Option<T>>,
{
    let mut ticks = tokio::time::interval(PERIOD);
    // Looks that were missed are not made up for: they would take the processor from what is waited for.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if let Some(found) = probe().await {
            return found;
        }
    }
}
