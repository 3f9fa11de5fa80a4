use super::*;
use crate::sample::database::{Database, execute};
use crate::{Store, StoreSettings, Transaction};
use guarita_core::{Secret, Timestamp, UserId};

fn settings(url: &str) -> StoreSettings {
    StoreSettings { database: Secret::new(url), wait: Duration::ZERO }
}

#[test]
fn only_a_whole_url_names_a_server() {
    for url in ["postgres://ana:x@db.test/guarita", "postgresql://ana@[::1]:6000/guarita"] {
        assert!(PostgresServer::find(url).unwrap().is_some(), "{url}");
    }
    let socket =
        PostgresServer::find("postgres://ana@%2Frun%2Fpostgresql:5433/guarita").unwrap().unwrap();
    let path = socket.listening().unwrap().0.get_socket().cloned();
    assert_eq!(path.as_deref(), Some(Path::new("/run/postgresql")));
    for url in ["", "sqlite:a.db", "mysql://ana@db.test/guarita"] {
        assert!(PostgresServer::find(url).unwrap().is_none(), "{url}");
    }
    let long = format!("postgres://ana:hunter2@db.test/{}", "x".repeat(MAX_URL));
    for url in [
        "postgres:hunter2",
        "postgres://",
        "postgres://ana:hunter2@db.test",
        "postgres://ana:hunter2@db.test/",
        "postgres://ana:hunter2@db.test/a/b",
        "postgres://:hunter2@db.test/guarita",
        "postgres://ana:hunter2@/guarita",
        "postgres://ana:hunter2@db1.test,db2.test/guarita",
        "postgres://ana:hunter2@db1.test%2Cdb2.test/guarita",
        "postgres://ana:hunter2@db.test:99999/guarita",
        "postgres://ana:hunter2@db.test/guarita?host=/tmp",
        "postgres://ana:hunter2@db.test/guarita?sslmode=no",
        "postgres://ana:hunter2@db.test/guarita?sslmode=verify-full&sslrootcert=ca.pem",
        "postgres://ana:hunter2@db.test/guarita?password=hunter2",
        "postgres://ana:hunter2@db.test/guarita?options=-csearch_path%3Dhunter2",
        "postgres://ana:hunter2@db.test/gua\nrita",
        &long,
    ] {
        let Err(StoreOpenError::Unsupported(told)) = PostgresServer::find(url) else {
            panic!("taken: {url}");
        };
        assert!(!told.contains("hunter2"), "{told}");
    }
}

#[test]
fn what_is_told_of_a_server_holds_no_password() {
    let server = PostgresServer::find("postgres://ana:hunter2@db.test/guarita").unwrap().unwrap();
    assert_eq!(server.place, "postgres://db.test:5432/guarita");
    assert!(!server.refuse(sqlx::Error::PoolTimedOut).to_string().contains("hunter2"));
}

