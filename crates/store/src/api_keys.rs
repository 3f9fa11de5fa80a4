//! Table `api_keys`.

use ipnet::IpNet;
use sqlx::any::AnyRow;

use super::transaction::{number, optional_time, text, time};
use super::{StoreError, Transaction};
use guarita_core::{ApiKeyId, ApiKeyName, Roles, Scopes, Timestamp};

/// Maximum number of rows per statement.
const MOST: i64 = 1_000;

/// The metadata of a key, without the key itself.
#[derive(Debug, Clone)]
pub struct ApiKey {
    /// Its id.
    pub id: ApiKeyId,
    /// The name. Two valid keys can have the same name.
    pub name: ApiKeyName,
    /// The displayed prefix.
    pub prefix: String,
    /// The roles.
    pub roles: Roles,
    /// The scopes.
    pub scopes: Scopes,
    /// Networks that it may be used from; empty for any address.
    pub networks: Vec<IpNet>,
    /// When it was created.
    pub created_at: Timestamp,
    /// Expired from this second on.
    pub expires_at: Option<Timestamp>,
    /// When it was revoked, if it was.
    pub revoked_at: Option<Timestamp>,
    /// The last recorded use.
    pub last_used_at: Option<Timestamp>,
}

impl ApiKey {
    /// Neither revoked nor expired.
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|end| now < end)
    }
}

/// A new key.
#[derive(Debug)]
pub struct NewApiKey<'a> {
    /// The name.
    pub name: &'a ApiKeyName,
    /// The displayed prefix.
    pub prefix: &'a str,
    /// Its SHA-256 in base64url.
    pub digest: String,
    /// The roles.
    pub roles: &'a Roles,
    /// The scopes.
    pub scopes: &'a Scopes,
    /// Networks that it may be used from; empty for any address.
    pub networks: &'a [IpNet],
    /// When it expires.
    pub expires_at: Option<Timestamp>,
}

/// A selection of keys.
#[derive(Debug, Clone)]
pub enum WhichKeys {
    /// By id.
    Id(ApiKeyId),
    /// By displayed prefix.
    Prefix(String),
    /// By SHA-256.
    Digest(String),
    /// All of a name.
    Name(ApiKeyName),
}

fn id(row: &AnyRow) -> Result<ApiKeyId, StoreError> {
    number(row, "id").map(ApiKeyId::new)
}

/// The parts of a joined text; none if it is empty.
fn parts(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').filter(|part| !part.is_empty())
}

/// The columns that `api_key` reads.
macro_rules! columns {
    () => {
        "id, name, prefix, roles, scopes, networks, created_at, expires_at, revoked_at, last_used_at"
    };
}

fn api_key(row: &AnyRow) -> Result<ApiKey, StoreError> {
    let networks = text(row, "networks")?;
    let networks = parts(&networks).map(str::parse).collect::<Result<_, _>>();
    Ok(ApiKey {
        id: id(row)?,
        name: ApiKeyName::parse(&text(row, "name")?)
            .map_err(|_| StoreError::Invalid("name of an API key"))?,
        prefix: text(row, "prefix")?,
        roles: Roles::parse(parts(&text(row, "roles")?))
            .map_err(|_| StoreError::Invalid("role"))?,
        scopes: Scopes::parse_list(&text(row, "scopes")?)
            .map_err(|_| StoreError::Invalid("scope"))?,
        networks: networks.map_err(|_| StoreError::Invalid("network"))?,
        created_at: time(row, "created_at")?,
        expires_at: optional_time(row, "expires_at")?,
        revoked_at: optional_time(row, "revoked_at")?,
        last_used_at: optional_time(row, "last_used_at")?,
    })
}

