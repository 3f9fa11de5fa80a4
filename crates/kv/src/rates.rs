//! Rate limits, shared by all gateways. While the shared backend is unavailable, each gateway limits on its own.

use std::hash::Hash;
use std::time::{Duration, Instant};

use super::backend::{Backend, DatabaseBackend};
use super::redis::RedisClient;
use super::{KvUnavailable, Limiter, Rate};

/// A counted key.
pub trait Counted: Hash {
    /// Its name, the same in every process and version. Only a digest is stored.
    fn name(&self) -> String;
}

/// Counters.
#[derive(Debug)]
pub struct RateCounters {
    place: Backend,
    /// The local counters, used if nothing is shared. Otherwise they count what this gateway allowed, for the time when
    /// the shared backend is unavailable.
    local: Limiter,
}

impl RateCounters {
    pub(super) fn new(place: Backend, capacity: usize) -> Self {
        Self { place, local: Limiter::new(capacity) }
    }

    /// Counts one if the limit allows it; otherwise returns the time to wait. Rejected requests are not counted.
    pub async fn take(&self, what: &impl Counted, rate: Rate, at: Instant) -> Result<(), Duration> {
        let asked = match &self.place {
            Backend::Memory => Err(KvUnavailable),
            Backend::Redis(link, seal) => {
                let name = seal.name("rate", &what.name());
                take_in_redis(link, &name, rate).await
            }
            Backend::Database(table, seal) => {
                let name = seal.name("rate", &what.name());
                take_in_database(table, &name, rate).await
            }
        };
        let here = || self.local.take(self.local.key(what), rate, at);
        match asked {
            Ok(Ok(())) => {
                // All gateways together let it through, so this one does.
                let _ = here();
                Ok(())
            }
            Ok(refused) => refused,
            Err(KvUnavailable) => here(),
        }
    }
}

async fn take_in_redis(
    link: &RedisClient,
    name: &str,
    rate: Rate,
) -> Result<Result<(), Duration>, KvUnavailable> {
    let key = link.key(&["rate:", name].concat());
    let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX).max(1);
    let (interval, period) = (micros(rate.interval()), micros(rate.period));
    let wait: u64 = link
        .run_script(&link.scripts.rate, &[&key], |command| {
            command.arg(interval).arg(period);
        })
        .await?;
    Ok(if wait == 0 { Ok(()) } else { Err(Duration::from_micros(wait)) })
}

async fn take_in_database(
    table: &DatabaseBackend,
    name: &str,
    rate: Rate,
) -> Result<Result<(), Duration>, KvUnavailable> {
    // One statement, which needs no turn: beside others for the same name it waits for the row.
    let asked = table.store.write_at_once().run(|mut transaction| async move {
        let taken = transaction.take_rate(name, rate.interval(), rate.period).await;
        (transaction, taken)
    });
    table.heard(asked.await)
}
