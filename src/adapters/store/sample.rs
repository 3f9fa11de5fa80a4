//! A real SQLite file in a directory of its own, for tests of this floor and those above.

use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;

use super::{NewSession, NewUser, Settings, Store};
use crate::model::{Secret, SessionId, Subject, Timestamp, UserId, random};

pub(crate) const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
pub(crate) const DAY: Duration = Duration::from_secs(86_400);

pub(crate) async fn open() -> (TempDir, Store) {
    let directory = tempfile::tempdir().unwrap();
    let store = reopen(directory.path()).await;
    (directory, store)
}

/// As another process on the same file.
pub(crate) async fn reopen(directory: &Path) -> Store {
    let database = format!("sqlite:{}", directory.join("guarita.db").display());
    Store::open(&Settings { database: Secret::new(database) }).await.unwrap()
}

pub(crate) async fn user(store: &Store, name: &str) -> UserId {
    let username = Subject::parse(name).unwrap();
    let password_hash = Secret::new("$argon2id$none");
    let new = NewUser { username: &username, email: None, password_hash: &password_hash };
    let mut transaction = store.begin_write().await.unwrap();
    let id = transaction.insert_user(&new, NOW).await.unwrap().unwrap();
    transaction.commit().await.unwrap();
    id
}

pub(crate) async fn session(store: &Store, user: UserId, expires_at: Timestamp) -> SessionId {
    let id = SessionId::new(random::ordered_uuid());
    let new = NewSession {
        id,
        user,
        expires_at,
        address: None,
        user_agent: None,
        second_factor_at: None,
        cookie_digest: None,
    };
    let mut transaction = store.begin_write().await.unwrap();
    transaction.insert_session(&new, NOW).await.unwrap();
    transaction.commit().await.unwrap();
    id
}

pub(crate) async fn revoke(store: &Store, session: SessionId) {
    let mut transaction = store.begin_write().await.unwrap();
    transaction.revoke_session(session, NOW).await.unwrap();
    transaction.commit().await.unwrap();
}
