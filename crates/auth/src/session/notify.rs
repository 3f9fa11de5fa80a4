//! Change notifications between processes (decision 0020): something changed, poll now.
//!
//! They are sent and received by PostgreSQL and, if gateways share one, by Redis. Processes also poll periodically
//! without them.

use std::sync::Arc;

use tokio::sync::{Notify, watch};

use guarita_kv as ephemeral;
use guarita_store::Store;
use guarita_telemetry::Metrics;

/// Sends and receives change notifications.
#[derive(Debug)]
pub(super) struct ChangeNotifications {
    store: Store,
    redis: Option<ephemeral::RedisNotifications>,
    metrics: Option<Arc<Metrics>>,
}

impl ChangeNotifications {
    /// Creates it for a store, and for Redis if it is used.
    pub(super) fn new(
        store: Store,
        redis: Option<ephemeral::RedisNotifications>,
        metrics: Option<Arc<Metrics>>,
    ) -> Self {
        Self { store, redis, metrics }
    }

    /// Wakes waiters at each notification, and sends notifications of this process's commits; runs forever.
    pub(super) async fn run(self, hinted: &Notify) {
        tokio::join!(self.hear_store(hinted), self.hear_redis(hinted), self.give());
    }

    async fn hear_store(&self, hinted: &Notify) {
        let mut listener = self.store.listener();
        loop {
            listener.hint().await;
            self.heard("postgres", hinted);
        }
    }

    async fn hear_redis(&self, hinted: &Notify) {
        let Some(redis) = &self.redis else { return };
        let (count, mut heard) = watch::channel(0);
        let waking = async {
            while heard.changed().await.is_ok() {
                self.heard("redis", hinted);
            }
        };
        tokio::join!(redis.clone().run(count), waking);
    }

    fn heard(&self, by: &str, hinted: &Notify) {
        if let Some(metrics) = &self.metrics {
            metrics.revocation().hinted(by);
        }
        hinted.notify_one();
    }

    /// PostgreSQL sends its notifications itself. Commits during a notification are covered by the next one.
    async fn give(&self) {
        let Some(redis) = &self.redis else { return };
        let mut committed = self.store.committed();
        while committed.changed().await.is_ok() {
            if redis.publish().await.is_err() {
                tracing::debug!("notifying other gateways through Redis failed");
            }
        }
    }
}
