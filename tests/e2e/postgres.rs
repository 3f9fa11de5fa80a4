//! PostgreSQL as the store: what a caller sees while the server is stopped, starts late, fails over, is slow, has no
//! connections left, is migrated by a newer version or is not who it should be; and how fast other gateways
//! learn of a revocation.

use std::cell::Cell;
use std::time::{Duration, Instant};

use crate::harness::gateway::Gateway;
use crate::harness::postgres::Server;
use crate::harness::{Authority, Persona, Relay, Setup, Upstream, cli, password_of, until};

/// A gateway on a server of its own.
fn on(server: &Server, upstream: &Upstream) -> Setup {
    Setup::standard(&upstream.url()).set("store.database", &format!("\"{}\"", server.url()))
}

/// Another gateway on the same database.
async fn another(gateway: &Gateway) -> Gateway {
    let (directory, setup) = (tempfile::tempdir().unwrap(), gateway.setup());
    setup.write(directory.path());
    Gateway::start_in(directory, setup).await
}

#[tokio::test]
async fn a_server_that_is_stopped_and_started_needs_no_restart_of_the_gateway() {
    let (server, upstream) = (Server::start(""), Upstream::start().await);
    let gateway = on(&server, &upstream).start().await;
    let alice = gateway.bearer("alice").await;
    assert_eq!(alice.get("/api/x").await.status, 200);
    server.stop();
    let answer = until("a refusal", || async {
        let answer = alice.get("/api/x").await;
        // Memory counts for one more second, and no longer.
        (answer.status != 200).then_some(answer)
    })
    .await;
    answer.assert_problem(503, "unavailable");
    assert!(answer.header("retry-after").is_some());
    assert_eq!(alice.log_out().await.status, 503, "nothing is said to be done that is not");
    assert_eq!(gateway.anonymous().get("/public/x").await.status, 200);
    server.run();
    until("the gateway to go on", || async {
        (alice.get("/api/x").await.status == 200).then_some(())
    })
    .await;
    until("a login", || async {
        let password = crate::harness::password_of("root");
        (gateway.anonymous().log_in("root", &password).await.status == 200).then_some(())
    })
    .await;
    // Other processes are heard again too.
    let sid = alice.sid.clone().unwrap();
    gateway.verb(&["session", "revoke", "--sid", &sid], "").await.succeeded();
    until("the revocation", || async { (alice.get("/api/x").await.status == 401).then_some(()) })
        .await;
}

#[tokio::test]
async fn one_gateway_needs_nothing_but_to_know_where_the_server_is() {
    let (server, upstream) = (Server::start(""), Upstream::start().await);
    let url = reqwest::Url::parse(&server.url()).unwrap();
    let setup = Setup::standard(&upstream.url())
        .unset("tokens.signing_key_file")
        .unset("store.database")
        .environment("DB_DRIVER", "postgres")
        .environment("DB_HOST", url.host_str().unwrap())
        .environment("DB_PORT", &url.port().unwrap().to_string())
        .environment("DB_USERNAME", url.username())
        .environment("DB_PASSWORD", "not asked for here")
        .environment("DB_DATABASE", url.path().trim_start_matches('/'));
    let gateway = setup.start().await;
    let alice = gateway.bearer("alice").await;
    assert_eq!(alice.get("/api/x").await.status, 200);
    let told = |line: &serde_json::Value| line.to_string().contains("one gateway alone");
    gateway.log.wait_for("what it lacks for company", told).await;
    let gateway = gateway.crash_and_restart().await;
    let again = gateway.anonymous().with_token(alice.token.as_deref().unwrap());
    assert_eq!(again.get("/api/x").await.status, 200, "its key is in its data_dir");
}

