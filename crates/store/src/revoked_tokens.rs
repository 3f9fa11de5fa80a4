//! Table `revoked_tokens`.

use sqlx::any::AnyRow;

use super::transaction::{text, time};
use super::{StoreError, Transaction};
use guarita_core::Timestamp;
use guarita_core::revocation_key::{RevocationKey, RevocationKeys, RevokedMark};

fn revoked(row: &AnyRow) -> Result<RevokedMark, StoreError> {
    Ok(RevokedMark {
        mark: RevocationKey::parse(&text(row, "mark")?)
            .ok_or(StoreError::Invalid("mark of a token"))?,
        revoked_at: time(row, "revoked_at")?,
        keep_until: time(row, "keep_until")?,
    })
}

impl Transaction {
    /// Revokes tokens with this key. An existing revocation is merged.
    pub async fn revoke_tokens(
        &mut self,
        revoked: RevokedMark,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let query = sqlx::query(
            "INSERT INTO revoked_tokens (mark, revoked_at, keep_until) VALUES ($1, $2, $3) \
             ON CONFLICT (mark) DO UPDATE SET \
             revoked_at = CASE WHEN revoked_tokens.revoked_at > excluded.revoked_at \
             THEN revoked_tokens.revoked_at ELSE excluded.revoked_at END, \
             keep_until = CASE WHEN revoked_tokens.keep_until > excluded.keep_until \
             THEN revoked_tokens.keep_until ELSE excluded.keep_until END",
        )
        .bind(revoked.mark.text())
        .bind(revoked.revoked_at.seconds())
        .bind(revoked.keep_until.seconds());
        self.execute(query).await?;
        self.append_token_change(revoked, now).await
    }

    /// Whether a token with these keys is revoked.
    pub async fn are_tokens_revoked(&mut self, marks: &RevocationKeys) -> Result<bool, StoreError> {
        let mut found = Vec::new();
        for mark in marks.iter() {
            let query = sqlx::query(
                "SELECT mark, revoked_at, keep_until FROM revoked_tokens WHERE mark = $1",
            );
            found.extend(
                self.find(query.bind(mark.text())).await?.as_ref().map(revoked).transpose()?,
            );
        }
        Ok(marks.are_revoked(|mark| found.iter().find(|it| it.mark == *mark).copied()))
    }

    /// At most `limit` keys after this one, in order.
    pub async fn list_revoked_tokens(
        &mut self,
        after: Option<RevocationKey>,
        limit: i64,
    ) -> Result<Vec<RevokedMark>, StoreError> {
        let query =
            sqlx::query("SELECT mark, revoked_at, keep_until FROM revoked_tokens WHERE mark > $1 ORDER BY mark LIMIT $2")
                .bind(after.map(|mark| mark.text()).unwrap_or_default())
                .bind(limit);
        self.all(query).await?.iter().map(revoked).collect()
    }

    /// Removes at most `limit` expired revocations; returns how many.
    pub async fn prune_revoked_tokens(
        &mut self,
        now: Timestamp,
        limit: i64,
    ) -> Result<u64, StoreError> {
        let query = sqlx::query(
            "DELETE FROM revoked_tokens WHERE mark IN \
             (SELECT mark FROM revoked_tokens WHERE keep_until < $1 LIMIT $2)",
        )
        .bind(now.seconds())
        .bind(limit);
        self.execute(query).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Change;
    use crate::sample;
    use crate::sample::{DAY, NOW};
    use guarita_core::revocation_key::MarkKind;

    fn mark(value: &str) -> RevocationKey {
        RevocationKey::of("i", MarkKind::Session, value)
    }

    #[tokio::test]
    async fn what_is_revoked_is_told_to_others_kept_and_pruned() {
        let (_directory, store) = sample::open().await;
        let mut transaction = store.begin_write().await.unwrap();
        let first = RevokedMark::now(mark("a"), NOW);
        transaction.revoke_tokens(first, NOW).await.unwrap();
        let earlier = RevokedMark::now(mark("a"), NOW.minus(DAY));
        transaction.revoke_tokens(earlier, NOW).await.unwrap();
        let listed = transaction.list_revoked_tokens(None, 10).await.unwrap();
        assert_eq!(listed, [first], "the later moment stays");
        let changes = transaction.changes_after(0, 10).await.unwrap();
        let changes: Vec<_> = changes.into_iter().map(|noted| noted.change).collect();
        assert_eq!(changes, [Change::Tokens(first), Change::Tokens(earlier)]);
        let kept = first.keep_until;
        assert_eq!(transaction.prune_revoked_tokens(kept, 10).await.unwrap(), 0);
        assert_eq!(transaction.prune_revoked_tokens(kept.plus(DAY), 10).await.unwrap(), 1);
    }

    #[tokio::test]
    async fn all_are_listed_in_pages() {
        let (_directory, store) = sample::open().await;
        let mut transaction = store.begin_write().await.unwrap();
        for number in 0..7 {
            let revoked = RevokedMark::now(mark(&number.to_string()), NOW);
            transaction.revoke_tokens(revoked, NOW).await.unwrap();
        }
        let (mut after, mut seen) = (None, 0);
        loop {
            let page = transaction.list_revoked_tokens(after, 3).await.unwrap();
            let Some(last) = page.last() else { break };
            after = Some(last.mark);
            seen += page.len();
        }
        assert_eq!(seen, 7);
    }
}
