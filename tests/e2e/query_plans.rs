//! What a login, a refresh, a session that a gateway does not know and a sweep ask of a large database: every
//! statement that the gateway itself sent finds its rows by an index.

mod filling;
mod plans;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use self::filling::{LARGE, Source, statements};
use self::plans::{Seen, seen};
use crate::harness::authenticator::{CHALLENGE, CONFIRM, completion, with_factors};
use crate::harness::postgres::Server;
use crate::harness::wait::until;
use crate::harness::{
    Authenticator, Gateway, Persona, Request, Setup, Upstream, database, password_of,
};

/// Rows that one statement may pass by or read of a large table: what one transaction of a sweep removes.
const MOST_ROWS: f64 = 2_000.0;

/// The server logs each statement with its plan, as it was executed.
const EXPLAINING: &str = "-c shared_preload_libraries=auto_explain -c auto_explain.log_min_duration=0 \
    -c auto_explain.log_format=json -c auto_explain.log_analyze=on \
    -c auto_explain.log_nested_statements=on -c log_line_prefix=%a, -c autovacuum=off \
    -c shared_buffers=512MB -c maintenance_work_mem=256MB -c wal_level=minimal -c max_wal_senders=0 \
    -c max_wal_size=1GB -c synchronous_commit=off -c full_page_writes=off";

fn setup(upstream: &Upstream) -> Setup {
    with_factors(Setup::standard(&upstream.url())).set("tokens.refresh_grace", "\"60s\"")
}

/// All that is asked while somebody logs in, comes back and goes, at a node that knows nothing yet.
async fn walk(fresh: &Gateway, known: &Persona) {
    // A session that this node never saw, and one that there is not.
    let known = fresh.anonymous().like(known);
    assert_eq!(known.get("/api/x").await.status, 200);
    assert_eq!(known.refresh().await.status, 200);
    assert_eq!(known.refresh().await.status, 200, "in the grace");
    let anonymous = fresh.anonymous();
    assert_eq!(anonymous.log_in("alice", "wrong, and long enough").await.status, 401);
    assert_eq!(anonymous.log_in("nobody", &password_of("alice")).await.status, 401);
    let alice = fresh.bearer("alice").await;
    assert_eq!(alice.get("/auth/sessions").await.status, 200);
    let factor = Authenticator::begin(&alice).await;
    let codes: Value = loop {
        let confirmed = alice.post(CONFIRM, &json!({ "code": factor.code(-1) })).await;
        if confirmed.status == 200 {
            break confirmed.json()["recoveryCodes"].clone();
        }
    };
    for number in 0..2 {
        let began = anonymous.log_in("alice", &password_of("alice")).await;
        let ticket = began.json()["mfaToken"].as_str().unwrap().to_owned();
        let body = match number {
            0 => completion(&ticket, "recovery_code", codes[0].as_str().unwrap()),
            _ => completion(&ticket, "totp", &factor.code(0)),
        };
        let opened = anonymous.post(CHALLENGE, &body).await;
        assert_eq!(opened.status, 200, "{}", opened.text());
        let opened = anonymous.holding(&opened.json());
        let closed = match number {
            0 => opened.log_out().await,
            _ => opened.send(Request::post("/auth/logout-all").body("")).await,
        };
        assert_eq!(closed.status, 204, "{}", closed.text());
    }
}

/// What a gateway asked of a PostgreSQL server with so many sessions: each statement, with what came of it.
async fn asked_of_postgres(sessions: u64) -> BTreeMap<String, Seen> {
    let (server, upstream) = (Server::start(EXPLAINING), Upstream::start().await);
    let one =
        setup(&upstream).set("store.database", &format!("\"{}\"", server.url())).start().await;
    let known = one.bearer("alice").await;
    let began = std::time::Instant::now();
    let fill: Vec<String> = statements(Source::Series, sessions);
    server.execute(&format!(
        "SET session_replication_role = replica; SET statement_timeout = 0; {}; ANALYZE",
        fill.join("; ")
    ));
    eprintln!("{sessions} sessions and what belongs to them in {:?}", began.elapsed());
    let begin = server.log().len();
    server.execute("UPDATE turns SET ends_at = 0");
    let other = one.another_node().await;
    walk(&other, &known).await;
    // The last of a sweep.
    until("a sweep", || async {
        let log = server.log();
        log[begin..].contains("FROM outbox WHERE").then_some(())
    })
    .await;
    drop((one, other));
    seen(&server.log()[begin..], "guarita,LOG:")
}

