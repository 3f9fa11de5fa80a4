//! Table `rates`: rate limit counters shared by all gateways on this database, by the database's clock.

use std::time::Duration;

use super::transaction::number;
use super::{StoreError, Transaction};

/// Counts one if the limit allows it. `excluded.empty_at - $2` is the current time.
const TAKE: &str = "INSERT INTO rates (name, empty_at)
    SELECT $1, micros + $2 FROM server_clock WHERE micros > 0
    ON CONFLICT (name) DO UPDATE SET empty_at = CASE
        WHEN rates.empty_at > excluded.empty_at - $2 THEN rates.empty_at + $2
        ELSE excluded.empty_at END
    WHERE rates.empty_at + $2 <= excluded.empty_at - $2 + $3
        OR rates.empty_at <= excluded.empty_at - $2";

impl Transaction {
    /// Counts one by the generic cell rate algorithm, with `interval` per request; otherwise returns the time to wait, at
    /// most one period.
    pub async fn take_rate(
        &mut self,
        name: &str,
        interval: Duration,
        period: Duration,
    ) -> Result<Result<(), Duration>, StoreError> {
        let (interval, period) = (micros(interval).max(1), micros(period));
        let query = sqlx::query(TAKE).bind(name.to_owned()).bind(interval).bind(period);
        if self.execute(query).await? > 0 {
            return Ok(Ok(()));
        }
        let query = sqlx::query(
            "SELECT empty_at - micros AS ahead FROM rates, server_clock WHERE name = $1",
        )
        .bind(name.to_owned());
        let ahead = self.find(query).await?.map_or(Ok(0), |row| number(&row, "ahead"))?;
        if ahead > period {
            // The clock was set back, or the period is shorter now: the bucket is full.
            let full = "UPDATE rates SET empty_at = $2 + (SELECT micros FROM server_clock)
                 WHERE name = $1";
            self.execute(sqlx::query(full).bind(name.to_owned()).bind(period)).await?;
        }
        let wait = (ahead.min(period) + interval - period).max(1);
        Ok(Err(Duration::from_micros(u64::try_from(wait).unwrap_or(1))))
    }

    /// Removes at most `limit` keys with empty buckets; returns how many.
    pub async fn prune_rates(&mut self, limit: i64) -> Result<u64, StoreError> {
        let query = sqlx::query(
            "DELETE FROM rates WHERE name IN (SELECT name FROM rates
             WHERE empty_at < (SELECT micros FROM server_clock) LIMIT $1)",
        )
        .bind(limit);
        self.execute(query).await
    }
}

pub(super) fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX / 4)
}