impl Transaction {
    /// Adds a key; [`None`] if there are already `most` valid keys of its name. No notification is needed, because nobody
    /// can have looked it up before.
    pub async fn insert_api_key(
        &mut self,
        new: &NewApiKey<'_>,
        most: i64,
        now: Timestamp,
    ) -> Result<Option<ApiKeyId>, StoreError> {
        let networks: Vec<String> = new.networks.iter().map(ToString::to_string).collect();
        let query = sqlx::query(
            "INSERT INTO api_keys (name, prefix, digest, roles, scopes, networks, created_at, \
             expires_at) SELECT $1, $2, $3, $4, $5, $6, $7, $8 WHERE (SELECT COUNT(*) \
             FROM api_keys WHERE name = $9 AND revoked_at IS NULL \
             AND (expires_at IS NULL OR expires_at > $10)) < $11 RETURNING id",
        )
        .bind(new.name.as_str().to_owned())
        .bind(new.prefix.to_owned())
        .bind(new.digest.clone())
        .bind(new.roles.iter().collect::<Vec<_>>().join(","))
        .bind(new.scopes.to_string())
        .bind(networks.join(","))
        .bind(now.seconds())
        .bind(new.expires_at.map(Timestamp::seconds))
        .bind(new.name.as_str().to_owned())
        .bind(now.seconds())
        .bind(most);
        self.find(query).await?.as_ref().map(id).transpose()
    }

    /// The key with this digest, also if it is no longer valid.
    pub async fn find_api_key_by_digest(
        &mut self,
        digest: String,
    ) -> Result<Option<ApiKey>, StoreError> {
        let query = sqlx::query(concat!("SELECT ", columns!(), " FROM api_keys WHERE digest = $1"))
            .bind(digest);
        self.find(query).await?.as_ref().map(api_key).transpose()
    }

    /// The key with this id, also if it is no longer valid.
    pub async fn find_api_key(&mut self, key: ApiKeyId) -> Result<Option<ApiKey>, StoreError> {
        let query = sqlx::query(concat!("SELECT ", columns!(), " FROM api_keys WHERE id = $1"))
            .bind(key.get());
        self.find(query).await?.as_ref().map(api_key).transpose()
    }

    /// At most 1,000 keys with ids above `after`, in the order of ids; including revoked ones if `revoked`.
    pub async fn list_api_keys(
        &mut self,
        after: ApiKeyId,
        revoked: bool,
    ) -> Result<Vec<ApiKey>, StoreError> {
        let query = sqlx::query(concat!(
            "SELECT ",
            columns!(),
            " FROM api_keys WHERE id > $1 AND (revoked_at IS NULL OR $2 = 1) \
             ORDER BY id LIMIT $3"
        ))
        .bind(after.get())
        .bind(i64::from(revoked))
        .bind(MOST);
        self.all(query).await?.iter().map(api_key).collect()
    }

    /// Revokes keys; returns those that were not revoked yet.
    pub async fn revoke_api_keys(
        &mut self,
        which: &WhichKeys,
        now: Timestamp,
    ) -> Result<Vec<ApiKeyId>, StoreError> {
        let query = match which {
            WhichKeys::Id(key) => sqlx::query(
                "UPDATE api_keys SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL \
                 RETURNING id",
            )
            .bind(key.get()),
            WhichKeys::Prefix(prefix) => sqlx::query(
                "UPDATE api_keys SET revoked_at = $2 WHERE prefix = $1 AND revoked_at IS NULL \
                 RETURNING id",
            )
            .bind(prefix.clone()),
            WhichKeys::Digest(digest) => sqlx::query(
                "UPDATE api_keys SET revoked_at = $2 WHERE digest = $1 AND revoked_at IS NULL \
                 RETURNING id",
            )
            .bind(digest.clone()),
            WhichKeys::Name(name) => sqlx::query(
                "UPDATE api_keys SET revoked_at = $2 WHERE name = $1 AND revoked_at IS NULL \
                 RETURNING id",
            )
            .bind(name.as_str().to_owned()),
        };
        let rows = self.all(query.bind(now.seconds())).await?;
        let revoked = rows.iter().map(id).collect::<Result<Vec<_>, _>>()?;
        for key in &revoked {
            self.append_api_key_change(*key, now).await?;
        }
        Ok(revoked)
    }

