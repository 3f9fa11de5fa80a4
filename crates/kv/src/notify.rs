//! Change notifications between gateways by Redis publish/subscribe. They only trigger a poll; gateways also poll
//! without them, so a lost notification costs only some milliseconds.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::KvUnavailable;
use super::redis::RedisClient;
use super::redis::connect::listener;

/// Time-out of connecting and subscribing.
const SUBSCRIBE_TIMEOUT: Duration = Duration::from_secs(4);
/// Interval and time-out of pings on an idle connection.
const PERIOD: Duration = Duration::from_secs(5);
/// Pauses between attempts to subscribe: the first, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));

/// Change notifications on a channel.
#[derive(Clone)]
pub struct RedisNotifications {
    link: Arc<RedisClient>,
    channel: String,
}

impl fmt::Debug for RedisNotifications {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Hints").field("channel", &self.channel).finish_non_exhaustive()
    }
}

impl RedisNotifications {
    pub(super) fn new(link: Arc<RedisClient>) -> Self {
        let channel = link.key("changes");
        Self { link, channel }
    }

    /// Notifies all gateways of changes.
    ///
    /// # Errors
    /// [`KvUnavailable`]: they detect the changes by polling.
    pub async fn publish(&self) -> Result<(), KvUnavailable> {
        self.link.publish(&self.channel).await
    }

    /// Increments the counter with each notification, and whenever some may have been missed; runs forever. Several
    /// notifications may be seen as one.
    pub async fn run(self, heard: watch::Sender<u64>) {
        let (mut pause, mut attempt) = (PAUSES.0, 0);
        loop {
            if self.listen(attempt, &heard).await {
                pause = PAUSES.0;
            }
            attempt += 1;
            sleep(pause).await;
            pause = (pause * 2).min(PAUSES.1);
        }
    }

    /// Listens until the connection is lost; returns whether there was one.
    async fn listen(&self, attempt: usize, heard: &watch::Sender<u64>) -> bool {
        let connecting = async {
            let client = listener(self.link.settings(), attempt).await?;
            let mut messages = client.get_async_pubsub().await?;
            messages.subscribe(&self.channel).await?;
            Ok::<_, redis::RedisError>(messages)
        };
        let connections = self.link.connections();
        let Ok(Ok(messages)) = timeout(SUBSCRIBE_TIMEOUT, connecting).await else { return false };
        heard.send_modify(|count| *count += 1);
        let (mut sink, mut stream) = messages.split();
        loop {
            match timeout(PERIOD, stream.next()).await {
                Ok(Some(_)) => heard.send_modify(|count| *count += 1),
                Ok(None) => return true,
                // Hints go to another server now, as after a failover, and this one may be well.
                Err(_) if self.link.connections() != connections => return true,
                Err(_) => {
                    let alive = timeout(PERIOD, sink.ping::<redis::Value>()).await;
                    if !matches!(alive, Ok(Ok(_))) {
                        return true;
                    }
                }
            }
        }
    }
}