#[tokio::test]
async fn a_server_that_starts_later_is_waited_for() {
    let (server, upstream) = (Server::prepare(""), Upstream::start().await);
    let directory = tempfile::tempdir().unwrap();
    let setup = on(&server, &upstream);
    setup.write(directory.path());
    let starting = tokio::spawn(Gateway::start_in(directory, setup));
    let started = tokio::task::spawn_blocking(move || {
        server.run();
        server
    });
    let _server = started.await.unwrap();
    let gateway = starting.await.unwrap();
    assert_eq!(gateway.anonymous().get("/public/x").await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standby_that_takes_over_has_every_session_and_every_revocation() {
    let (primary, upstream) = (Server::start(""), Upstream::start().await);
    let standby = tokio::task::block_in_place(|| primary.standby());
    let way = Relay::to(primary.address()).await;
    let url = format!("postgres://guarita@{}/postgres", way.address);
    let setup = on(&primary, &upstream).set("store.database", &format!("\"{url}\""));
    let gateway = setup.start().await;
    let (alice, revoked) = (gateway.bearer("alice").await, gateway.bearer("alice").await);
    assert_eq!(revoked.get("/api/x").await.status, 200);
    let last = gateway.bearer("alice").await;
    assert_eq!(revoked.log_out().await.status, 204);
    tokio::task::block_in_place(|| primary.stop());
    way.lead_to(standby.address());
    // Before it is promoted it can be read, and takes no change.
    let refused = until("a refusal", || async {
        let answer = alice.log_out().await;
        (answer.status == 503).then_some(answer)
    });
    refused.await.assert_problem(503, "unavailable");
    assert_ne!(revoked.get("/api/x").await.status, 200);
    tokio::task::block_in_place(|| standby.promote());
    for known in [&alice, &last] {
        until("the gateway to go on", || async {
            (known.get("/api/x").await.status == 200).then_some(())
        })
        .await;
    }
    revoked.get("/api/x").await.assert_problem(401, "unauthorized");
    until("a login", || async {
        let answer = gateway.anonymous().log_in("root", &password_of("root")).await;
        (answer.status == 200).then_some(())
    })
    .await;
    assert_eq!(alice.log_out().await.status, 204);
    alice.get("/api/x").await.assert_problem(401, "unauthorized");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_a_slow_server_nobody_is_let_in_who_was_revoked_elsewhere() {
    let (server, upstream) = (Server::start(""), Upstream::start().await);
    let way = Relay::to(server.address()).await;
    let url = format!("postgres://guarita@{}/postgres", way.address);
    let swift = on(&server, &upstream).start().await;
    let slow = on(&server, &upstream).set("store.database", &format!("\"{url}\""));
    let directory = tempfile::tempdir().unwrap();
    slow.write(directory.path());
    let slow = Gateway::start_in(directory, slow).await;
    let (alice, gone) = (swift.bearer("alice").await, swift.bearer("alice").await);
    let there = |caller: &Persona| slow.anonymous().like(caller);
    for caller in [&alice, &gone] {
        assert_eq!(there(caller).get("/api/x").await.status, 200);
    }
    way.slow_down(Duration::from_secs(1));
    assert_eq!(gone.log_out().await.status, 204);
    let revoked = Instant::now();
    loop {
        let asked = revoked.elapsed();
        let status = there(&gone).get("/api/x").await.status;
        assert!(status != 200 || asked <= Duration::from_secs(1), "let in {asked:?} after");
        if asked > Duration::from_secs(4) {
            break;
        }
    }
    // Who is known waits for an answer of the server, or is told to come again.
    let answer = there(&alice).get("/api/x").await;
    assert!(matches!(answer.status, 200 | 503), "{}", answer.status);
    assert_eq!(slow.anonymous().get("/public/x").await.status, 200);
    assert_eq!(alice.get("/api/x").await.status, 200, "others do not wait");
    way.slow_down(Duration::ZERO);
    until("the gateway to go on", || async {
        (there(&alice).get("/api/x").await.status == 200).then_some(())
    })
    .await;
    assert_eq!(there(&gone).get("/api/x").await.status, 401);
}

/// What reads and writes most tables, as often as there are connections.
async fn use_all(gateway: &Gateway) {
    let work = (0..8).map(|_| async {
        let alice = gateway.bearer("alice").await;
        let renewed = alice.refresh().await;
        assert_eq!(renewed.status, 200, "{}", renewed.text());
        let alice = alice.holding(&renewed.json());
        assert_eq!(alice.get("/api/x").await.status, 200);
        let sessions = alice.get("/auth/sessions").await;
        assert_eq!(sessions.status, 200, "{}", sessions.text());
        let by_key = crate::harness::Request::get("/api/x").header("x-service-api-key", "unknown");
        assert_eq!(alice.without_token().send(by_key).await.status, 401);
        assert_eq!(alice.log_out().await.status, 204);
    });
    futures_util::future::join_all(work).await;
}

#[tokio::test]
async fn columns_that_a_newer_version_adds_disturb_no_gateway_that_runs() {
    let (server, upstream) = (Server::start(""), Upstream::start().await);
    let setup = on(&server, &upstream)
        .set("rate_limits.login", "{ per_source = \"off\", per_account = \"off\" }");
    let gateway = setup.start().await;
    use_all(&gateway).await;
    server.execute(
        "DO $$ DECLARE it record; BEGIN \
         FOR it IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' LOOP \
         EXECUTE format('ALTER TABLE %I ADD COLUMN later BIGINT', it.tablename); \
         END LOOP; END $$",
    );
    use_all(&gateway).await;
    assert_eq!(gateway.verb(&["user", "list"], "").await.code, 0);
}

#[tokio::test]
async fn a_server_without_a_connection_left_is_a_503_and_no_more() {
    let (server, upstream) = (Server::start(""), Upstream::start().await);
    server.execute("CREATE ROLE gate LOGIN; ALTER SCHEMA public OWNER TO gate");
    let url = server.url().replace("guarita@", "gate@");
    let setup = on(&server, &upstream).set("store.database", &format!("\"{url}\""));
    let gateway = setup.start().await;
    let alice = gateway.bearer("alice").await;
    server.execute("ALTER ROLE gate CONNECTION LIMIT 0");
    server.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'gate'");
    let answer = until("a refusal", || async {
        let answer = alice.get("/api/x").await;
        (answer.status != 200).then_some(answer)
    })
    .await;
    answer.assert_problem(503, "unavailable");
    server.execute("ALTER ROLE gate CONNECTION LIMIT -1");
    until("the gateway to go on", || async {
        (alice.get("/api/x").await.status == 200).then_some(())
    })
    .await;
}

/// The largest file that a process may write, in bytes; beyond it a write takes a part or nothing, as on a full disk.
#[cfg(target_os = "linux")]
async fn limit_files(process: u32, most: &str) {
    let process = process.to_string();
    let mut command = tokio::process::Command::new("prlimit");
    let limited = command.args(["--pid", &process, &format!("--fsize={most}:unlimited")]).status();
    assert!(limited.await.expect("prlimit is needed").success());
}

/// On a server, so that the audit file is the only one that grows.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn while_the_audit_file_cannot_grow_requests_go_on_and_its_lines_wait() {
    let (server, upstream) = (Server::start(""), Upstream::start().await);
    let gateway = on(&server, &upstream).before("trap '' XFSZ").start().await;
    let alice = gateway.bearer("alice").await;
    let ask = async |id: &str| {
        let request = crate::harness::Request::get("/api/x").header("x-request-id", id);
        assert_eq!(alice.send(request).await.status, 200);
    };
    ask("before").await;
    gateway.audited("a line", |line| line["requestId"] == "before").await;
    limit_files(gateway.process, "4096").await;
    let mut sent = 0;
    until("the audit file to be full", || {
        sent += 1;
        let id = format!("full-{sent}");
        let (ask, gateway) = (&ask, &gateway);
        async move {
            ask(&id).await;
            let ready = gateway.operations("/readyz").await;
            (ready.status == 503 && ready.json()["audit"] == "failed").then_some(())
        }
    })
    .await;
    ask("last").await;
    limit_files(gateway.process, "unlimited").await;
    gateway.audited("the last line", |line| line["requestId"] == "last").await;
    until("the gateway to be ready", || async {
        (gateway.operations("/readyz").await.status == 200).then_some(())
    })
    .await;
    let lines = gateway.audit();
    for number in 1..=sent {
        let id = format!("full-{number}");
        assert_eq!(lines.iter().filter(|line| line["requestId"] == id.as_str()).count(), 1, "{id}");
    }
    assert!(gateway.metric("guarita_audit_lines_dropped", "").await.abs() < 0.5);
    gateway.verb(&["audit", "verify"], "").await.succeeded();
}

#[tokio::test]
async fn a_revocation_reaches_another_gateway_by_a_hint() {
    let (server, upstream) = (Server::start(""), Upstream::start().await);
    let here = on(&server, &upstream).start().await;
    let there = another(&here).await;
    let mut sessions = Vec::new();
    for _ in 0..20 {
        let alice = here.bearer("alice").await;
        let remote = there.anonymous().like(&alice);
        assert_eq!(remote.get("/api/x").await.status, 200);
        sessions.push((alice, remote));
    }
    for (alice, remote) in sessions {
        assert_eq!(alice.log_out().await.status, 204);
        until("the revocation", || async {
            (remote.get("/api/x").await.status == 401).then_some(())
        })
        .await;
    }
    let count = "guarita_revocation_lag_seconds_count";
    let learnt = there.metric(count, "").await;
    assert!(learnt >= 20.0, "{learnt}");
    // Asking each 200 ms alone, all within 100 ms would be a one in a million; on a busy machine a few are late.
    let soon = there.metric("guarita_revocation_lag_seconds_bucket", "le=\"0.1\"").await;
    assert!(soon >= 12.0, "{soon} of {learnt} within 100 ms");
}

#[tokio::test]
async fn only_a_server_that_proves_its_name_is_spoken_to() {
    let authority = Authority::new("Database CA");
    let server = Server::start_with_tls(&authority.server(&["db.test"]));
    let directory = tempfile::tempdir().unwrap();
    let ca = |name: &str, authority: &Authority| {
        let path = directory.path().join(name);
        std::fs::write(&path, authority.pem()).unwrap();
        path.display().to_string()
    };
    let (right, wrong) = (ca("ca.pem", &authority), ca("other.pem", &Authority::new("Other CA")));
    for (host, ca, is_taken) in
        [("127.0.0.1", &right, true), ("127.0.0.1", &wrong, false), ("localhost", &right, false)]
    {
        let url = format!("{}?sslmode=verify-full&sslrootcert={ca}", server.url_at(host));
        let setup = Setup::new().set("store.database", &format!("\"{url}\""));
        setup.write(directory.path());
        let migrated =
            cli::run(directory.path(), &["migrate", "--config", "guarita.toml"], "").await;
        assert_eq!(migrated.code == 0, is_taken, "{host} {ca}: {}", migrated.output());
    }
    let in_the_clear = Server::start("");
    let url = format!("{}?sslmode=verify-full&sslrootcert={right}", in_the_clear.url());
    Setup::new().set("store.database", &format!("\"{url}\"")).write(directory.path());
    let plain = cli::run(directory.path(), &["migrate", "--config", "guarita.toml"], "");
    assert_ne!(plain.await.code, 0, "spoken to in the clear");
}

/// What a login may ask of the database, one round trip each: the feed of changes apart.
#[tokio::test]
async fn a_login_asks_the_database_few_times() {
    let (server, upstream) = (Server::start("-c log_statement=all"), Upstream::start().await);
    let gateway = on(&server, &upstream).start().await;
    let statements = || {
        let log = server.log();
        let lines = log.lines().filter(|line| {
            let asked = line.contains("LOG:  execute ") || line.contains("LOG:  statement: ");
            let of_feed =
                ["changes", "pg_current_snapshot", "REPEATABLE READ", "ROLLBACK", "NOTIFY"];
            asked && !of_feed.iter().any(|part| line.contains(part))
        });
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let asked_by = async |username: &str, password: &str| {
        let before = statements().len();
        gateway.anonymous().log_in(username, password).await;
        statements().split_off(before)
    };
    let right = crate::harness::password_of("alice");
    asked_by("alice", &right).await;
    // Whatever else runs at the start is over once nothing was asked for some looks.
    let (seen, looks) = (Cell::new(0), Cell::new(0));
    until("the end of what runs at the start", || async {
        let now = statements().len();
        looks.set(if seen.replace(now) == now { looks.get() + 1 } else { 0 });
        (looks.get() == 20).then_some(())
    })
    .await;
    let asked = asked_by("alice", &right).await;
    assert!(asked.len() <= 10, "{} times:\n{}", asked.len(), asked.join("\n"));
    let wrong = asked_by("alice", "wrong password, long enough").await;
    let unknown = asked_by("nobody", "wrong password, long enough").await;
    assert!(wrong.len() <= 7, "{} times:\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!(wrong.len(), unknown.len(), "a name that nobody has asks as often");
}
