//! The settings of the database.

use std::time::Duration;

use super::postgres::PostgresServer;
use super::{StoreOpenError, file};
use guarita_core::Secret;

/// `[store]`
#[derive(Debug, Clone)]
pub struct StoreSettings {
    /// `sqlite:PATH`, or `postgres://USER:PASSWORD@HOST/DATABASE` with the parameters `sslmode`, `sslrootcert`,
    /// `sslcert` and `sslkey`; the host may be the directory of a socket, percent-encoded.
    pub database: Secret,
    /// How long the start waits for a server that does not respond.
    pub wait: Duration,
}

impl StoreSettings {
    /// Checks the URL of the database, which need not exist; returns a warning for the operator, if any. Messages never
    /// contain the URL.
    pub fn check(&self) -> Result<Option<&'static str>, StoreOpenError> {
        match PostgresServer::find(self.database.expose())? {
            Some(server) => Ok(server.warning()),
            None => file::parse(self.database.expose()).map(|_| None),
        }
    }
}
