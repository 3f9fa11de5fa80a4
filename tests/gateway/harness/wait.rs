//! Waiting for conditions, never for time.

use std::future::Future;
use std::time::Duration;

use tokio::time::MissedTickBehavior;

/// Longest wait for anything: generous, since a loaded machine is slow and a failure is not.
pub(super) const DEADLINE: Duration = Duration::from_secs(60);
/// Between two looks at a condition that cannot tell by itself.
const LOOK: Duration = Duration::from_millis(10);

/// The future's output, or a failure that says what was waited for.
pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(DEADLINE, future).await {
        Ok(output) => output,
        Err(_) => panic!("waited in vain for {what}"),
    }
}

/// Looks until the condition gives a value.
pub(crate) async fn eventually<T, F: Future<Output = Option<T>>>(
    what: &str,
    mut condition: impl FnMut() -> F,
) -> T {
    within(what, async {
        let mut looks = tokio::time::interval(LOOK);
        // Looks that were missed are not made up for: they would take the processor from what is waited for.
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            looks.tick().await;
            if let Some(value) = condition().await {
                return value;
            }
        }
    })
    .await
}
