//! Reload while running: no failed request, no wrong decision, no dropped connection.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::harness::provider::{Key, Provider};
use crate::harness::{
    Answer, Authority, Gateway, HOST, Persona, Request, Setup, Socket, Upstream, until,
};

/// A configuration that has a route of its own for its generation.
fn generation(setup: &Setup, generation: usize) -> Setup {
    let route = format!("path = \"/generation/{generation}\"\naccess = \"public\"");
    setup.clone().without_table("/generation/").route(&route)
}

fn standard(upstream: &Upstream) -> Setup {
    Setup::standard(&upstream.url())
}

async fn is_in_force(gateway: &Gateway, generation: usize) -> bool {
    gateway.anonymous().get(&format!("/generation/{generation}")).await.status == 200
}

/// Makes requests over HTTP/2 until told to stop; how many, each with the decision that was due.
async fn load(persona: Persona, stop: Arc<AtomicBool>) -> usize {
    let mut count = 0;
    while !stop.load(Ordering::Relaxed) {
        let http2 = persona.http2().await;
        for _ in 0..30 {
            for (path, status) in [("/api/x", 200), ("/admin/x", 403), ("/none", 404)] {
                let answer = http2.get(path, HOST, persona.token.as_deref()).await.unwrap();
                assert_eq!(answer.status, status, "{path} after {count} requests");
                count += 1;
            }
        }
    }
    count
}

