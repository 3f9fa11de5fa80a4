use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use super::*;
use crate::{Store, StoreSettings};
use guarita_core::Secret;

fn settings(path: &Path) -> StoreSettings {
    StoreSettings {
        database: Secret::new(format!("sqlite:{}", path.display())),
        wait: Duration::ZERO,
    }
}

#[tokio::test]
async fn a_missing_file_is_made_for_the_owner_only_and_opens_again() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("new dir/100%/guarita.db");
    Store::open(&settings(&path)).await.unwrap().close().await;
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let store = Store::open(&settings(&path)).await.unwrap();
    let mut connection = store.writers().acquire().await.unwrap();
    for (pragma, expected) in [("PRAGMA synchronous", 2), ("PRAGMA foreign_keys", 1)] {
        let row = sqlx::query(pragma).fetch_one(&mut *connection).await.unwrap();
        assert_eq!(row.try_get::<i64, _>(0).unwrap(), expected, "{pragma}");
    }
    let row = sqlx::query("PRAGMA journal_mode").fetch_one(&mut *connection).await.unwrap();
    assert_eq!(row.try_get::<String, _>(0).unwrap(), "wal");
    let mut connection = store.readers().acquire().await.unwrap();
    let written = sqlx::query("DELETE FROM users").execute(&mut *connection).await;
    assert!(written.is_err(), "a reader cannot write");
}

#[tokio::test]
async fn a_file_with_other_contents_is_refused_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("guarita.db");
    std::fs::write(&path, "precious notes, not a database").unwrap();
    let refused = Store::open(&settings(&path)).await;
    assert!(matches!(refused, Err(StoreOpenError::NotADatabase(_))), "{refused:?}");
    assert_eq!(std::fs::read(&path).unwrap(), b"precious notes, not a database");
}

#[tokio::test]
async fn a_damaged_file_is_refused_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("guarita.db");
    Store::open(&settings(&path)).await.unwrap().close().await;
    let mut contents = std::fs::read(&path).unwrap();
    contents[100..].fill(0xa5);
    std::fs::write(&path, &contents).unwrap();
    let refused = Store::open(&settings(&path)).await;
    assert!(matches!(refused, Err(StoreOpenError::Damaged { .. })), "{refused:?}");
    assert!(std::fs::read(&path).unwrap() == contents, "overwritten");
}

#[tokio::test]
async fn a_newer_schema_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("guarita.db");
    let store = Store::open(&settings(&path)).await.unwrap();
    let mut connection = store.writers().acquire().await.unwrap();
    sqlx::query("UPDATE _sqlx_migrations SET version = 9999 WHERE version = 1")
        .execute(&mut *connection)
        .await
        .unwrap();
    drop(connection);
    store.close().await;
    let refused = Store::open(&settings(&path)).await;
    assert!(matches!(refused, Err(StoreOpenError::Newer { version: 9999, .. })), "{refused:?}");
}

#[tokio::test]
async fn a_look_makes_and_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("guarita.db");
    assert_eq!(Store::probe(&settings(&path)).await.unwrap(), SchemaStatus::Missing);
    assert!(!path.exists());
    std::fs::write(&path, "").unwrap();
    assert_eq!(Store::probe(&settings(&path)).await.unwrap(), SchemaStatus::Outdated);
    Store::open(&settings(&path)).await.unwrap().close().await;
    assert_eq!(Store::probe(&settings(&path)).await.unwrap(), SchemaStatus::Ready(None));
    std::fs::write(&path, "notes").unwrap();
    assert!(Store::probe(&settings(&path)).await.is_err());
}

#[tokio::test]
async fn a_place_that_cannot_hold_a_file_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    std::fs::write(&file, "").unwrap();
    for path in [file.join("below/guarita.db"), directory.path().to_owned()] {
        let refused = Store::open(&settings(&path)).await;
        assert!(matches!(refused, Err(StoreOpenError::Inaccessible { .. })), "{refused:?}");
    }
}

#[tokio::test]
async fn a_full_disk_is_named_and_leaves_what_was_there() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(&settings(&directory.path().join("guarita.db"))).await.unwrap();
    let mut connection = store.writers().acquire().await.unwrap();
    sqlx::query("PRAGMA max_page_count = 1").fetch_all(&mut *connection).await.unwrap();
    drop(connection);
    let user = guarita_core::UserId::new(1);
    let now = guarita_core::Timestamp::from_seconds(1);
    let fault = loop {
        let mut transaction = store.begin_write().await.unwrap();
        if let Err(fault) = transaction.set_active(user, false, now).await {
            break fault;
        }
        transaction.commit().await.unwrap();
    };
    assert!(matches!(fault, StoreError::Full), "{fault:?}");
    assert!(store.read().await.unwrap().last_change().await.unwrap() > 0);
}
