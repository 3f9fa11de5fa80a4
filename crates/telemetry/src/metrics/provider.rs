//! Metrics of the keys of an identity provider.

use std::sync::Arc;

use prometheus::IntCounterVec;

use super::lease::{Lease, Leases, Vectors};
use super::{RESULTS, result};

/// The counters of one provider; they are removed with the last of these.
#[derive(Debug)]
pub struct ProviderKeyMetrics(Lease<KeyFetches, 1>);

impl ProviderKeyMetrics {
    /// Counts an attempt to fetch its keys.
    pub fn fetched(&self, succeeded: bool) {
        let [provider] = self.0.labels();
        self.0.vectors().0.with_label_values(&[provider, result(succeeded)]).inc();
    }

    pub(super) fn new(leases: &Arc<Leases<KeyFetches, 1>>, provider: &str) -> Self {
        Self(leases.hold([provider]))
    }
}

/// `guarita_provider_key_fetches_total`
pub(super) struct KeyFetches(pub(super) IntCounterVec);

impl Vectors<1> for KeyFetches {
    fn remove(&self, [provider]: [&str; 1]) {
        for result in RESULTS {
            // There is none before the first attempt with this result.
            let _ = self.0.remove_label_values(&[provider, result]);
        }
    }
}
