//! Gateways that are restarted and upgraded under load: nobody's request fails. And one that is killed.

use std::net::TcpListener;
use std::os::unix::net::UnixDatagram;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;
use tokio::task::JoinSet;

use crate::harness::nginx::Nginx;
use crate::harness::redis::some_port;
use crate::harness::{
    Answer, Gateway, HOST, Persona, Request, Response, Setup, Upstream, Wire, until,
};

/// Callers at once.
const CALLERS: usize = 6;
/// Requests on a connection, by one in two callers; the others open one for each.
const KEPT: usize = 20;

/// Requests that go on until they are told to stop.
struct Load {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    failed: Arc<Mutex<Vec<String>>>,
    calling: JoinSet<()>,
}

impl Load {
    /// Every answer must be a 200, on connections that `persona` opens anew whenever an answer closes one.
    fn start(persona: &Persona, request: &Request) -> Self {
        let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (failed, mut calling) = (Arc::<Mutex<Vec<String>>>::default(), JoinSet::new());
        for caller in 0..CALLERS {
            let (stop, answered) = (Arc::clone(&stop), Arc::clone(&answered));
            let failed = Arc::clone(&failed);
            let (persona, request) = (persona.clone(), persona.signed(request.clone()));
            let most = if caller % 2 == 0 { 1 } else { KEPT };
            calling.spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let mut wire = persona.wire().await;
                    for number in 0..most {
                        match ask(&mut wire, &request).await {
                            Ok(is_last) => {
                                answered.fetch_add(1, Ordering::Relaxed);
                                if is_last {
                                    break;
                                }
                            }
                            Err(what) => {
                                let what = format!("request {number} of a connection: {what}");
                                failed.lock().unwrap().push(what);
                                return;
                            }
                        }
                    }
                }
            });
        }
        Self { stop, answered, failed, calling }
    }

    /// Returns once so many more were answered.
    async fn more(&self, count: usize) {
        let before = self.answered.load(Ordering::Relaxed);
        until("more answers", || async {
            self.assert_none_failed();
            (self.answered.load(Ordering::Relaxed) >= before + count).then_some(())
        })
        .await;
    }

    fn assert_none_failed(&self) {
        let (answered, failed) =
            (self.answered.load(Ordering::Relaxed), self.failed.lock().unwrap());
        assert!(failed.is_empty(), "{answered} were answered, and not: {failed:#?}");
    }

    async fn end(mut self) {
        self.stop.store(true, Ordering::Relaxed);
        while let Some(ended) = self.calling.join_next().await {
            ended.unwrap();
        }
        self.assert_none_failed();
    }
}

