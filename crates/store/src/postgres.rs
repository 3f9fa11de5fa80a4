//! PostgreSQL: the URL, the session settings of every connection, and the requirements on the server.

use std::fmt;
use std::net::IpAddr;
use std::path::Path;
use std::str::FromStr as _;
use std::time::Duration;

use sqlx::any::AnyConnectOptions;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AnyConnection, AnyPool, ConnectOptions as _, Connection as _, Row as _};
use tokio::time::timeout;

use super::dialect::Dialect;
use super::fault::is_passing;
use super::{StoreOpenError, migrate};
use crate::connect::{Pools, lasting};
use crate::schema_status::SchemaStatus;

/// Number of writer and reader connections. With those of the change feed and of notifications, a gateway has at
/// most ten.
const WRITERS: u32 = 4;
const READERS: u32 = 4;
/// Time-out of a connection outside of the pools.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Time-out of resetting a returned connection.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(2);
/// Maximum lifetime of a connection, so that a changed DNS name takes effect.
const MAX_LIFETIME: Duration = Duration::from_secs(1_800);
/// The oldest release with `pg_current_snapshot`.
const OLDEST: i64 = 130_000;
/// Maximum length of a URL, in bytes.
const MAX_URL: usize = 4_096;

/// Session settings of every connection, so that a disconnected node holds no locks: no statement and no wait for a
/// lock takes longer than 5 s, no transaction is idle for longer than 10 s, and a dead client is detected within
/// 25 s.
const SERVING: &[(&str, &str)] = &[
    ("statement_timeout", "5000"),
    ("lock_timeout", "5000"),
    ("idle_in_transaction_session_timeout", "10000"),
    // What one statement does by itself, as transactions do.
    ("default_transaction_isolation", "read committed"),
    ("tcp_keepalives_idle", "10"),
    ("tcp_keepalives_interval", "5"),
    ("tcp_keepalives_count", "3"),
    // Else every rollback of what rolled back by itself would be a line in the log.
    ("client_min_messages", "error"),
];

/// Session settings of migrations: without time-outs, also while waiting for another process.
const MIGRATING: &[(&str, &str)] = &[
    ("statement_timeout", "0"),
    ("lock_timeout", "300000"),
    ("idle_in_transaction_session_timeout", "10000"),
    ("client_min_messages", "error"),
];

/// An acknowledged commit must survive a power loss, whatever the server's default is.
const DURABLE: &str = "SELECT set_config('synchronous_commit', 'on', false) \
                       WHERE current_setting('synchronous_commit') = 'off'";

/// A server and a database.
pub(super) struct PostgresServer {
    /// The URL as written.
    options: AnyConnectOptions,
    /// Without user and password, for logs.
    place: String,
}

/// The options of a listening connection. Their `Debug` output contains the password.
#[derive(Clone)]
pub(super) struct Listening(pub(super) PgConnectOptions);

impl fmt::Debug for Listening {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Listening").finish_non_exhaustive()
    }
}

impl PostgresServer {
    /// Parses `postgres://USER:PASSWORD@HOST:PORT/DATABASE` and `postgresql://…`; [`None`] for other URLs.
    pub(super) fn find(database: &str) -> Result<Option<Self>, StoreOpenError> {
        if !is_url(database) {
            return Ok(None);
        }
        Self::parse(database).map(Some).map_err(StoreOpenError::Unsupported)
    }

