//! How the schema of a database compares with the migrations.

use super::dialect::Dialect;
use super::migrate;
use guarita_core::Timestamp;
use sqlx::{AnyConnection, Row as _};

/// The result of checking a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SchemaStatus {
    /// It does not exist yet.
    Missing,
    /// It has pending or unknown migrations.
    Outdated,
    /// It is up to date; with the time of the newest session.
    Ready(Option<Timestamp>),
}

impl SchemaStatus {
    pub(super) async fn inspect(
        dialect: Dialect,
        connection: &mut AnyConnection,
    ) -> Result<Self, sqlx::Error> {
        let applied = migrate::applied(dialect, connection).await?;
        let Some(applied) = applied else { return Ok(Self::Missing) };
        if applied != migrate::newest(dialect) {
            return Ok(Self::Outdated);
        }
        let query = sqlx::query("SELECT MAX(created_at) AS last FROM sessions");
        let last: Option<i64> = query.fetch_one(connection).await?.try_get("last")?;
        Ok(Self::Ready(last.map(Timestamp::from_seconds)))
    }
}
