//! Table `changes`: what other processes on the same store must learn within 1 s.
//!
//! SQLite commits one writer at a time, so `seq` grows in the order of commits. PostgreSQL hands
//! numbers out before the commit; a reader there must wait for the gaps.

use super::transaction::{number, text};
use super::{Fault, Transaction};
use crate::model::token_mark::{Mark, RevokedMark};
use crate::model::{ApiKeyId, SessionId, Timestamp, UserId};

/// What changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The session was revoked, or its second factor proven.
    Session(SessionId),
    /// The user was disabled or enabled, its roles or what is demanded of it changed, or all its
    /// sessions were revoked.
    User(UserId),
    /// The key was revoked.
    ApiKey(ApiKeyId),
    /// A secret of some client was made or revoked.
    Clients,
    /// Tokens of a provider count no more.
    Tokens(RevokedMark),
    /// Written by a newer version: whoever reads it must doubt everything.
    Unknown,
}

impl Change {
    fn parse(kind: &str, key: &str) -> Self {
        let change = match kind {
            "session" => SessionId::parse(key).map(Self::Session),
            "user" => key.parse().ok().map(|id| Self::User(UserId::new(id))),
            "api_key" => key.parse().ok().map(|id| Self::ApiKey(ApiKeyId::new(id))),
            "client" => Some(Self::Clients),
            "tokens" => revoked_mark(key).map(Self::Tokens),
            _ => None,
        };
        change.unwrap_or(Self::Unknown)
    }
}

/// A mark and its two times, as [`Transaction::append_token_change`] writes them.
fn revoked_mark(key: &str) -> Option<RevokedMark> {
    let mut parts = key.split(' ');
    let mark = Mark::parse(parts.next()?)?;
    let mut time = || parts.next()?.parse().ok().map(Timestamp::from_seconds);
    let (revoked_at, keep_until) = (time()?, time()?);
    Some(RevokedMark { mark, revoked_at, keep_until })
}

impl Transaction {
    pub(super) async fn append_session_change(
        &mut self,
        session: SessionId,
        now: Timestamp,
    ) -> Result<(), Fault> {
        self.append("session", session.to_string(), now).await
    }

    pub(super) async fn append_user_change(
        &mut self,
        user: UserId,
        now: Timestamp,
    ) -> Result<(), Fault> {
        self.append("user", user.to_string(), now).await
    }

    pub(super) async fn append_api_key_change(
        &mut self,
        key: ApiKeyId,
        now: Timestamp,
    ) -> Result<(), Fault> {
        self.append("api_key", key.to_string(), now).await
    }

    pub(super) async fn append_client_change(
        &mut self,
        name: &str,
        now: Timestamp,
    ) -> Result<(), Fault> {
        self.append("client", name.to_owned(), now).await
    }

    pub(super) async fn append_token_change(
        &mut self,
        revoked: RevokedMark,
        now: Timestamp,
    ) -> Result<(), Fault> {
        let RevokedMark { mark, revoked_at, keep_until } = revoked;
        let (from, until) = (revoked_at.seconds(), keep_until.seconds());
        self.append("tokens", format!("{} {from} {until}", mark.text()), now).await
    }

    async fn append(
        &mut self,
        kind: &'static str,
        key: String,
        now: Timestamp,
    ) -> Result<(), Fault> {
        let query = sqlx::query("INSERT INTO changes (kind, key, at) VALUES ($1, $2, $3)")
            .bind(kind)
            .bind(key)
            .bind(now.seconds());
        self.execute(query).await.map(|_| ())
    }

    /// The number of the newest change that is kept; 0 where there is none.
    pub async fn last_change(&mut self) -> Result<i64, Fault> {
        let query = sqlx::query("SELECT COALESCE(MAX(seq), 0) AS seq FROM changes");
        match self.find(query).await? {
            Some(row) => number(&row, "seq"),
            None => Ok(0),
        }
    }

    /// At most `limit` changes after the number `after`, oldest first.
    pub async fn changes_after(
        &mut self,
        after: i64,
        limit: i64,
    ) -> Result<Vec<(i64, Change)>, Fault> {
        let query =
            sqlx::query("SELECT seq, kind, key FROM changes WHERE seq > $1 ORDER BY seq LIMIT $2")
                .bind(after)
                .bind(limit);
        let rows = self.all(query).await?;
        rows.iter()
            .map(|row| {
                let change = Change::parse(&text(row, "kind")?, &text(row, "key")?);
                Ok((number(row, "seq")?, change))
            })
            .collect()
    }

    /// Removes at most `limit` changes made before the time; how many.
    pub async fn prune_changes(&mut self, before: Timestamp, limit: i64) -> Result<u64, Fault> {
        let query = sqlx::query(
            "DELETE FROM changes WHERE seq IN (SELECT seq FROM changes WHERE at < $1 LIMIT $2)",
        )
        .bind(before.seconds())
        .bind(limit);
        self.execute(query).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_read_is_doubted() {
        assert_eq!(Change::parse("user", "7"), Change::User(UserId::new(7)));
        assert_eq!(Change::parse("api_key", "7"), Change::ApiKey(ApiKeyId::new(7)));
        assert_eq!(Change::parse("client", "portal"), Change::Clients);
        for (kind, key) in [
            ("user", "x"),
            ("session", "7"),
            ("api_key", "x"),
            ("tokens", "x 1 2"),
            ("tokens", ""),
            ("something", "7"),
            ("", ""),
        ] {
            assert_eq!(Change::parse(kind, key), Change::Unknown, "{kind} {key}");
        }
    }
}
