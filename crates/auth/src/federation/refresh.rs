//! The background task that fetches a provider's keys.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::fetch::Fetcher;
use super::keys;
use crate::federation::error::FetchError;
use crate::snapshot::Provider;
use guarita_telemetry::events::{ProviderKeysChanged, ProviderKeysFailed};
use guarita_telemetry::{Metrics, ProviderKeyMetrics};

/// Starts fetching a provider's keys, as long as the provider is configured. Does nothing if it publishes no
/// keys, or fetching was already started.
pub fn start(provider: &Arc<Provider>, metrics: &Metrics) {
    let Some(published) = &provider.settings().published else { return };
    let ca = published.ca.clone();
    provider.start(|provider| {
        let metrics = metrics.provider_keys(&provider.settings().name);
        let run = run(Arc::downgrade(provider), ca, metrics);
        tokio::spawn(run).abort_handle()
    });
}

async fn run(provider: Weak<Provider>, ca: Option<Vec<u8>>, metrics: ProviderKeyMetrics) {
    let fetcher = match Fetcher::new(ca).await {
        Ok(fetcher) => fetcher,
        Err(fault) => {
            if let Some(provider) = provider.upgrade() {
                log_failure(&provider, &fault);
            }
            return;
        }
    };
    let mut failures = 0;
    loop {
        let Some(provider) = provider.upgrade() else { return };
        let Some(published) = provider.settings().published.clone() else { return };
        let wanted = provider.wanted();
        let fetched = keys::fetch(&fetcher, provider.settings()).await;
        metrics.fetched(fetched.is_ok());
        match fetched {
            Ok(set) => {
                failures = 0;
                let keys = set.len();
                if provider.replace(set) {
                    ProviderKeysChanged { provider: &provider.settings().name, keys }.emit();
                }
            }
            Err(fault) => {
                failures += 1;
                provider.attempted();
                log_failure(&provider, &fault);
            }
        }
        drop(provider);
        let pause = pause(failures, published.cooldown, published.refresh);
        sleep(published.cooldown).await;
        // Somebody who asks ends it early, and so does nobody.
        let _ = timeout(pause.saturating_sub(published.cooldown), wanted.notified()).await;
    }
}

/// Time until the next fetch; it grows with consecutive failures.
fn pause(failures: u32, cooldown: Duration, refresh: Duration) -> Duration {
    match failures.checked_sub(1) {
        None => refresh,
        Some(doublings) => cooldown.saturating_mul(1 << doublings.min(16)).min(refresh),
    }
}

fn log_failure(provider: &Provider, fault: &FetchError) {
    ProviderKeysFailed { provider: &provider.settings().name, error: fault }.emit();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_make_the_pause_longer_up_to_the_usual_one() {
        let (cooldown, refresh) = (Duration::from_secs(30), Duration::from_secs(300));
        let pauses =
            [0, 1, 2, 3, 4, 5, 100].map(|failures| pause(failures, cooldown, refresh).as_secs());
        assert_eq!(pauses, [300, 30, 60, 120, 240, 300, 300]);
    }
}
