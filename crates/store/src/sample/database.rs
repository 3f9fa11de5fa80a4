//! A separate database for each test on the PostgreSQL server of the tests.
//!
//! `scripts/with-servers.sh` starts that server and says where it is. Copying a database that is migrated
//! already is faster than migrating one.

use std::future::Future;

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection as _};

/// What others are copied from.
const TEMPLATE: &str = "guarita_template";
/// Held while something to copy from is made.
const LOCK: i64 = 0x7465_7374;

/// A database that ends with this value.
#[derive(Debug)]
pub struct Database {
    server: String,
    name: String,
}

impl Database {
    /// One that is migrated, where tests are to run on PostgreSQL. `migrate` makes the schema at a URL.
    pub fn create(migrate: impl FnOnce(&str) + Send + 'static) -> Option<Self> {
        Self::copy_of(TEMPLATE, migrate)
    }

    /// One that is as another by that name, which whoever comes first makes at a URL.
    pub fn copy_of(template: &str, make: impl FnOnce(&str) + Send + 'static) -> Option<Self> {
        let database = Self::named(format!("test_{}", uuid::Uuid::new_v4().simple()))?;
        let (server, name) = (database.server.clone(), database.name.clone());
        let template = template.to_owned();
        apart(move |runtime| runtime.block_on(copy(&server, &template, &name, make)));
        Some(database)
    }

    /// One that is empty.
    pub fn empty() -> Option<Self> {
        let database = Self::named(format!("test_{}", uuid::Uuid::new_v4().simple()))?;
        database.on_server(format!("CREATE DATABASE {} TEMPLATE template0", database.name));
        Some(database)
    }

    fn named(name: String) -> Option<Self> {
        let kind = std::env::var_os("TEST_DATABASE")?;
        if kind == "sqlite" {
            return None;
        }
        assert_eq!(kind, "postgres", "TEST_DATABASE is sqlite or postgres");
        let server = std::env::var_os("TEST_POSTGRES");
        let server = server.expect("run the tests by scripts/with-servers.sh");
        Some(Self { server: server.into_string().unwrap(), name })
    }

    /// Where it is.
    pub fn url(&self) -> String {
        at(&self.server, &self.name)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs one statement on the server, outside of this database.
    pub fn on_server(&self, statement: String) {
        execute(&self.server, statement);
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        execute(&self.server, format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name));
    }
}

/// Runs statements at a URL.
pub fn execute(url: &str, statements: String) {
    let url = url.to_owned();
    apart(move |runtime| {
        runtime.block_on(async {
            let mut connection = PgConnection::connect(&url).await.unwrap();
            sqlx::raw_sql(AssertSqlSafe(statements)).execute(&mut connection).await.unwrap();
            connection.close().await.unwrap();
        });
    });
}

/// Another database of the same server.
pub fn at(server: &str, name: &str) -> String {
    let (server, _) = server.rsplit_once('/').unwrap();
    format!("{server}/{name}")
}

async fn copy(server: &str, template: &str, name: &str, make: impl FnOnce(&str) + Send + 'static) {
    let mut connection = PgConnection::connect(server).await.unwrap();
    let run = async |connection: &mut PgConnection, statement: String| {
        sqlx::raw_sql(AssertSqlSafe(statement)).execute(connection).await.unwrap();
    };
    let is_there = async |connection: &mut PgConnection| {
        let query = sqlx::query("SELECT 1 FROM pg_database WHERE datname = $1").bind(template);
        query.fetch_optional(connection).await.unwrap().is_some()
    };
    if !is_there(&mut connection).await {
        run(&mut connection, format!("SELECT pg_advisory_lock({LOCK})")).await;
        if !is_there(&mut connection).await {
            let new = format!("{template}_new");
            run(&mut connection, format!("DROP DATABASE IF EXISTS {new} WITH (FORCE)")).await;
            run(&mut connection, format!("CREATE DATABASE {new} TEMPLATE template0")).await;
            let url = at(server, &new);
            let made = std::thread::spawn(move || make(&url)).join();
            assert!(made.is_ok(), "{template} could not be made");
            let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname";
            run(&mut connection, format!("{end} = '{new}'")).await;
            run(&mut connection, format!("ALTER DATABASE {new} RENAME TO {template}")).await;
        }
        run(&mut connection, format!("SELECT pg_advisory_unlock({LOCK})")).await;
    }
    run(&mut connection, format!("CREATE DATABASE {name} TEMPLATE {template}")).await;
    connection.close().await.unwrap();
}

/// On a thread of its own: a test may be in a runtime already, and the end of a value waits for nothing.
fn apart(work: impl FnOnce(&tokio::runtime::Runtime) + Send + 'static) {
    let done = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        work(&runtime);
    });
    if done.join().is_err() && !std::thread::panicking() {
        panic!("the PostgreSQL server of the tests failed");
    }
}

/// Waits for a future on a thread of its own.
pub fn wait<T, F>(work: impl FnOnce() -> F + Send + 'static) -> T
where
    T: Send + 'static,
    F: Future<Output = T>,
{
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(work())
    })
    .join()
    .unwrap()
}
