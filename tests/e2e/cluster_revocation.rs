//! Three gateways on one PostgreSQL, with Redis and without: whoever is refused at one is refused at all, within
//! the bound.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::task::JoinSet;

use crate::harness::postgres::Server;
use crate::harness::tokens::Genuine;
use crate::harness::wait::within_minutes;
use crate::harness::{Gateway, HOST, Redis, Request, Setup, Upstream, Wire, redis, until};

/// How many sessions there are, and how many of them are revoked, one after another.
#[derive(Clone, Copy)]
struct Size {
    sessions: usize,
    revocations: usize,
}

/// As `make test` has it.
const SMALL: Size = Size { sessions: 1_000, revocations: 100 };
/// As `make faults` has it.
const LARGE: Size = Size { sessions: 10_000, revocations: 500 };
/// Callers beside them.
const CALLERS: usize = 8;
/// A revocation takes effect on every gateway within this time.
const BOUND: Duration = Duration::from_secs(1);

struct Session {
    token: String,
    /// When the answer to its revocation had come, and from which node.
    revoked: Mutex<Option<(Instant, usize)>>,
}

/// Nodes, sessions, and what was seen of them.
struct World {
    size: Size,
    nodes: Vec<Gateway>,
    sessions: Vec<Session>,
    over: AtomicBool,
    asked: AtomicU64,
    unavailable: AtomicU64,
    wrong: Mutex<Vec<String>>,
}

/// The next of a row of numbers that looks random and is the same each time.
fn next(state: &mut u64, below: usize) -> usize {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    usize::try_from(*state >> 33).unwrap() % below
}

impl World {
    async fn start(size: Size, server: &Server, upstream: &Upstream) -> Self {
        Self::start_with(size, server, upstream, |setup| setup).await
    }

    async fn start_with(
        size: Size,
        server: &Server,
        upstream: &Upstream,
        more: impl FnOnce(Setup) -> Setup,
    ) -> Self {
        let setup = Setup::standard(&upstream.url())
            .set("store.database", &format!("\"{}\"", server.url()))
            .set("limits.connections_per_address", "1000");
        let setup = more(setup);
        let one = setup.start().await;
        let alice = one.bearer("alice").await;
        let genuine = Genuine::of(&alice);
        let ids: Vec<_> = (0..size.sessions)
            .map(|number| format!("0198f000-0000-7000-8000-{number:012x}"))
            .collect();
        let rows: Vec<_> = ids.iter().map(|id| format!("('{id}')")).collect();
        server.execute(&format!(
            "INSERT INTO sessions (id, user_id, created_at, last_used_at, expires_at) \
             SELECT given.id, users.id, {iat}, {iat}, {end} FROM users, (VALUES {}) AS given (id) \
             WHERE username = 'alice'",
            rows.join(", "),
            iat = genuine.claims["iat"],
            end = genuine.claims["exp"]
        ));
        let sessions = ids.iter().map(|id| {
            let token =
                Genuine::of(&alice).claim("sid", json!(id)).claim("jti", json!(id)).signed();
            Session { token, revoked: Mutex::default() }
        });
        let sessions = sessions.collect();
        let (two, three) = tokio::join!(one.another_node(), one.another_node());
        Self {
            size,
            nodes: vec![one, two, three],
            sessions,
            over: AtomicBool::new(false),
            asked: AtomicU64::new(0),
            unavailable: AtomicU64::new(0),
            wrong: Mutex::default(),
        }
    }

    fn complain(&self, what: String) {
        self.wrong.lock().unwrap().push(what);
    }

    /// The status of one request under a session, `None` where the connection broke.
    async fn ask(&self, wire: &mut Option<Wire>, node: usize, session: &Session) -> Option<u16> {
        let mut open = match wire.take() {
            Some(open) => open,
            None => self.nodes[node].wire().await,
        };
        let request = Request::get("/api/x").bearer(&session.token);
        open.try_send(request.bytes(HOST)).await.ok()?;
        let answer = open.answer().await?;
        *wire = Some(open);
        self.asked.fetch_add(1, Ordering::Relaxed);
        Some(answer.status)
    }