    fn parse(database: &str) -> Result<Self, String> {
        if database.len() > MAX_URL || database.chars().any(char::is_control) {
            return Err(format!(
                "the URL must have at most {MAX_URL} bytes and no control characters"
            ));
        }
        // What the library says of a URL may quote it.
        let options = AnyConnectOptions::from_str(database)
            .map_err(|_| "is not a URL like postgres://USER:PASSWORD@HOST/DATABASE".to_owned())?;
        let url = &options.database_url;
        for (name, value) in url.query_pairs() {
            check_parameter(&name, &value)?;
        }
        let host = url.host_str().unwrap_or_default();
        let database = url.path().trim_start_matches('/');
        if [url.username(), host, database].contains(&"") || database.contains('/') {
            return Err("the URL must name a user, a host and a database".to_owned());
        }
        // Who moves the address knows which server takes changes (docs/decisions/0023).
        if host.contains([',', ';']) || host.contains("%2C") || host.contains("%2c") {
            return Err(
                "the URL must name exactly one host, whose address moves at a failover".to_owned()
            );
        }
        let port = url.port().unwrap_or(5_432);
        let place = format!("postgres://{host}:{port}/{database}");
        let server = Self { options: options.clone().disable_statement_logging(), place };
        // The library's own view of it: a path that it cannot read, say.
        server.listening().map_err(|_| "the URL has a part that cannot be parsed".to_owned())?;
        Ok(server)
    }

    /// A warning about the connection to the server, for the operator.
    pub(super) fn warning(&self) -> Option<&'static str> {
        let url = &self.options.database_url;
        let host = url.host_str().unwrap_or_default();
        let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        let is_near = host == "localhost"
            || host.starts_with("%2F")
            || address.is_ok_and(|address| address.is_loopback());
        let is_verified =
            url.query_pairs().any(|(name, value)| name == "sslmode" && value == "verify-full");
        (!is_near && !is_verified).then_some(
            "does not say sslmode=verify-full: whoever is on the way to the server can read and change what \
             is asked of it",
        )
    }

    /// The same server with these session settings.
    fn telling(&self, settings: &[(&str, &str)]) -> AnyConnectOptions {
        let mut options = self.options.clone();
        let is_set = |options: &AnyConnectOptions, name: &str| {
            options.database_url.query_pairs().any(|(known, _)| known == name)
        };
        // Said here, so that no variable of the environment (PGSSLMODE, PGAPPNAME) says it.
        for (name, value) in [("sslmode", "prefer"), ("application_name", "guarita")] {
            if !is_set(&options, name) {
                options.database_url.query_pairs_mut().append_pair(name, value);
            }
        }
        for (name, value) in settings {
            let name = format!("options[{name}]");
            options.database_url.query_pairs_mut().append_pair(&name, value);
        }
        options
    }

    /// The options of a listening connection.
    pub(super) fn listening(&self) -> Result<Listening, StoreOpenError> {
        let options = PgConnectOptions::try_from(&self.telling(SERVING));
        options.map(Listening).map_err(|error| self.refuse(error))
    }

    async fn connect(&self, settings: &[(&str, &str)]) -> Result<AnyConnection, StoreOpenError> {
        let options = self.telling(settings);
        let connected = timeout(CONNECT_TIMEOUT, options.connect()).await;
        connected.unwrap_or(Err(sqlx::Error::PoolTimedOut)).map_err(|error| self.refuse(error))
    }

    fn refuse(&self, error: sqlx::Error) -> StoreOpenError {
        let place = self.place.clone();
        let passing = is_passing(&error);
        let reason = if matches!(error, sqlx::Error::PoolTimedOut) {
            "no answer in time".to_owned()
        } else {
            error.to_string()
        };
        if passing {
            StoreOpenError::Unreachable { place, reason }
        } else {
            StoreOpenError::Inaccessible { place, reason }
        }
    }

    fn pool(&self, size: u32) -> AnyPool {
        lasting(size)
            .idle_timeout(MAX_LIFETIME)
            .max_lifetime(MAX_LIFETIME)
            // A connection that was lost is noticed by the statement that begins the transaction, and another
            // is taken in its place.
            .test_before_acquire(false)
            .after_connect(|connection, _| Box::pin(make_durable(connection)))
            // The library itself would wait for as long as TCP does.
            .after_release(|connection, _| Box::pin(is_healthy(connection)))
            .connect_lazy_with(self.telling(SERVING))
    }
}

/// Whether the text is a PostgreSQL URL.
pub(super) fn is_url(database: &str) -> bool {
    database.starts_with("postgres:") || database.starts_with("postgresql:")
}

