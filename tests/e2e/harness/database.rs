//! The gateway's database, touched from another process: its SQLite file, or its database on the PostgreSQL
//! server of the tests.

use std::path::Path;
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, Command};

use super::gateway::Gateway;
use super::migration::migrate;
use super::sample_database::{self, Database};
use super::wait::within;

/// Beside the configuration, where the tests run on PostgreSQL.
const URL: &str = "database.url";

const EXECUTE: &str = r"
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], timeout=10)
for row in connection.execute(sys.argv[2]).fetchall():
    print('|'.join(str(column) for column in row))
connection.commit()
";

const HOLD: &str = r"
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], timeout=10, isolation_level=None)
connection.execute('BEGIN IMMEDIATE')
print('held', flush=True)
sys.stdin.read()
";

/// The lock of whoever writes (`src/adapters/store/dialect.rs`), and a connection that keeps it.
const HOLD_ON_SERVER: &str = "SELECT 'held' FROM pg_advisory_lock(1735745906);\n";

/// Whether the tests run on PostgreSQL.
pub fn is_postgres() -> bool {
    std::env::var_os("TEST_DATABASE").is_some_and(|kind| kind == "postgres")
}

/// The Redis server that goes with it.
pub fn redis() -> String {
    let redis = std::env::var_os("TEST_REDIS").expect("run the tests by scripts/with-servers.sh");
    redis.into_string().unwrap()
}

/// A migrated database of one's own, where the tests run on PostgreSQL.
pub fn create() -> Option<Database> {
    Database::create(migrate)
}

/// Notes where the database of a directory is.
pub fn note(directory: &Path, url: &str) {
    std::fs::write(directory.join(URL), url).unwrap();
}

/// Where the database is that a gateway has beside or instead of this SQLite file.
fn url_of(file: &Path) -> Option<String> {
    std::fs::read_to_string(file.parent()?.parent()?.join(URL)).ok()
}

/// Runs one statement; the rows, with `|` between columns.
pub async fn execute(file: &Path, statement: &str) -> Vec<String> {
    let mut command = match url_of(file) {
        None => {
            let mut command = Command::new("python3");
            command.args(["-c", EXECUTE]).arg(file).arg(statement);
            command
        }
        Some(url) => {
            let mut command = Command::new("psql");
            command.args(["-XqAt", "-v", "ON_ERROR_STOP=1", "-c", statement, &url]);
            command
        }
    };
    let output = within("a statement", command.output()).await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}

/// All that rests in a gateway's database, by names for whoever finds something there.
pub async fn content(gateway: &Gateway) -> Vec<(String, Vec<u8>)> {
    if let Some(url) = url_of(&gateway.data().join("guarita.db")) {
        let dumped = Command::new("pg_dump").args(["--inserts", &url]).output();
        let dumped = within("a dump", dumped).await.unwrap();
        assert!(dumped.status.success(), "{}", String::from_utf8_lossy(&dumped.stderr));
        return vec![("the database".to_owned(), dumped.stdout)];
    }
    ["guarita.db", "guarita.db-wal"]
        .map(|name| {
            let bytes = std::fs::read(gateway.data().join(name)).unwrap_or_default();
            (name.to_owned(), bytes)
        })
        .into()
}

/// The right to write, held until this value is dropped.
pub struct WriteLock(Child);

impl WriteLock {
    pub async fn hold(file: &Path) -> Self {
        let Some(url) = url_of(file) else { return Self(holding(HOLD, file).await) };
        let mut process = Command::new("psql")
            .args(["-XqAt", &url])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("psql is needed");
        process.stdin.as_mut().unwrap().write_all(HOLD_ON_SERVER.as_bytes()).await.unwrap();
        held(&mut process).await;
        Self(process)
    }

    pub async fn release(mut self) {
        self.0.kill().await.unwrap();
    }
}

/// A process that took a lock and keeps it.
async fn holding(script: &str, file: &Path) -> Child {
    let mut process = Command::new("python3")
        .args(["-c", script])
        .arg(file)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("python3 is needed");
    held(&mut process).await;
    process
}

async fn held(process: &mut Child) {
    let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
    let said = within("the lock", lines.next_line()).await.unwrap();
    assert_eq!(said.as_deref(), Some("held"));
}

/// Locks the index of SQLite's log (bytes 120 to 127 of the `-shm` file), so that no process can begin to
/// read or write, until its input ends.
const SEIZE: &str = "import fcntl, sys
file = open(sys.argv[1], 'r+b')
fcntl.lockf(file, fcntl.LOCK_EX, 8, 120)
print('held', flush=True)
sys.stdin.read()";

/// Nobody can read or write a gateway's database while this lives.
pub enum Seized {
    File { _process: Child },
    Server { url: String },
}

/// Takes the database away from everybody.
pub async fn seize(gateway: &Gateway) -> Seized {
    match url_of(&gateway.data().join("guarita.db")) {
        None => {
            let file = gateway.data().join("guarita.db-shm");
            Seized::File { _process: holding(SEIZE, &file).await }
        }
        Some(url) => {
            let (_, name) = url.rsplit_once('/').unwrap();
            admit(&url, false);
            let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname";
            sample_database::execute(
                &sample_database::at(&url, "postgres"),
                format!("{end} = '{name}'"),
            );
            Seized::Server { url }
        }
    }
}

fn admit(url: &str, admitted: bool) {
    let (_, name) = url.rsplit_once('/').unwrap();
    let statement = format!("ALTER DATABASE {name} WITH ALLOW_CONNECTIONS {admitted}");
    sample_database::execute(&sample_database::at(url, "postgres"), statement);
}

impl Drop for Seized {
    fn drop(&mut self) {
        if let Self::Server { url } = self {
            admit(url, true);
        }
    }
}
