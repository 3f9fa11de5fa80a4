//! What can go wrong with the database.

use std::path::PathBuf;

/// A query failed. Never the caller's doing.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// No connection, no lock or no answer within the bound.
    #[error("the database did not answer in time")]
    Timeout,
    /// The disk is full.
    #[error("the disk of the database is full")]
    Full,
    /// The file or its directory cannot be written.
    #[error("the database is read-only")]
    ReadOnly,
    /// The file is damaged.
    #[error("the database is damaged")]
    Damaged,
    /// A row holds what no migration allows.
    #[error("the database holds an invalid {0}")]
    Invalid(&'static str),
    /// Anything else the driver says.
    #[error("the database failed: {0}")]
    Other(String),
}

impl From<sqlx::Error> for Fault {
    fn from(error: sqlx::Error) -> Self {
        if matches!(error, sqlx::Error::PoolTimedOut) {
            return Self::Timeout;
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

/// The store cannot be opened. Nothing was overwritten.
#[derive(Debug, thiserror::Error)]
pub enum OpenFault {
    /// Not `sqlite:PATH`.
    #[error("store.database: {0}")]
    Unsupported(&'static str),
    /// The file or its directory cannot be made, read or written.
    #[error("{}: cannot be used as a database: {reason}", path.display())]
    Inaccessible {
        /// Which file or directory.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// The file has other contents.
    #[error("{}: is not an SQLite database; it was left as it is", .0.display())]
    NotADatabase(PathBuf),
    /// SQLite's own check found damage.
    #[error("{}: is damaged ({reason}); it was left as it is, restore a backup", path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// The first finding.
        reason: String,
    },
    /// A newer Guarita migrated it.
    #[error("{}: was migrated by a newer version (schema {version}); run that version", path.display())]
    Newer {
        /// Which file.
        path: PathBuf,
        /// The migration this binary does not know.
        version: i64,
    },
    /// A migration failed or differs from the one that was applied.
    #[error("{}: cannot be migrated: {reason}", path.display())]
    Migration {
        /// Which file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}