/// Whether the answer was the last of its connection.
async fn ask(wire: &mut Wire, request: &Request) -> Result<bool, String> {
    wire.try_send(request.bytes(HOST)).await.map_err(|error| error.to_string())?;
    let answer = wire.answer().await.ok_or("closed without an answer")?;
    if answer.status != 200 {
        return Err(format!("{} {}", answer.status, answer.text()));
    }
    Ok(answer.header("connection").is_some_and(|it| it.eq_ignore_ascii_case("close")))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_binary_is_upgraded_under_load_without_a_failed_request() {
    let upstream = Upstream::start().await;
    let socket = Arc::new(TcpListener::bind("127.0.0.1:0").unwrap());
    let mut serving = Setup::standard(&upstream.url()).inheriting(&socket).start().await;
    let alice = serving.bearer("alice").await;
    // A body, and a method that nobody may send again.
    let load = Load::start(&alice, &Request::post("/api/x").body("once"));
    // The first has the database in its directory.
    let mut over = Vec::new();
    for _ in 0..3 {
        load.more(100).await;
        let next = serving.another_node().await;
        serving.terminate().await;
        load.more(100).await;
        assert_eq!(serving.ended().await.code(), Some(0));
        over.push(std::mem::replace(&mut serving, next));
    }
    load.more(100).await;
    load.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_is_restarted_lets_callers_wait_in_its_socket_and_fails_none() {
    let upstream = Upstream::start().await;
    let socket = Arc::new(TcpListener::bind("127.0.0.1:0").unwrap());
    let mut gateway = Setup::standard(&upstream.url()).inheriting(&socket).start().await;
    let load = Load::start(&gateway.bearer("alice").await, &Request::post("/api/x").body("once"));
    for _ in 0..2 {
        load.more(100).await;
        gateway = gateway.restart().await;
    }
    load.more(100).await;
    load.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_gateways_behind_a_balancer_restart_one_after_another_without_a_failed_request() {
    let upstream = Upstream::start().await;
    let place = || format!("127.0.0.1:{}", some_port());
    let setup = Setup::standard(&upstream.url()).set("limits.connections_per_address", "1000");
    let one = setup.clone().plain_address(&place()).start().await;
    let mut gates = vec![one];
    for _ in 0..2 {
        gates.push(gates[0].another_node_at(&place()).await);
    }
    let addresses: Vec<_> = gates.iter().map(Gateway::http).collect();
    let nginx = Nginx::balancing(&addresses).await;
    let alice = gates[0].bearer("alice").await.through(nginx.address);
    let load = Load::start(&alice, &Request::get("/api/x"));
    for _ in 0..gates.len() {
        load.more(100).await;
        let gate = gates.remove(0);
        gates.push(gate.restart().await);
    }
    load.more(100).await;
    load.end().await;
}

#[tokio::test]
async fn while_a_gateway_drains_what_was_sent_to_it_is_answered_and_the_answer_says_close() {
    let upstream = Upstream::start().await;
    let mut gateway = Setup::standard(&upstream.url()).start().await;
    let mut kept = gateway.wire().await;
    assert_eq!(kept.exchange(&Request::get("/public/x"), HOST).await.status, 200);
    let mut fresh = gateway.wire().await;
    close(&gateway).await;
    for wire in [&mut kept, &mut fresh] {
        wire.send(Request::get("/public/x").bytes(HOST)).await;
    }
    for wire in [&mut kept, &mut fresh] {
        assert_last(&wire.answer().await.unwrap());
    }
    assert_eq!(gateway.ended().await.code(), Some(0));
}

#[tokio::test]
async fn what_was_under_way_before_a_gateway_drains_is_answered_and_the_answer_says_close() {
    let upstream = Upstream::start().await;
    let (held, release) = Answer::status(200).held();
    upstream.script(move |_| held.clone());
    let mut gateway = Setup::standard(&upstream.url()).start().await;
    let (mut get, mut post) = (gateway.wire().await, gateway.wire().await);
    let mut idle = gateway.wire().await;
    get.send(Request::get("/public/x").bytes(HOST)).await;
    post.send(Request::post("/public/x").body("once").bytes(HOST)).await;
    upstream.received(2).await;
    close(&gateway).await;
    assert!(idle.closed().await.is_empty(), "an idle connection is closed at once");
    release.send_replace(true);
    for wire in [&mut get, &mut post] {
        assert_last(&wire.answer().await.unwrap());
    }
    assert_eq!(gateway.ended().await.code(), Some(0));
}

/// Returns once it has begun to close its connections. To drain begins before, and may take a while.
async fn close(gateway: &Gateway) {
    gateway.terminate().await;
    gateway.log.wait_for("the last requests", |line| line["event"] == "server.closing").await;
}

#[track_caller]
fn assert_last(answer: &Response) {
    assert_eq!((answer.status, answer.header("connection")), (200, Some("close")));
}

#[tokio::test]
async fn a_gateway_goes_on_accepting_for_the_delay_while_it_says_that_it_is_not_ready() {
    let upstream = Upstream::start().await;
    let setup = Setup::standard(&upstream.url()).set("drain.delay", "\"3s\"");
    let mut gateway = setup.start().await;
    gateway.terminate().await;
    let ready = until("the drain", || async {
        let ready = gateway.operations("/readyz").await;
        // It may not have been ready before.
        (ready.json()["draining"] == true).then_some(ready)
    })
    .await;
    assert_eq!(ready.status, 503, "{}", ready.text());
    assert_eq!(gateway.anonymous().get("/public/x").await.status, 200);
    assert_eq!(gateway.ended().await.code(), Some(0));
}

#[tokio::test]
async fn a_supervisor_is_told_when_the_gateway_serves_and_when_it_drains() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("notify");
    let told = UnixDatagram::bind(&path).unwrap();
    told.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let next = || {
        let mut text = [0; 64];
        let length = told.recv(&mut text).unwrap();
        String::from_utf8_lossy(&text[..length]).trim().to_owned()
    };
    let upstream = Upstream::start().await;
    let setup = Setup::standard(&upstream.url());
    let setup = setup.environment("NOTIFY_SOCKET", path.to_str().unwrap());
    let mut gateway = setup.start().await;
    assert_eq!(next(), "READY=1");
    assert_eq!(gateway.anonymous().get("/public/x").await.status, 200);
    gateway.terminate().await;
    assert_eq!(gateway.ended().await.code(), Some(0));
    assert_eq!(next(), "STOPPING=1");
}

#[tokio::test]
async fn a_socket_that_no_listener_is_configured_for_stops_the_start() {
    let upstream = Upstream::start().await;
    let socket = Arc::new(TcpListener::bind("127.0.0.1:0").unwrap());
    let setup = Setup::standard(&upstream.url()).inheriting(&socket).address("127.0.0.1:0");
    let directory = tempfile::tempdir().unwrap();
    setup.write(directory.path());
    let said = Gateway::refused_in(&directory, &setup).await;
    assert!(said.contains(&socket.local_addr().unwrap().to_string()), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_is_killed_in_the_middle_of_refreshes_logs_nobody_out() {
    let upstream = Upstream::answering(|_| Answer::status(204)).await;
    let setup = Setup::standard(&upstream.url())
        .set("tokens.refresh_grace", "\"60s\"")
        .set("rate_limits.login", "{ per_source = \"off\", per_account = \"off\" }");
    let mut gateway = setup.start().await;
    for round in 0..3 {
        let mut callers = Vec::new();
        for _ in 0..8 {
            callers.push(gateway.bearer("alice").await);
        }
        let mut refreshing = JoinSet::new();
        for caller in callers {
            let mut wire = caller.wire().await;
            refreshing.spawn(async move {
                let body = json!({ "refreshToken": caller.refresh_token });
                let request = Request::post("/auth/refresh").json(&body);
                drop(wire.try_send(request.bytes(HOST)).await);
                let answer = wire.answer().await.filter(|answer| answer.status == 200);
                (caller, answer)
            });
        }
        // At the first answer the others are anywhere.
        let mut known = Vec::new();
        if round > 0 {
            known.push(refreshing.join_next().await.unwrap().unwrap());
        }
        gateway = gateway.crash_and_restart().await;
        known.extend(refreshing.join_all().await);
        for (caller, answer) in known {
            let caller = match answer {
                Some(answer) => caller.holding(&answer.json()),
                None => caller,
            };
            let caller = gateway.anonymous().like(&caller);
            let renewed = caller.refresh().await;
            assert_eq!(renewed.status, 200, "{}", renewed.text());
            let caller = caller.holding(&renewed.json());
            assert_eq!(caller.get("/api/x").await.status, 204);
        }
    }
}