    /// Asks at random until all is over, and compares each answer with what was known when it was asked.
    async fn call(self: Arc<Self>, seed: u64) {
        let mut random = seed;
        let mut wires: Vec<Option<Wire>> = self.nodes.iter().map(|_| None).collect();
        while !self.over.load(Ordering::Relaxed) {
            let node = next(&mut random, self.nodes.len());
            let session = &self.sessions[next(&mut random, self.size.sessions)];
            let (known, began) = (*session.revoked.lock().unwrap(), Instant::now());
            match (self.ask(&mut wires[node], node, session).await, known) {
                (Some(200), Some((at, by))) if by == node || began - at > BOUND => {
                    self.complain(format!(
                        "node {node} let in {:?} after node {by} had answered",
                        began - at
                    ));
                }
                (Some(503) | None, _) => {
                    self.unavailable.fetch_add(1, Ordering::Relaxed);
                }
                // A refusal may be of a revocation that is under way; what stays is asked for at the end.
                (Some(200 | 401), _) => {}
                (Some(status), _) => self.complain(format!("{status}")),
            }
        }
    }

    /// Revokes some sessions at random nodes, and more until something else has happened, and waits until the
    /// others have heard of each; how long that took, sorted.
    async fn revoke(self: &Arc<Self>, happened: &AtomicBool) -> Vec<Duration> {
        let mut random = 7;
        let (mut waits, mut waited) = (JoinSet::new(), Vec::new());
        for number in 0..self.size.sessions / 2 {
            if number >= self.size.revocations && happened.load(Ordering::Relaxed) {
                break;
            }
            // Each once: the step has no common divisor with the number of all.
            let which = (number * 7_919) % self.size.sessions;
            let node = next(&mut random, self.nodes.len());
            let session = &self.sessions[which];
            let request = Request::post("/auth/logout").bearer(&session.token).body("");
            loop {
                let mut wire = self.nodes[node].wire().await;
                let answer = match wire.try_send(request.bytes(HOST)).await {
                    Ok(()) => wire.answer().await,
                    Err(_) => None,
                };
                match answer.map(|answer| answer.status) {
                    // A revocation whose answer was lost may have been made: then the session is nobody's.
                    Some(204 | 401) => break,
                    Some(503) | None => {}
                    Some(status) => panic!("a revocation was answered with {status}"),
                }
            }
            *session.revoked.lock().unwrap() = Some((Instant::now(), node));
            for other in (0..self.nodes.len()).filter(|other| *other != node) {
                waits.spawn(Arc::clone(self).until_refused(which, other));
            }
            while waits.len() > 8 {
                waited.extend(waits.join_next().await.map(Result::unwrap));
            }
        }
        waited.extend(waits.join_all().await);
        waited.sort();
        waited
    }

    /// When the request was sent that was refused, after the revocation. What was let in past the bound is
    /// complained about.
    async fn until_refused(self: Arc<Self>, which: usize, node: usize) -> Duration {
        let session = &self.sessions[which];
        let began = Instant::now();
        let mut wire = None;
        loop {
            let asked = began.elapsed();
            match self.ask(&mut wire, node, session).await {
                Some(401 | 503) => return asked,
                Some(200) if asked > BOUND => {
                    self.complain(format!("node {node} let in {asked:?} after the revocation"));
                }
                Some(_) | None => {}
            }
        }
    }
}

/// What was seen while sessions were revoked and something else happened.
async fn observe(world: &Arc<World>, during: impl Future<Output = ()>) -> Vec<Duration> {
    let mut callers = JoinSet::new();
    for seed in 0..CALLERS {
        callers.spawn(Arc::clone(world).call(u64::try_from(seed).unwrap() + 11));
    }
    let happened = AtomicBool::new(false);
    let (waits, ()) = within_minutes("the revocations", async {
        tokio::join!(world.revoke(&happened), async {
            during.await;
            happened.store(true, Ordering::Relaxed);
        })
    })
    .await;
    world.over.store(true, Ordering::Relaxed);
    callers.join_all().await;
    let wrong = world.wrong.lock().unwrap();
    assert!(
        wrong.is_empty(),
        "{} wrong answers: {:#?}",
        wrong.len(),
        &wrong[..wrong.len().min(10)]
    );
    waits
}

fn print(what: &str, world: &World, waits: &[Duration]) {
    let at = |percent: usize| waits[(waits.len() - 1) * percent / 100];
    eprintln!(
        "{what}: {} requests, {} refused for want of knowledge; no 200 came after the bound; a revocation \
         reached the other nodes within {:?} (p50), {:?} (p99), {:?} (all of {})",
        world.asked.load(Ordering::Relaxed),
        world.unavailable.load(Ordering::Relaxed),
        at(50),
        at(99),
        at(100),
        waits.len()
    );
}

/// No request asks anybody else; on a busy machine the feed may be late all the same, and then nobody is let in.
fn assert_hardly_unavailable(world: &World) {
    let unavailable = world.unavailable.load(Ordering::Relaxed);
    let asked = world.asked.load(Ordering::Relaxed);
    assert!(unavailable * 100 < asked, "{unavailable} of {asked}");
}

