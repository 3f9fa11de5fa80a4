//! Cuts in the network between gateways and what they share: `make faults` runs it, the other tests do not.

use std::time::{Duration, Instant};

use crate::harness::namespace::Namespace;
use crate::harness::postgres::Server;
use crate::harness::{Gateway, Persona, Redis, Setup, Upstream, until};

/// A revocation takes effect on every gateway within this time.
const BOUND: Duration = Duration::from_secs(1);

/// Asks until the answer is this one; no 200 may come to who asked later than that, counted from `began`.
async fn until_answered(
    caller: &Persona,
    status: u16,
    began: Instant,
    latest: Duration,
) -> Duration {
    until("another answer", || async {
        let asked = began.elapsed();
        let answer = caller.get("/api/x").await;
        assert!(answer.status != 200 || status == 200 || asked <= latest, "200 after {asked:?}");
        (answer.status == status).then(|| began.elapsed())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs the right to make network namespaces: make faults"]
async fn a_gateway_that_is_cut_off_refuses_and_the_others_go_on() {
    let Some(network) = Namespace::create() else { return };
    let server = Server::prepare(&format!("-c listen_addresses=127.0.0.1,{}", network.far()));
    server.admit(&network.far_callers());
    server.run();
    let bind = ["--bind", "127.0.0.1", &network.far(), "--protected-mode", "no"].map(str::to_owned);
    let redis = Redis::start_with(|_, _| bind.to_vec()).await;
    let upstream = Upstream::start_at(format!("{}:0", network.near()).parse().unwrap()).await;
    let setup = Setup::standard(&upstream.url())
        .set("store.database", &format!("\"{}\"", server.url_at(&network.far())))
        .set("store.redis", &format!("\"redis://{}:{}\"", network.far(), redis.port));
    let well = setup.start().await;
    let directory = tempfile::tempdir().unwrap();
    let inside = format!("{}:0", network.inside());
    let setup = well.setup().without_plain_listener().address(&inside);
    let setup = setup.set("ops.address", &format!("\"{inside}\"")).within(&network.name);
    setup.write(directory.path());
    let apart = Gateway::start_in(directory, setup).await;
    for gateway in [&well, &apart] {
        until("Redis to be up", || async {
            (gateway.metric("guarita_ephemeral_up", "").await > 0.5).then_some(())
        })
        .await;
    }
    let (alice, bob) = (well.bearer("alice").await, well.bearer("alice").await);
    let (alice_there, bob_there) = (apart.anonymous().like(&alice), apart.anonymous().like(&bob));
    for caller in [&alice, &bob, &alice_there, &bob_there] {
        assert_eq!(caller.get("/api/x").await.status, 200);
    }

    network.cut();
    let cut = Instant::now();
    assert_eq!(bob.log_out().await.status, 204, "the others go on");
    let refused = until_answered(&alice_there, 503, cut, BOUND).await;
    assert_ne!(bob_there.get("/api/x").await.status, 200, "revoked elsewhere");
    let unready = until("to be unready", || async {
        let answer = apart.operations("/readyz").await;
        (answer.status == 503).then_some(answer)
    })
    .await;
    assert_eq!(unready.json()["revocationFeed"], "failed", "{}", unready.text());
    assert_eq!(apart.anonymous().get("/public/x").await.status, 200, "nobody is asked there");
    for _ in 0..20 {
        assert_eq!(alice.get("/api/x").await.status, 200);
        assert_eq!(bob.get("/api/x").await.status, 401);
    }
    assert_eq!(alice_there.get("/api/x").await.status, 503);

    network.mend();
    let mended = Instant::now();
    let back = until_answered(&alice_there, 200, mended, Duration::ZERO).await;
    assert_eq!(bob_there.get("/api/x").await.status, 401, "the revocation was not lost");
    until("Redis to be up again", || async {
        (apart.metric("guarita_ephemeral_up", "").await > 0.5).then_some(())
    })
    .await;
    until("to be ready again", || async {
        (apart.operations("/readyz").await.status == 200).then_some(())
    })
    .await;
    eprintln!(
        "a gateway cut off from PostgreSQL and Redis: refused within {refused:?}, no 200 came after the bound; \
         back {back:?} after the cut was mended"
    );
}