fn print(asked: &BTreeMap<String, Seen>) {
    let mut asked: Vec<_> = asked.iter().collect();
    asked.sort_by(|(_, one), (_, other)| other.slowest.total_cmp(&one.slowest));
    for (statement, seen) in asked {
        let indices = seen.indices.iter().map(String::as_str).collect::<Vec<_>>().join(" ");
        eprintln!(
            "{:>9.3} ms at most of {:>3}, {:>5} rows  {:.110}  [{indices}]",
            seen.slowest,
            seen.times,
            seen.rows,
            statement.split_whitespace().collect::<Vec<_>>().join(" ")
        );
    }
}

fn assert_flat(asked: &BTreeMap<String, Seen>) {
    // All that was to be walked was seen.
    for part in [
        "FROM sessions WHERE",
        "INSERT INTO sessions",
        "FROM refresh_tokens WHERE digest",
        "UPDATE refresh_tokens SET used_at",
        "UPDATE users SET",
        "INSERT INTO changes",
        "DELETE FROM refresh_tokens",
        "DELETE FROM sessions",
        "UPDATE totp_factors",
        "UPDATE recovery_codes",
        "INTO rates",
        "INTO tickets",
    ] {
        assert!(asked.keys().any(|statement| statement.contains(part)), "never asked: {part}");
    }
    let wrong: Vec<_> = asked
        .iter()
        .filter(|(_, seen)| !seen.scanned.is_empty() || seen.rows > MOST_ROWS)
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_statement_of_a_gateway_finds_its_rows_by_an_index() {
    const SESSIONS: u64 = 100_000;
    let asked = asked_of_postgres(SESSIONS).await;
    print(&asked);
    assert_flat(&asked);

    // The same statements, on SQLite.
    let upstream = Upstream::start().await;
    let gateway = setup(&upstream).on_file().start().await;
    let file = gateway.data().join("guarita.db");
    drop(gateway.setup());
    for statement in statements(Source::Recursion, SESSIONS) {
        database::execute(&file, &statement).await;
    }
    let statements: Vec<&str> = asked.keys().map(String::as_str).collect();
    // Nobody is asked to analyze: first as it is, then with what SQLite knows of the tables.
    for analyzed in [false, true] {
        if analyzed {
            database::execute(&file, "ANALYZE").await;
        }
        let plans = explain(&file, &statements).await;
        assert!(plans.len() * 10 > statements.len() * 7, "{} plans", plans.len());
        for (statement, plan) in plans {
            let scanned = plan.iter().find(|step| {
                let table = step.strip_prefix("SCAN ").map(|rest| rest.split(' ').next());
                table.flatten().is_some_and(|table| LARGE.contains(&table))
            });
            assert_eq!(scanned, None, "{statement}: {plan:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "lasts minutes, and needs 10 GB of disk: make faults"]
async fn at_ten_million_sessions_every_statement_finds_its_rows_by_an_index() {
    assert!(free_space() > 10 << 30, "10 GB of disk are needed");
    let asked = asked_of_postgres(10_000_000).await;
    print(&asked);
    assert_flat(&asked);
}

/// Bytes that are free where the databases of tests are.
fn free_space() -> u64 {
    let directory = std::env::temp_dir();
    let space = rustix::fs::statvfs(&directory).unwrap();
    space.f_bavail * space.f_frsize
}

const EXPLAIN: &str = r"
import json, sqlite3, sys
FOREIGN = ['pg_', 'to_regclass', 'current_setting', 'ISOLATION LEVEL']
connection = sqlite3.connect(sys.argv[1], timeout=10)
class Joined:
    def step(self, *_): pass
    def finalize(self): return None
# Older libraries than the gateway's do not have it.
connection.create_aggregate('string_agg', 2, Joined)
nothing = {str(number): None for number in range(1, 100)}
plans = []
for statement in json.load(sys.stdin):
    try:
        rows = connection.execute('EXPLAIN QUERY PLAN ' + statement, nothing).fetchall()
        plans.append([statement, [row[3] for row in rows]])
    except sqlite3.OperationalError as error:
        # What is said to PostgreSQL only.
        if not any(word in statement for word in FOREIGN):
            raise SystemExit(f'{error}: {statement}')
print(json.dumps(plans))
";

async fn explain(file: &Path, statements: &[&str]) -> Vec<(String, Vec<String>)> {
    let mut child = Command::new("python3")
        .args(["-c", EXPLAIN])
        .arg(file)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 is needed");
    let mut input = child.stdin.take().unwrap();
    input.write_all(json!(statements).to_string().as_bytes()).await.unwrap();
    drop(input);
    let output = child.wait_with_output().await.unwrap();
    assert!(output.status.success());
    serde_json::from_slice(&output.stdout).unwrap()
}
