//! Table `turns`: leases for jobs that only one process on this database runs at a time, by the database's clock.

use std::time::Duration;

use super::rates::micros;
use super::{StoreError, Transaction};

/// A lease that expires later than possible was taken before the clock was set back.
const TAKE: &str = "UPDATE turns SET holder = $2, ends_at = $3 + (SELECT micros FROM server_clock)
    WHERE name = $1 AND (holder = $2 OR ends_at <= (SELECT micros FROM server_clock)
    OR ends_at > $3 + (SELECT micros FROM server_clock))";

impl Transaction {
    /// Acquires or extends the lease of this name, for this time from now; returns whether nobody else has it.
    pub async fn take_turn(
        &mut self,
        name: &str,
        holder: &str,
        life: Duration,
    ) -> Result<bool, StoreError> {
        let query =
            sqlx::query(TAKE).bind(name.to_owned()).bind(holder.to_owned()).bind(micros(life));
        Ok(self.execute(query).await? > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[tokio::test]
    async fn one_holder_at_a_time_has_a_turn_and_another_once_it_ends() {
        let (_directory, store) = sample::open().await;
        let mut transaction = store.begin_write().await.unwrap();
        let long = Duration::from_secs(3_600);
        let brief = Duration::ZERO;
        assert!(transaction.take_turn("sweep", "one", long).await.unwrap());
        assert!(!transaction.take_turn("sweep", "other", long).await.unwrap());
        assert!(transaction.take_turn("sweep", "one", brief).await.unwrap());
        assert!(transaction.take_turn("sweep", "other", long).await.unwrap());
        assert!(!transaction.take_turn("sweep", "one", long).await.unwrap());
        assert!(!transaction.take_turn("unknown", "one", long).await.unwrap());
        // The clock was set back by an hour: it ends later than a turn of a minute could.
        let minute = Duration::from_secs(60);
        assert!(transaction.take_turn("sweep", "one", minute).await.unwrap());
    }
}
