//! Rate limits, shared by all gateways. While the shared backend is unavailable, each gateway limits on its own.

use std::hash::Hash;
use std::time::{Duration, Instant};

use super::place::{Place, Table};
use super::remote::Link;
use super::{Limiter, OutOfReach, Rate};

/// What is counted.
pub trait Counted: Hash {
    /// Its name, the same in every process and version. What is kept of it is a digest.
    fn name(&self) -> String;
}

/// Counters.
#[derive(Debug)]
pub struct Rates {
    place: Place,
    /// In force where nothing is shared. Elsewhere it knows what this gateway let through, for the time when
    /// nothing else does.
    local: Limiter,
}

impl Rates {
    pub(super) fn new(place: Place, capacity: usize) -> Self {
        Self { place, local: Limiter::new(capacity) }
    }

    /// Counts one, if there is room for it; else how long until there is. What is refused is not counted.
    pub async fn take(&self, what: &impl Counted, rate: Rate, at: Instant) -> Result<(), Duration> {
        let asked = match &self.place {
            Place::Memory => Err(OutOfReach),
            Place::Redis(link, seal) => {
                let name = seal.name("rate", &what.name());
                take_in_redis(link, &name, rate).await
            }
            Place::Database(table, seal) => {
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
            Err(OutOfReach) => here(),
        }
    }
}

async fn take_in_redis(
    link: &Link,
    name: &str,
    rate: Rate,
) -> Result<Result<(), Duration>, OutOfReach> {
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
    table: &Table,
    name: &str,
    rate: Rate,
) -> Result<Result<(), Duration>, OutOfReach> {
    // One statement, which needs no turn: beside others for the same name it waits for the row.
    let asked = table.store.write_at_once().run(|mut transaction| async move {
        let taken = transaction.take_rate(name, rate.interval(), rate.period).await;
        (transaction, taken)
    });
    table.heard(asked.await)
}
