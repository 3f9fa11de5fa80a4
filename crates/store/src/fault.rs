//! Errors of the database.

use sqlx::postgres::PgDatabaseError;

/// A query failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// No connection, lock or result in time.
    #[error("the database did not respond in time")]
    Timeout,
    /// The disk is full.
    #[error("the disk of the database is full")]
    Full,
    /// The file or its directory cannot be written, or the server is a standby.
    #[error("the database is read-only")]
    ReadOnly,
    /// The file is damaged.
    #[error("the database is damaged")]
    Damaged,
    /// A row has an invalid value.
    #[error("the database holds an invalid {0}")]
    Invalid(&'static str),
    /// Any other error of the driver.
    #[error("the database failed: {0}")]
    Other(String),
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        if matches!(error, sqlx::Error::PoolTimedOut) {
            return Self::Timeout;
        }
        if let Some(state) = sqlstate(&error) {
            return Self::from_sqlstate(state).unwrap_or_else(|| Self::Other(error.to_string()));
        }
        // SQLite's result codes (https://www.sqlite.org/rescode.html); the low byte is the class.
        let class = error
            .as_database_error()
            .and_then(sqlx::error::DatabaseError::code)
            .and_then(|code| code.parse::<i32>().ok())
            .map(|code| code & 0xff);
        match class {
            Some(5 | 6) => Self::Timeout,
            Some(8) => Self::ReadOnly,
            Some(11 | 26) => Self::Damaged,
            Some(13) => Self::Full,
            Some(_) | None => Self::Other(error.to_string()),
        }
    }
}

impl StoreError {
    /// Maps a SQLSTATE, see <https://www.postgresql.org/docs/current/errcodes-appendix.html>.
    fn from_sqlstate(state: &str) -> Option<Self> {
        match state {
            // Canceled by statement_timeout, no lock in time, idle in a transaction for too long.
            "57014" | "55P03" | "25P03" => Some(Self::Timeout),
            "53100" => Some(Self::Full),
            "25006" => Some(Self::ReadOnly),
            "XX001" | "XX002" => Some(Self::Damaged),
            _ => None,
        }
    }
}

/// The SQLSTATE of a PostgreSQL error.
fn sqlstate(error: &sqlx::Error) -> Option<&str> {
    let said = error.as_database_error()?.try_downcast_ref::<PgDatabaseError>()?;
    Some(said.code())
}

/// Whether the connection is unusable, or connected to the wrong server.
pub(super) fn is_lost(error: &sqlx::Error) -> bool {
    match sqlstate(error) {
        // A connection that failed; the server stops, has stopped or starts; it ended the session; it
        // is a standby by now; its tables are not those that the statement was prepared for.
        Some(state) => {
            state.starts_with("08")
                || state.starts_with("57P")
                || ["25P03", "25006", "0A000"].contains(&state)
        }
        None => error.as_database_error().is_none(),
    }
}

/// Whether the server may be available later.
pub(super) fn is_passing(error: &sqlx::Error) -> bool {
    match sqlstate(error) {
        Some(state) => state.starts_with("57P") || state == "53300",
        None => matches!(
            error,
            sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::Protocol(_)
        ),
    }
}

/// Why the database cannot be opened. Nothing was overwritten.
#[derive(Debug, thiserror::Error)]
pub enum StoreOpenError {
    /// Neither `sqlite:PATH` nor a complete PostgreSQL URL.
    #[error("store.database: {0}")]
    Unsupported(String),
    /// The file or its directory cannot be created, read or written; or the server refused access.
    #[error("{place}: cannot be used as a database: {reason}")]
    Inaccessible {
        /// The file, directory or server.
        place: String,
        /// The error of the system.
        reason: String,
    },
    /// The server does not respond; it may be available later.
    #[error("{place}: does not respond: {reason}")]
    Unreachable {
        /// The server.
        place: String,
        /// The error of the system.
        reason: String,
    },
    /// The file has other contents.
    #[error("{0}: is not an SQLite database; it was not modified")]
    NotADatabase(String),
    /// The server is not supported.
    #[error("{place}: {reason}")]
    Unsuitable {
        /// The server.
        place: String,
        /// The reason.
        reason: String,
    },
    /// SQLite's own check found damage.
    #[error("{place}: is damaged ({reason}); it was not modified, restore a backup")]
    Damaged {
        /// The file.
        place: String,
        /// The first problem found.
        reason: String,
    },
    /// A newer Guarita migrated it.
    #[error("{place}: was migrated by a newer version (schema {version}); run that version")]
    Newer {
        /// The database.
        place: String,
        /// The unknown migration.
        version: i64,
    },
    /// A migration failed, or differs from the one that was applied.
    #[error("{place}: cannot be migrated: {reason}")]
    Migration {
        /// The database.
        place: String,
        /// Why.
        reason: String,
    },
}
