//! Pools of connections to the database.

use sqlx::AnyPool;
use sqlx::any::AnyPoolOptions;
use std::time::Duration;

/// The connection pools of a database, by purpose.
#[derive(Clone, Debug)]
pub(super) struct Pools {
    pub(super) writers: AnyPool,
    pub(super) readers: AnyPool,
    pub(super) follower: AnyPool,
}

/// Options that the pools of both systems have in common.
pub(super) fn lasting(size: u32) -> AnyPoolOptions {
    AnyPoolOptions::new().max_connections(size).acquire_timeout(ACQUIRE_TIMEOUT)
}

/// Time-out of waiting for a connection.
pub(super) const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);