    /// Records the use of a key.
    pub async fn note_use_of_api_key(
        &mut self,
        key: ApiKeyId,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let query = sqlx::query(
            "UPDATE api_keys SET last_used_at = $2 \
             WHERE id = $1 AND (last_used_at IS NULL OR last_used_at < $3)",
        )
        .bind(key.get())
        .bind(now.seconds())
        .bind(now.seconds());
        self.execute(query).await.map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;
    use crate::sample::NOW;
    use std::time::Duration;

    async fn insert(
        transaction: &mut Transaction,
        name: &str,
        digest: &str,
        expires_at: Option<Timestamp>,
    ) -> Option<ApiKeyId> {
        let new = NewApiKey {
            name: &ApiKeyName::parse(name).unwrap(),
            prefix: "gua_ABCDEFGH",
            digest: digest.to_owned(),
            roles: &Roles::parse(["b", "a"]).unwrap(),
            scopes: &Scopes::parse(["orders:read", "orders:write"]).unwrap(),
            networks: &["10.0.0.0/8".parse().unwrap(), "2001:db8::/32".parse().unwrap()],
            expires_at,
        };
        transaction.insert_api_key(&new, 2, NOW).await.unwrap()
    }

    #[tokio::test]
    async fn a_key_is_read_as_it_was_written() {
        let (_directory, store) = sample::open().await;
        let mut transaction = store.begin_write().await.unwrap();
        let id = insert(&mut transaction, "jobs", "one", None).await.unwrap();
        transaction.note_use_of_api_key(id, NOW).await.unwrap();
        transaction.note_use_of_api_key(id, NOW.minus(Duration::from_secs(1))).await.unwrap();
        let key = transaction.find_api_key(id).await.unwrap().unwrap();
        assert_eq!((key.name.as_str(), key.prefix.as_str()), ("jobs", "gua_ABCDEFGH"));
        assert_eq!(key.roles.header(), "a,b");
        assert_eq!(key.scopes.to_string(), "orders:read orders:write");
        assert_eq!(key.networks.len(), 2);
        assert_eq!((key.created_at, key.last_used_at), (NOW, Some(NOW)));
        assert!(key.is_live(NOW));
        let found = transaction.find_api_key_by_digest("one".into()).await.unwrap();
        assert_eq!(found.unwrap().id, id);
        assert!(transaction.find_api_key_by_digest("two".into()).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn of_one_name_two_count_and_those_that_ended_do_not() {
        let (_directory, store) = sample::open().await;
        let mut transaction = store.begin_write().await.unwrap();
        let first = insert(&mut transaction, "jobs", "1", None).await.unwrap();
        insert(&mut transaction, "jobs", "2", Some(NOW)).await.unwrap();
        insert(&mut transaction, "jobs", "3", None).await.unwrap();
        assert!(insert(&mut transaction, "jobs", "4", None).await.is_none());
        assert!(insert(&mut transaction, "Jobs", "5", None).await.is_some(), "another name");
        let before = transaction.last_change().await.unwrap();
        let revoked = transaction.revoke_api_keys(&WhichKeys::Id(first), NOW).await.unwrap();
        assert_eq!(revoked, [first]);
        assert!(transaction.last_change().await.unwrap() > before, "nobody learns of it");
        let again = transaction.revoke_api_keys(&WhichKeys::Id(first), NOW).await.unwrap();
        assert!(again.is_empty());
        assert!(insert(&mut transaction, "jobs", "6", None).await.is_some());
        let name = ApiKeyName::parse("jobs").unwrap();
        let all = transaction.revoke_api_keys(&WhichKeys::Name(name), NOW).await.unwrap();
        assert_eq!(all.len(), 3);
        let list = async |transaction: &mut Transaction, revoked| {
            transaction.list_api_keys(ApiKeyId::new(0), revoked).await.unwrap().len()
        };
        assert_eq!(list(&mut transaction, false).await, 1);
        assert_eq!(list(&mut transaction, true).await, 5);
    }
}