fn check_parameter(name: &str, value: &str) -> Result<(), String> {
    match name {
        "sslmode" => {
            let modes = ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"];
            if !modes.contains(&value) {
                return Err(format!("sslmode must be one of {}", modes.join(", ")));
            }
        }
        "sslrootcert" | "sslcert" | "sslkey" => {
            if !Path::new(value).is_absolute() {
                return Err(format!("{name} must be an absolute path"));
            }
        }
        _ => {
            let known = "sslmode, sslrootcert, sslcert and sslkey";
            return Err(format!("the URL has an unknown parameter (known: {known})"));
        }
    }
    Ok(())
}

/// Opens the database and applies pending migrations. If there are none, the permission to create tables is not
/// needed.
pub(super) async fn open(server: &PostgresServer) -> Result<Pools, StoreOpenError> {
    let mut connection = server.connect(MIGRATING).await?;
    examine(server, &mut connection).await?;
    let known = migrate::newest(Dialect::Postgres);
    let applied = migrate::applied(Dialect::Postgres, &mut connection).await;
    let applied = applied.map_err(|error| server.refuse(error))?;
    let place = server.place.clone();
    if let Some(version) = applied.filter(|version| *version > known) {
        return Err(StoreOpenError::Newer { place, version });
    }
    if applied != Some(known) {
        let refuse = |error| server.refuse(error);
        migrate::run(Dialect::Postgres, &place, &mut connection, refuse).await?;
    }
    connection.close().await.map_err(|error| server.refuse(error))?;
    Ok(Pools {
        writers: server.pool(WRITERS),
        readers: server.pool(READERS),
        follower: server.pool(1),
    })
}

/// Checks the database without migrating it.
pub(super) async fn probe(server: &PostgresServer) -> Result<SchemaStatus, StoreOpenError> {
    let mut connection = server.connect(SERVING).await?;
    examine(server, &mut connection).await?;
    let probed = SchemaStatus::inspect(Dialect::Postgres, &mut connection).await;
    let probed = probed.map_err(|error| server.refuse(error))?;
    connection.close().await.map_err(|error| server.refuse(error))?;
    Ok(probed)
}

/// Checks the version and encoding of the server.
async fn examine(
    server: &PostgresServer,
    connection: &mut AnyConnection,
) -> Result<(), StoreOpenError> {
    let asked = sqlx::query(
        "SELECT current_setting('server_version_num')::bigint AS version, \
         current_setting('server_encoding') AS encoding, \
         CASE WHEN pg_is_in_recovery() THEN 1 ELSE 0 END AS standby",
    );
    let answer = async {
        let row = asked.fetch_one(connection).await?;
        let (version, encoding): (i64, String) =
            (row.try_get("version")?, row.try_get("encoding")?);
        Ok((version, encoding, row.try_get::<i64, _>("standby")?))
    };
    let (version, encoding, standby) =
        answer.await.map_err(|error: sqlx::Error| server.refuse(error))?;
    let place = server.place.clone();
    if version < OLDEST {
        let reason = "PostgreSQL 13 or newer is needed".to_owned();
        return Err(StoreOpenError::Unsuitable { place, reason });
    }
    if encoding != "UTF8" {
        let reason = format!("the encoding of the database must be UTF8, not {encoding}");
        return Err(StoreOpenError::Unsuitable { place, reason });
    }
    if standby != 0 {
        let reason = "it is a standby, which takes no changes".to_owned();
        return Err(StoreOpenError::Unreachable { place, reason });
    }
    Ok(())
}

async fn make_durable(connection: &mut AnyConnection) -> Result<(), sqlx::Error> {
    sqlx::query(DURABLE).fetch_optional(connection).await.map(|_| ())
}

async fn is_healthy(connection: &mut AnyConnection) -> Result<bool, sqlx::Error> {
    match timeout(RELEASE_TIMEOUT, connection.ping()).await {
        Ok(answered) => answered.map(|()| true),
        Err(_) => Ok(false),
    }
}

#[cfg(test)]
#[path = "postgres_tests.rs"]
mod tests;
