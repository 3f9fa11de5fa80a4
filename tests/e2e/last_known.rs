//! `on_unknown`: what becomes of callers while it cannot be known whether they were revoked.

use std::time::{Duration, Instant};

use crate::api_keys;
use crate::harness::database::seize;
use crate::harness::postgres::Server;
use crate::harness::{Gateway, HOST, Persona, Request, Setup, Socket, Upstream, until};

/// As the route says, and long enough for all that is asked in it.
const SERVED: Duration = Duration::from_secs(8);
/// Silence of the feed of changes while memory counts.
const BOUND: Duration = Duration::from_secs(1);
const SERVED_TOTAL: &str = "guarita_on_unknown_served_total";

fn setup(upstream: &Upstream) -> Setup {
    let route = |path: &str, more: &str| {
        format!("hosts = [\"{HOST}\"]\npath = \"/{path}/{{*rest}}\"\n{more}")
    };
    Setup::standard(&upstream.url())
        .route(&route("steady", "on_unknown = \"serve_for 8s\""))
        .route(&route("plain", "on_unknown = \"refuse\""))
}

async fn with_key(gateway: &Gateway, key: &str) -> u16 {
    let request = Request::get("/steady/key").header("x-service-api-key", key);
    gateway.wire().await.exchange(&request, HOST).await.status
}

async fn status(caller: &Persona, path: &str) -> u16 {
    caller.get(path).await.status
}

/// Takes the database away, and looks at what each caller hears until it is back.
async fn endure<T>(
    gateway: &Gateway,
    take_away: impl AsyncFnOnce() -> T,
    give_back: impl FnOnce(T),
) {
    let (alice, bob) = (gateway.bearer("alice").await, gateway.bearer("alice").await);
    let key = api_keys::create(gateway, "jobs", &[]).await;
    for caller in [&alice, &bob] {
        assert_eq!(status(caller, "/steady/x").await, 200);
    }
    assert_eq!(with_key(gateway, &key).await, 200);
    // Nobody but the store has seen this one.
    let unseen = gateway.bearer("root").await;
    assert_eq!(bob.log_out().await.status, 204);
    assert_eq!(status(&bob, "/steady/x").await, 401);
    // A feed that begins empties memory: what it learns now, it learns after that.
    until("the feed to have begun", || async {
        (gateway.metric("guarita_revocation_lag_seconds_count", "").await > 0.5).then_some(())
    })
    .await;
    assert_eq!(status(&alice, "/steady/x").await, 200);
    assert_eq!(with_key(gateway, &key).await, 200);

    let taken = take_away().await;
    let gone = Instant::now();
    until("a refusal", || async { (status(&alice, "/api/x").await == 503).then_some(()) }).await;
    assert_eq!(status(&alice, "/steady/x").await, 200);
    assert_eq!(with_key(gateway, &key).await, 200);
    let counted = gateway.metric(SERVED_TOTAL, "/steady/").await;
    assert!(counted >= 2.0, "{counted}");
    let elsewhere = gateway.metric(SERVED_TOTAL, "").await - counted;
    assert!(elsewhere < 0.5, "{elsewhere} on routes that do not say so");
    assert!([401, 503].contains(&status(&bob, "/steady/x").await), "known to be revoked");
    assert_eq!(status(&unseen, "/steady/x").await, 503, "not known at all");
    let token = alice.token.clone().unwrap();
    let opened = Socket::under(gateway, "/steady/ws", &token).await.err();
    assert_eq!(opened, Some(503), "it would outlast the time");
    for path in ["/api/x", "/plain/x"] {
        assert_eq!(status(&alice, path).await, 503, "{path} says nothing of the kind");
    }

    let refused = until("the end of the time", || async {
        let began = gone.elapsed();
        let answer = alice.get("/steady/last").await;
        if answer.status == 200 {
            assert!(began <= BOUND + SERVED, "served {began:?} after the database went");
            return None;
        }
        Some(answer)
    })
    .await;
    let lasted = gone.elapsed();
    refused.assert_problem(503, "unavailable");
    assert!(refused.header("retry-after").is_some());
    // The feed was heard at most a second before the database went.
    assert!(lasted >= SERVED, "refused after {lasted:?}");
    assert_eq!(status(&alice, "/steady/x").await, 503);
    assert_eq!(with_key(gateway, &key).await, 503);

    give_back(taken);
    for path in ["/api/x", "/plain/x", "/steady/x"] {
        until("the gateway to know again", || async {
            (status(&alice, path).await == 200).then_some(())
        })
        .await;
    }
    until("the key", || async { (with_key(gateway, &key).await == 200).then_some(()) }).await;
    assert_eq!(status(&bob, "/steady/x").await, 401);
    let told = gateway.log.events();
    assert_eq!(told.iter().filter(|line| line["event"] == "on_unknown.serving").count(), 1);
    let line = gateway.audited("a line that says so", |line| line["lastKnown"] == true).await;
    assert_eq!((&line["sub"], &line["path"]), (&"alice".into(), &"/steady/x".into()));
    let others = gateway.audit();
    let others = others.iter().filter(|line| line["path"] == "/api/x");
    assert!(others.into_iter().all(|line| line["lastKnown"].is_null()));
}

#[tokio::test]
async fn without_the_file_a_route_serves_those_who_were_known_for_as_long_as_it_says() {
    let upstream = Upstream::start().await;
    let gateway = setup(&upstream).on_file().start().await;
    endure(&gateway, async || seize(&gateway).await, drop).await;
}

#[tokio::test]
async fn without_the_server_a_route_serves_those_who_were_known_for_as_long_as_it_says() {
    let (server, upstream) = (Server::start(""), Upstream::start().await);
    let database = format!("\"{}\"", server.url());
    let gateway = setup(&upstream).set("store.database", &database).start().await;
    endure(&gateway, async || server.stop(), |()| server.run()).await;
}