/// Every session that was not revoked is still let in, everywhere.
async fn assert_others_stay(world: &World) {
    for node in 0..world.nodes.len() {
        let mut wire = None;
        let others =
            world.sessions.iter().filter(|session| session.revoked.lock().unwrap().is_none());
        for session in others.step_by(97) {
            assert_eq!(world.ask(&mut wire, node, session).await, Some(200));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_reaches_every_gateway_within_the_bound() {
    revoke_at_random(SMALL).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "lasts a minute: make faults"]
async fn of_ten_thousand_sessions_every_revocation_reaches_every_gateway_within_the_bound() {
    revoke_at_random(LARGE).await;
}

async fn revoke_at_random(size: Size) {
    let (server, upstream) = (Server::start(""), Upstream::start().await);
    let world = Arc::new(World::start(size, &server, &upstream).await);
    let waits = observe(&world, async {}).await;
    print("three gateways", &world, &waits);
    assert_hardly_unavailable(&world);
    assert_others_stay(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_database_restarts_nobody_is_let_in_who_should_not_be() {
    restart_the_database(SMALL, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "lasts a minute: make faults"]
async fn while_the_database_restarts_thrice_nobody_of_ten_thousand_is_let_in_who_should_not_be() {
    restart_the_database(LARGE, 3).await;
}

async fn restart_the_database(size: Size, restarts: usize) {
    let (server, upstream) = (Server::start(""), Upstream::start().await);
    let world = Arc::new(World::start(size, &server, &upstream).await);
    let waits = observe(&world, async {
        for _ in 0..restarts {
            let asked = world.asked.load(Ordering::Relaxed);
            until("some requests", || async {
                (world.asked.load(Ordering::Relaxed) > asked + 500).then_some(())
            })
            .await;
            tokio::task::block_in_place(|| {
                server.stop();
                server.run();
            });
        }
    })
    .await;
    print("three gateways, the database stopped under load", &world, &waits);
    until("the gateways to know again", || async {
        let mut wire = None;
        let kept = world.sessions.iter().find(|session| session.revoked.lock().unwrap().is_none());
        for node in 0..world.nodes.len() {
            if world.ask(&mut wire, node, kept?).await != Some(200) {
                return None;
            }
            wire = None;
        }
        Some(())
    })
    .await;
    assert_others_stay(&world).await;
}

/// Each gateway says that it has a Redis that answers.
async fn until_redis_is_up(world: &World) {
    for node in &world.nodes {
        until("Redis to be up", || async {
            (node.metric("guarita_ephemeral_up", "").await > 0.5).then_some(())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "lasts a minute and more: make faults"]
async fn while_redis_is_killed_and_promoted_a_revocation_reaches_every_gateway_within_the_bound() {
    let (server, upstream) = (Server::start(""), Upstream::start().await);
    let mut primary = Redis::start().await;
    let replica = redis::replica(&primary).await;
    let sentinel = redis::sentinel(&primary).await;
    redis::until_watched(&primary, &replica, &sentinel).await;
    let url = format!("\"redis-sentinel://127.0.0.1:{}/main\"", sentinel.port);
    let world = World::start_with(LARGE, &server, &upstream, |setup| {
        setup.set("store.redis", &url).set("store.redis_timeout", "\"2s\"")
    });
    let world = Arc::new(world.await);
    until_redis_is_up(&world).await;
    let waits = observe(&world, async {
        let asked = world.asked.load(Ordering::Relaxed);
        until("some requests", || async {
            (world.asked.load(Ordering::Relaxed) > asked + 500).then_some(())
        })
        .await;
        primary.kill().await;
        until("the replica to be promoted", || async {
            replica.ask(&["ROLE"]).await.starts_with("master").then_some(())
        })
        .await;
        until_redis_is_up(&world).await;
    })
    .await;
    print("three gateways, the primary of Redis killed and another promoted", &world, &waits);
    assert_hardly_unavailable(&world);
    assert_others_stay(&world).await;
    // The gateways hear each other by the new primary.
    let hints = async || {
        let mut heard = Vec::new();
        for node in &world.nodes {
            heard.push(node.metric("guarita_revocation_hints_total", "by=\"redis\"").await);
        }
        heard
    };
    let before = hints().await;
    until("hints by the new primary", || async {
        let alice = world.nodes[0].bearer("alice").await;
        assert_eq!(alice.log_out().await.status, 204);
        let now = hints().await;
        // More than the one that each connection made counts as.
        now.iter().zip(&before).all(|(now, before)| now - before >= 3.0).then_some(())
    })
    .await;
}
