//! PostgreSQL as the store: what a caller sees while the server is stopped, starts late, has no
//! connections left or is not who it should be; and how fast other gateways learn of a revocation.

use crate::harness::gateway::Gateway;
use crate::harness::postgres::Server;
use crate::harness::{Authority, Setup, Upstream, cli, until};

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
    // Whatever else runs at the start is over by then.
    asked_by("alice", &right).await;
    let asked = asked_by("alice", &right).await;
    assert!(asked.len() <= 10, "{} times:\n{}", asked.len(), asked.join("\n"));
    let wrong = asked_by("alice", "wrong password, long enough").await;
    let unknown = asked_by("nobody", "wrong password, long enough").await;
    assert!(wrong.len() <= 7, "{} times:\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!(wrong.len(), unknown.len(), "a name that nobody has asks as often");
}