#[test]
fn a_server_that_is_not_verified_is_warned_of() {
    for (url, warned) in [
        ("postgres://ana@db.test/a", true),
        ("postgres://ana@10.0.0.1/a?sslmode=require", true),
        ("postgres://ana@db.test/a?sslmode=verify-full", false),
        ("postgres://ana@localhost/a", false),
        ("postgres://ana@127.0.0.1/a", false),
        ("postgres://ana@[::1]/a", false),
        ("postgres://ana@%2Frun/a", false),
    ] {
        assert_eq!(
            PostgresServer::find(url).unwrap().unwrap().warning().is_some(),
            warned,
            "{url}"
        );
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_waited_for_and_told_without_its_password() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let settings = settings(&format!("postgres://ana:hunter2@127.0.0.1:{port}/guarita"));
    let began = tokio::time::Instant::now();
    let refused = Store::open_within(&settings, Duration::from_secs(1)).await;
    let Err(fault @ StoreOpenError::Unreachable { .. }) = refused else { panic!("{refused:?}") };
    assert!(began.elapsed() >= Duration::from_millis(500), "not waited for");
    assert!(!fault.to_string().contains("hunter2"), "{fault}");
}

async fn opened(database: &Database) -> Store {
    Store::open(&settings(&database.url())).await.unwrap()
}

/// Where the tests run on PostgreSQL: a database without any table.
fn empty() -> Option<Database> {
    Database::empty()
}

#[tokio::test]
async fn ten_processes_may_migrate_one_empty_database_at_once() {
    let Some(database) = empty() else { return };
    assert_eq!(Store::probe(&settings(&database.url())).await.unwrap(), SchemaStatus::Missing);
    let settings_of_all = vec![settings(&database.url()); 10];
    for opened in futures_util::future::join_all(settings_of_all.iter().map(Store::open)).await {
        opened.unwrap();
    }
    let probed = Store::probe(&settings(&database.url())).await.unwrap();
    assert_eq!(probed, SchemaStatus::Ready(None));
}

#[tokio::test]
async fn a_newer_schema_and_one_of_others_are_refused_and_left_alone() {
    let Some(database) = empty() else { return };
    let url = database.url();
    execute(&url, "CREATE TABLE precious (note TEXT)".into());
    opened(&database).await.close().await;
    execute(&url, "UPDATE _sqlx_migrations SET version = 9999 WHERE version = 1".into());
    let refused = Store::open(&settings(&url)).await;
    assert!(matches!(refused, Err(StoreOpenError::Newer { version: 9999, .. })), "{refused:?}");
    let Some(other) = empty() else { return };
    execute(&other.url(), "CREATE TABLE users (name TEXT)".into());
    let refused = Store::open(&settings(&other.url())).await;
    assert!(matches!(refused, Err(StoreOpenError::Migration { .. })), "{refused:?}");
    execute(&other.url(), "INSERT INTO users VALUES ('ana')".into());
}

#[tokio::test]
async fn a_database_in_another_encoding_is_refused() {
    let Some(database) = empty() else { return };
    let name = format!("{}_latin", database.name());
    database.on_server(format!(
        "CREATE DATABASE {name} ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0"
    ));
    let url = crate::sample::database::at(&database.url(), &name);
    let refused = Store::open(&settings(&url)).await;
    database.on_server(format!("DROP DATABASE {name} WITH (FORCE)"));
    assert!(matches!(refused, Err(StoreOpenError::Unsuitable { .. })), "{refused:?}");
}

#[tokio::test]
async fn one_role_may_migrate_and_another_only_serve() {
    let Some(database) = empty() else { return };
    let (url, name) = (database.url(), database.name().to_owned());
    execute(
        &url,
        format!(
            "CREATE ROLE {name}_owner LOGIN; CREATE ROLE {name}_serve LOGIN; \
             CREATE SCHEMA guarita AUTHORIZATION {name}_owner; \
             ALTER DATABASE {name} SET search_path = guarita; \
             GRANT USAGE ON SCHEMA guarita TO {name}_serve; \
             ALTER DEFAULT PRIVILEGES FOR ROLE {name}_owner IN SCHEMA guarita \
             GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {name}_serve"
        ),
    );
    let as_role = |role: &str| settings(&url.replace("//guarita@", &format!("//{name}_{role}@")));
    let refused = Store::open(&as_role("serve")).await;
    assert!(matches!(refused, Err(StoreOpenError::Migration { .. })), "{refused:?}");
    Store::open(&as_role("owner")).await.unwrap().close().await;
    let store = Store::open(&as_role("serve")).await.unwrap();
    let user = crate::sample::user(&store, "ana").await;
    let mut transaction = store.begin_write_for(user).await.unwrap();
    transaction.set_active(user, false, Timestamp::from_seconds(1)).await.unwrap();
    transaction.commit().await.unwrap();
    assert_eq!(store.read().await.unwrap().last_change().await.unwrap(), 1);
    let dropped = sqlx::raw_sql("DROP TABLE users").execute(store.writers()).await;
    assert!(dropped.is_err(), "the serving role must not own the schema");
    store.close().await;
    drop(database);
    let Some(other) = empty() else { return };
    other.on_server(format!("DROP ROLE {name}_owner, {name}_serve"));
}

#[tokio::test]
async fn every_connection_is_told_its_bounds_and_readers_cannot_write() {
    let Some(database) = empty() else { return };
    let store = opened(&database).await;
    for (setting, expected) in [
        ("statement_timeout", "5s"),
        ("lock_timeout", "5s"),
        ("idle_in_transaction_session_timeout", "10s"),
        ("synchronous_commit", "on"),
    ] {
        let query = sqlx::query("SELECT current_setting($1) AS it").bind(setting.to_owned());
        let row = query.fetch_one(store.writers()).await.unwrap();
        assert_eq!(row.try_get::<String, _>("it").unwrap(), expected, "{setting}");
    }
    let mut transaction = store.read().await.unwrap();
    let written = transaction.set_active(UserId::new(1), true, Timestamp::from_seconds(1)).await;
    assert!(matches!(written, Err(crate::StoreError::ReadOnly)), "{written:?}");
}

#[tokio::test]
async fn connections_that_the_server_ended_are_replaced_unnoticed() {
    let Some(database) = empty() else { return };
    let store = opened(&database).await;
    let mut open = Vec::new();
    for _ in 0..READERS {
        open.push(store.read().await.unwrap());
    }
    let write = store.begin_write().await.unwrap();
    drop((open, write));
    for _ in 0..2 {
        database.on_server(format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{}'",
            database.name()
        ));
        for _ in 0..=READERS {
            store.read().await.unwrap().last_change().await.unwrap();
            store.begin_write().await.unwrap().commit().await.unwrap();
            store.follow().await.unwrap().horizon().await.unwrap();
        }
    }
}

