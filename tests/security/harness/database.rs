//! The gateway's SQLite file, touched from another process.

use std::path::Path;
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use super::gateway::Gateway;
use super::wait::within;

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

/// Runs one statement; the rows, with `|` between columns.
pub async fn execute(file: &Path, statement: &str) -> Vec<String> {
    let output = Command::new("python3").args(["-c", EXECUTE]).arg(file).arg(statement).output();
    let output = within("a statement", output).await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}

/// The right to write, held until this value is dropped.
pub struct WriteLock(Child);

impl WriteLock {
    pub async fn hold(file: &Path) -> Self {
        Self(holding(HOLD, file).await)
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
    let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
    let said = within("the lock", lines.next_line()).await.unwrap();
    assert_eq!(said.as_deref(), Some("held"));
    process
}

/// Locks the index of SQLite's log (bytes 120 to 127 of the `-shm` file), so that no process can begin to
/// read or write, until its input ends.
const SEIZE: &str = "import fcntl, sys
file = open(sys.argv[1], 'r+b')
fcntl.lockf(file, fcntl.LOCK_EX, 8, 120)
print('held', flush=True)
sys.stdin.read()";

/// Nobody can read or write a gateway's database while this lives.
pub struct Seized {
    _process: Child,
}

/// Takes the database away from everybody.
pub async fn seize(gateway: &Gateway) -> Seized {
    Seized { _process: holding(SEIZE, &gateway.data().join("guarita.db-shm")).await }
}