/// HTTP/1.1 on one connection after another.
async fn raw_load(persona: Persona, stop: &AtomicBool, count: &AtomicUsize) {
    let request = persona.signed(Request::get("/api/x"));
    while !stop.load(Ordering::Relaxed) {
        let mut wire = persona.wire().await;
        for _ in 0..50 {
            assert_eq!(wire.exchange(&request, HOST).await.status, 200);
            count.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reloads_under_load_fail_no_request_and_drop_no_websocket() {
    reloads_under_load(30).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "lasts minutes: make faults"]
async fn a_thousand_reloads_under_load_fail_no_request_and_drop_no_websocket() {
    reloads_under_load(1000).await;
}

async fn reloads_under_load(reloads: usize) {
    let upstream = Upstream::start().await;
    let echo = Upstream::answering(|_| Answer::WebSocket).await;
    let setup = standard(&upstream)
        .upstream("echo", &[&echo.url()])
        .route("path = \"/socket\"\nupstream = \"echo\"\naccess = \"public\"");
    let mut gateway = generation(&setup, 0).start().await;
    let setup = gateway.setup();
    let mut socket = Socket::open(&gateway, "/socket", &[]).await.unwrap();

    let stop = Arc::new(AtomicBool::new(false));
    let alice = gateway.bearer("alice").await;
    let http2 = tokio::spawn(load(alice.clone(), Arc::clone(&stop)));
    let count = AtomicUsize::new(0);
    let reloading = async {
        for number in 1..=reloads {
            let next = generation(&setup, number);
            if number % 10 == 0 {
                gateway.reload(next.route("path = \"nowhere\"\nunknown = 1")).await;
            } else {
                gateway.reload(next).await;
            }
            if number == reloads - 1 {
                until("the last good one", || async {
                    is_in_force(&gateway, number).await.then_some(())
                })
                .await;
            }
            if number % (reloads / 10) == 1 {
                socket.echoes(&number.to_string()).await;
            }
        }
        stop.store(true, Ordering::Relaxed);
    };
    tokio::join!(reloading, raw_load(alice, &stop, &count));
    let http2 = http2.await.unwrap();
    eprintln!("{http2} requests on HTTP/2 and {} on HTTP/1.1", count.load(Ordering::Relaxed));
    assert!(http2 > reloads / 10 && count.load(Ordering::Relaxed) > reloads / 10);
    socket.echoes("still here").await;
    // The last one was refused: what was good before it is in force.
    until("the last one to be refused", || async {
        let metrics = gateway.operations("/metrics").await.text();
        metrics.contains("guarita_config_reload_success 0").then_some(())
    })
    .await;
    assert!(is_in_force(&gateway, reloads - 1).await);
    assert!(!is_in_force(&gateway, reloads - 2).await);
}

#[tokio::test]
async fn a_bad_change_is_told_with_its_place_and_leaves_the_old_in_force() {
    let upstream = Upstream::start().await;
    let mut gateway = generation(&standard(&upstream), 1).start().await;
    let good = gateway.setup();
    let bad = generation(&good, 2).route("path = \"/x\"\nupstream = \"nobody\"");
    assert!(!gateway.reload(bad).await);
    assert!(is_in_force(&gateway, 1).await);
    let told = |line: &serde_json::Value| line["event"] == "config.reload.failed";
    let line = gateway.log.wait_for("the refusal", told).await.to_string();
    assert!(line.contains("guarita.toml:") && line.contains("nobody"), "{line}");
    until("readyz to tell", || async {
        let answer = gateway.operations("/readyz").await;
        (answer.status == 200 && answer.text().contains("nobody")).then_some(())
    })
    .await;
    generation(&good, 3).write(gateway.directory());
    until("what is good again", || async { is_in_force(&gateway, 3).await.then_some(()) }).await;
}

#[tokio::test]
async fn a_changed_file_is_taken_up_without_a_signal() {
    let upstream = Upstream::start().await;
    let gateway = generation(&standard(&upstream), 1).start().await;
    generation(&gateway.setup(), 2).write(gateway.directory());
    until("the change", || async { is_in_force(&gateway, 2).await.then_some(()) }).await;
}

#[tokio::test]
async fn a_changed_certificate_is_shown_to_the_next_connection() {
    let upstream = Upstream::start().await;
    let gateway = standard(&upstream).start().await;
    let mut old = gateway.secure_wire().await;
    let stranger = Authority::new("Another CA").server(&[HOST]);
    // One after the other, as many tools write them.
    std::fs::write(gateway.directory().join("server.key"), &stranger.key_pem).unwrap();
    std::fs::write(gateway.directory().join("server.pem"), &stranger.chain_pem).unwrap();
    until("the new certificate", || async {
        gateway.tls().connect(gateway.https()).await.is_err().then_some(())
    })
    .await;
    let answer = old.exchange(&Request::get("/public/x"), HOST).await;
    assert_eq!(answer.status, 200, "a connection outlives its certificate");
}

/// The names and labels of all series, without those that count reloads.
async fn series(gateway: &Gateway) -> BTreeSet<String> {
    let text = gateway.operations("/metrics").await.text();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let names = lines.map(|line| line.rsplit_once(' ').unwrap().0.to_owned());
    names.filter(|name| !name.starts_with("guarita_config_reload")).collect()
}

/// Waits until a series is there.
async fn appears(gateway: &Gateway, name: &str) {
    until(name, || async { series(gateway).await.contains(name).then_some(()) }).await;
}

/// Waits until no series has this in its name or labels.
async fn disappears(gateway: &Gateway, part: &str) {
    until(&format!("the end of {part}"), || async {
        series(gateway).await.iter().all(|name| !name.contains(part)).then_some(())
    })
    .await;
}

fn health(upstream: &str, server: &Upstream) -> String {
    format!("guarita_upstream_healthy{{server=\"{}\",upstream=\"{upstream}\"}}", server.address)
}

/// A route, an upstream that is probed, and a provider whose keys are fetched, all named alike.
fn extended(setup: &Setup, name: &str, upstream: &Upstream, provider: &Provider) -> Setup {
    let probed = "health_check = { path = \"/probe\", interval = \"100ms\" }";
    setup
        .clone()
        .upstream_with(name, &[&upstream.url()], probed)
        .table(&provider.table("").replace("idp", name))
        .route(&format!("path = \"/{name}\"\nupstream = \"{name}\"\naccess = \"public\""))
}

#[tokio::test]
async fn a_refused_reload_leaves_no_trace() {
    let (upstream, other) = (Upstream::start().await, Upstream::start().await);
    let key = Key::new("k");
    let (idp, stranger) = (Provider::start(&[&key]).await, Provider::start(&[&key]).await);
    let setup = extended(&standard(&upstream), "first", &upstream, &idp);
    let mut gateway = setup.start().await;
    let setup = gateway.setup();
    assert_eq!(gateway.anonymous().get("/first").await.status, 200);
    let fetched = "guarita_provider_key_fetches_total{provider=\"first\",result=\"succeeded\"}";
    appears(&gateway, fetched).await;
    appears(&gateway, &health("first", &upstream)).await;
    let before = series(&gateway).await;
    let refused = extended(&setup, "refused", &other, &stranger);
    for wrong in [
        // Found while the file is read, and only when everything is compiled.
        "path = \"/wrong\"\nunknown = 1",
        "path = \"/refused\"\naccess = \"public\"",
    ] {
        assert!(!gateway.reload(refused.clone().route(wrong)).await, "{wrong}");
        assert_eq!(series(&gateway).await, before, "{wrong}");
    }
    // Once the gauges of another one are there, those of a refused one would be as well.
    let (later, good) = (Upstream::start().await, Provider::start(&[&key]).await);
    assert!(gateway.reload(extended(&setup, "later", &later, &good)).await);
    later.received(1).await;
    appears(&gateway, &health("later", &later)).await;
    appears(&gateway, &fetched.replace("first", "later")).await;
    let all = series(&gateway).await;
    assert!(all.iter().all(|name| !name.contains("refused\"")), "{all:?}");
    assert!(before.is_subset(&all), "{before:?} {all:?}");
    assert_eq!((other.count(), stranger.server.count()), (0, 0), "nobody was asked");
}

#[tokio::test]
async fn a_reload_removes_the_series_of_what_is_gone() {
    let (upstream, gone) = (Upstream::start().await, Upstream::start().await);
    let key = Key::new("k");
    let idp = Provider::start(&[&key]).await;
    let mut gateway = standard(&upstream).start().await;
    let plain = gateway.setup();
    let before = series(&gateway).await;
    let setup = extended(&plain, "fleeting", &gone, &idp);
    gone.script(|request| match &*request.target() {
        "/fleeting" => Answer::Close,
        _ => Answer::Echo,
    });
    let address = gone.address;
    let failures =
        format!("guarita_upstream_failures_total{{server=\"{address}\",upstream=\"fleeting\"}}");
    for _ in 0..2 {
        assert!(gateway.reload(setup.clone()).await);
        // What comes back begins anew.
        let counted = gateway.metric("guarita_requests_total", "route=\"/fleeting\"").await;
        assert_eq!(counted, 0.0);
        assert_eq!(gateway.anonymous().get("/fleeting").await.status, 502);
        appears(&gateway, &failures).await;
        appears(&gateway, &health("fleeting", &gone)).await;
        let fetched = "guarita_provider_key_fetches_total";
        appears(&gateway, &format!("{fetched}{{provider=\"fleeting\",result=\"succeeded\"}}"))
            .await;
        appears(&gateway, "guarita_provider_keys_age_seconds{provider=\"fleeting\"}").await;
        until("the request to be counted", || async {
            let counted = gateway.metric("guarita_requests_total", "route=\"/fleeting\"").await;
            (counted > 0.0).then_some(())
        })
        .await;
        assert!(gateway.reload(plain.clone()).await);
        disappears(&gateway, "fleeting").await;
        let after = series(&gateway).await;
        assert!(before.is_subset(&after), "{before:?} {after:?}");
    }
}

/// It still counts, and what it counts is not made anew when it ends.
#[tokio::test]
async fn the_series_of_a_route_stay_for_the_request_that_is_still_on_it() {
    let upstream = Upstream::start().await;
    let echo = Upstream::answering(|_| Answer::WebSocket).await;
    let mut gateway = standard(&upstream).start().await;
    let plain = gateway.setup();
    let setup = plain.clone().upstream("echo", &[&echo.url()]);
    let setup = setup.route("path = \"/socket\"\nupstream = \"echo\"\naccess = \"public\"");
    assert!(gateway.reload(setup).await);
    let mut socket = Socket::open(&gateway, "/socket", &[]).await.unwrap();
    appears(&gateway, &health("echo", &echo)).await;
    assert!(gateway.reload(plain).await);
    assert_eq!(gateway.anonymous().get("/socket").await.status, 401);
    disappears(&gateway, &health("echo", &echo)).await;
    socket.echoes("still here").await;
    appears(&gateway, "guarita_requests_total{route=\"/socket\",status=\"1xx\"}").await;
    drop(socket);
    disappears(&gateway, "/socket").await;
}