#[tokio::test]
async fn after_a_fault_nothing_is_committed() {
    let Some(database) = empty() else { return };
    let store = opened(&database).await;
    let mut transaction = store.begin_write().await.unwrap();
    let now = Timestamp::from_seconds(1);
    transaction.set_active(UserId::new(1), true, now).await.unwrap();
    let divided = transaction.execute(sqlx::query("SELECT 1 / 0")).await;
    assert!(divided.is_err());
    assert!(transaction.commit().await.is_err());
    assert_eq!(store.read().await.unwrap().last_change().await.unwrap(), 0);
}

#[tokio::test]
async fn a_statement_that_takes_too_long_is_ended_by_the_server() {
    let Some(database) = empty() else { return };
    let store = opened(&database).await;
    let began = tokio::time::Instant::now();
    let mut transaction = store.begin_write_within(Duration::from_secs(30)).await.unwrap();
    let slept = transaction.execute(sqlx::query("SELECT 1 FROM pg_sleep(20)")).await;
    assert!(matches!(slept, Err(crate::StoreError::Timeout)), "{slept:?}");
    assert!(began.elapsed() < Duration::from_secs(15));
}

async fn has_begun(beginning: impl Future<Output = Transaction>) -> bool {
    tokio::time::timeout(Duration::from_millis(200), beginning).await.is_ok()
}

#[tokio::test]
async fn transactions_of_one_user_go_one_by_one_and_beside_those_of_others() {
    let Some(database) = empty() else { return };
    let store = opened(&database).await;
    let (ana, bob) = (UserId::new(1), UserId::new(2));
    let of_ana = store.begin_write_for(ana).await.unwrap();
    assert!(!has_begun(async { store.begin_write_for(ana).await.unwrap() }).await);
    store.begin_write_for(bob).await.unwrap().commit().await.unwrap();
    assert!(!has_begun(async { store.begin_write().await.unwrap() }).await);
    drop(of_ana);
    let of_all = store.begin_write().await.unwrap();
    assert!(!has_begun(async { store.begin_write_for(ana).await.unwrap() }).await);
    assert!(!has_begun(async { store.begin_write().await.unwrap() }).await);
    of_all.commit().await.unwrap();
    store.begin_write_for(ana).await.unwrap().commit().await.unwrap();
}

#[test]
fn what_listens_prints_no_password() {
    let server =
        PostgresServer::find("postgres://serve:hunter2hunter2@127.0.0.1:1/guarita").unwrap();
    let listening = server.unwrap().listening().unwrap();
    for printed in [format!("{listening:?}"), format!("{:#?}", Some(listening))] {
        assert!(!printed.contains("hunter2"), "{printed}");
    }
}

/// On PostgreSQL its URL has one.
#[tokio::test]
async fn a_store_prints_nothing_of_where_it_is() {
    let (directory, store) = crate::sample::open().await;
    let printed = format!("{store:?}");
    let database = crate::sample::database_at(directory.path());
    let authority = database.split('@').next().unwrap();
    let password = authority.rsplit(':').next().unwrap();
    assert!(!printed.contains("password"), "{printed}");
    assert!(!printed.contains(&format!("{password:?}")), "{printed}");
}
