//! A gateway whose clock is five minutes off.

use serde_json::{Value, json};

use crate::harness::gateway::Gateway;
use crate::harness::postgres::Server;
use crate::harness::tokens::Genuine;
use crate::harness::{Setup, Upstream, until};

const OFF: i64 = 300;

/// A token as a gateway makes it whose clock is ahead by so many seconds.
fn made_ahead(genuine: Genuine, seconds: i64) -> String {
    ["iat", "nbf", "exp"]
        .into_iter()
        .fold(genuine, |token, name| {
            let time = token.claims[name].as_i64().unwrap();
            token.claim(name, json!(time + seconds))
        })
        .signed()
}

#[tokio::test]
async fn a_token_of_a_gateway_whose_clock_is_off_counts_by_the_clock_of_who_judges_it() {
    let (server, upstream) = (Server::start(""), Upstream::start().await);
    let setup = Setup::standard(&upstream.url())
        .set("store.database", &format!("\"{}\"", server.url()))
        .set("tokens.access_ttl", "\"4m\"");
    let gateway = setup.start().await;
    let alice = gateway.bearer("alice").await;
    let with = |seconds| alice.with_token(&made_ahead(Genuine::of(&alice), seconds));
    // The leeway is 30 s.
    for (seconds, status) in [(OFF, 401), (60, 401), (10, 200), (-10, 200), (-60, 200), (-OFF, 401)]
    {
        let answer = with(seconds).get("/api/x").await;
        assert_eq!(answer.status, status, "{seconds} s ahead: {}", answer.text());
    }
    // What such a gateway wrote down is not lost: the session goes on elsewhere, with a token of there.
    for seconds in [OFF, -2 * OFF] {
        server.execute(&format!(
            "UPDATE sessions SET created_at = created_at + {seconds}, \
             last_used_at = last_used_at + {seconds}, expires_at = expires_at + {seconds}; \
             UPDATE refresh_tokens SET issued_at = issued_at + {seconds}, \
             expires_at = expires_at + {seconds}"
        ));
        let renewed = alice.refresh().await;
        assert_eq!(renewed.status, 200, "{}", renewed.text());
        assert_eq!(alice.holding(&renewed.json()).get("/api/x").await.status, 200);
    }
    assert_eq!(alice.get("/api/x").await.status, 200);
}

async fn clock(gateway: &Gateway) -> (u16, Value, f64) {
    let ready = gateway.operations("/readyz").await;
    let offset = gateway.metric("guarita_clock_offset_seconds", "").await;
    (ready.status, ready.json()["clock"].clone(), offset)
}

/// To one gateway alone the database says another time, which is as if its own clock were off.
#[tokio::test]
async fn a_gateway_whose_clock_is_off_says_so_and_learns_of_revocations_all_the_same() {
    let (server, upstream) = (Server::start(""), Upstream::start().await);
    server.execute(
        "CREATE SCHEMA later; \
         CREATE FUNCTION later.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS \
         $$SELECT pg_catalog.clock_timestamp() + interval '5 minutes'$$; \
         CREATE ROLE late SUPERUSER LOGIN; \
         ALTER ROLE late SET search_path = later, pg_catalog, public",
    );
    let setup =
        |url: &str| Setup::standard(&upstream.url()).set("store.database", &format!("\"{url}\""));
    let right = setup(&server.url()).start().await;
    let (directory, late) =
        (tempfile::tempdir().unwrap(), server.url().replace("guarita@", "late@"));
    let late = setup(&late);
    late.write(directory.path());
    let late = Gateway::start_in(directory, late).await;
    until("the clock to be found wrong", || async {
        let (status, clock, offset) = clock(&late).await;
        // It stays ready: it may be the database's clock, which all have.
        (status == 200 && clock == "failed" && (offset + 300.0).abs() <= 3.0).then_some(())
    })
    .await;
    late.log.wait_for("a line in the log", |line| line["event"] == "clock.wrong").await;
    let (status, well, offset) = clock(&right).await;
    assert_eq!((status, well), (200, json!("ok")));
    assert!(offset.abs() <= 3.0, "{offset}");
    for (here, there) in [(&right, &late), (&late, &right)] {
        let alice = here.bearer("alice").await;
        let elsewhere = there.anonymous().like(&alice);
        assert_eq!(elsewhere.get("/api/x").await.status, 200);
        assert_eq!(alice.log_out().await.status, 204);
        until("the revocation", || async {
            (elsewhere.get("/api/x").await.status == 401).then_some(())
        })
        .await;
    }
    server.execute("ALTER ROLE late RESET search_path");
    server.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'late'");
    until("the clock to be right", || async { (clock(&late).await.1 == "ok").then_some(()) }).await;
}
