//! A real database per test: an SQLite file, or a database on the PostgreSQL server of the tests.

use std::ops::Deref;
use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;

use self::database::Database;
use super::{NewSession, NewUser, Store, StoreSettings};
use guarita_core::{Secret, SessionId, Subject, Timestamp, UserId, random};

pub mod database;

pub const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
pub const DAY: Duration = Duration::from_secs(86_400);

/// A directory, and the database that may end with it.
#[derive(Debug)]
pub struct SampleStore {
    directory: TempDir,
    _database: Option<Database>,
}

impl Deref for SampleStore {
    type Target = TempDir;

    fn deref(&self) -> &TempDir {
        &self.directory
    }
}

impl SampleStore {
    pub fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let database = Database::create(|url| {
            let settings = settings(url.to_owned());
            database::wait(async move || {
                Store::open(&settings).await.unwrap().close().await;
            });
        });
        if let Some(database) = &database {
            std::fs::write(directory.path().join("database.url"), database.url()).unwrap();
        }
        Self { directory, _database: database }
    }
}

fn settings(database: String) -> StoreSettings {
    StoreSettings { database: Secret::new(database), wait: Duration::ZERO }
}

/// What a configuration says of the database of that place.
pub fn database_at(directory: &Path) -> String {
    std::fs::read_to_string(directory.join("database.url"))
        .unwrap_or_else(|_| format!("sqlite:{}", directory.join("guarita.db").display()))
}

/// Whether the database of that place is on a PostgreSQL server.
pub fn is_postgres(directory: &Path) -> bool {
    database_at(directory).starts_with("postgres:")
}

pub async fn open() -> (SampleStore, Store) {
    let place = SampleStore::new();
    let store = reopen(place.path()).await;
    (place, store)
}

/// As another process on the same database.
pub async fn reopen(directory: &Path) -> Store {
    Store::open(&settings(database_at(directory))).await.unwrap()
}

pub async fn user(store: &Store, name: &str) -> UserId {
    let username = Subject::parse(name).unwrap();
    let password_hash = Secret::new("$argon2id$none");
    let new = NewUser { username: &username, email: None, password_hash: &password_hash };
    let mut transaction = store.begin_write().await.unwrap();
    let id = transaction.insert_user(&new, NOW).await.unwrap().unwrap();
    transaction.commit().await.unwrap();
    id
}

pub async fn session(store: &Store, user: UserId, expires_at: Timestamp) -> SessionId {
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

/// As if the changes that there are had been noted so much earlier, by the clock of the database.
pub async fn age_changes(store: &Store, by: Duration) {
    let by = i64::try_from(by.as_millis()).unwrap();
    let query = sqlx::query("UPDATE changes SET noted_ms = noted_ms - $1").bind(by);
    query.execute(store.writers()).await.unwrap();
}

pub async fn revoke(store: &Store, session: SessionId) {
    let mut transaction = store.begin_write().await.unwrap();
    transaction.revoke_session(session, NOW).await.unwrap();
    transaction.commit().await.unwrap();
}
