//! The gateways, who is killed, and what was seen of them.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, RwLock};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use sqlx::PgPool;
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::credentials::Credentials;
use super::history::{Operation, Outcome, Promise};
use crate::harness::authenticator::with_factors;
use crate::harness::postgres::Server;
use crate::harness::{
    Answer, Gateway, HOST, Redis, Request, Response, Setup, Switch, Upstream, Wire,
};
use crate::recovery::unlimited;

/// A row of numbers that looks random and is the same for the same seed.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        let mut random = Self(seed);
        random.below(2);
        random
    }

    pub(crate) fn below(&mut self, most: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % most
    }
}

/// What an answer says of a credential; nothing is possible.
pub(crate) type Verdict = fn(&Response) -> Option<Outcome>;

/// One credential of a request.
#[derive(Clone)]
pub(crate) struct Mark {
    pub(crate) credential: String,
    pub(crate) promise: Promise,
    pub(crate) level: u64,
    pub(crate) verdict: Verdict,
    /// A refusal that comes later may be for its age.
    pub(crate) fresh_until: Instant,
}

/// A request that uses credentials.
pub(crate) struct Use {
    pub(crate) request: Request,
    pub(crate) marks: Vec<Mark>,
}

pub(crate) struct World {
    /// Where the nodes listen, those that do.
    nodes: RwLock<Vec<Option<SocketAddr>>>,
    began: Instant,
    history: Mutex<Vec<Operation>>,
    used: watch::Sender<usize>,
    wrong: Mutex<Vec<String>>,
    pub(crate) database: PgPool,
    pub(crate) credentials: Credentials,
    _others: (Server, Redis, Upstream, Switch),
}

impl World {
    /// Three nodes that run, and all credentials.
    pub(crate) async fn start() -> (Arc<Self>, Vec<Gateway>) {
        let (server, redis) = (Server::start(""), Redis::start().await);
        let upstream = Upstream::answering(|_| Answer::WebSocket).await;
        // Nobody takes the mails.
        let switch = Switch::off();
        let setup = unlimited(with_factors(Setup::standard(&upstream.url())))
            .set("store.database", &format!("\"{}\"", server.url()))
            .set("store.redis", &format!("\"{}\"", redis.url()))
            .set("store.redis_timeout", "\"10s\"")
            .set("tokens.refresh_grace", "\"60s\"")
            .set("lockout.failures", "1000")
            .set("rate_limits.refresh.per_source", "\"off\"")
            .set("rate_limits.mfa", "{ per_source = \"off\", per_account = \"off\" }")
            .set("limits.connections_per_address", "1000")
            .mail(switch.address);
        let one = setup.start().await;
        let (two, three) = tokio::join!(one.another_node(), one.another_node());
        let nodes = vec![one, two, three];
        let database = PgPool::connect(&server.url()).await.unwrap();
        let credentials = Credentials::make(&nodes, &database).await;
        let world = Self {
            nodes: RwLock::new(nodes.iter().map(|node| Some(node.http())).collect()),
            began: Instant::now(),
            history: Mutex::default(),
            used: watch::Sender::new(0),
            wrong: Mutex::default(),
            database,
            credentials,
            _others: (server, redis, upstream, switch),
        };
        (Arc::new(world), nodes)
    }

    pub(crate) fn used(&self) -> usize {
        *self.used.borrow()
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    pub(crate) fn history(&self) -> Vec<Operation> {
        self.history.lock().unwrap().clone()
    }

    pub(crate) fn wrong(&self) -> Vec<String> {
        self.wrong.lock().unwrap().clone()
    }

    fn some_node(&self, random: &mut Random) -> (usize, SocketAddr) {
        let nodes = self.nodes.read().unwrap();
        loop {
            let node = random.below(nodes.len());
            if let Some(address) = nodes[node] {
                return (node, address);
            }
        }
    }

    /// One request at some node, over a connection of its own; nothing where the connection broke.
    pub(crate) async fn ask(&self, random: &mut Random, request: &Request) -> Option<Response> {
        let (_, address) = self.some_node(random);
        exchange(TcpStream::connect(address).await.ok()?, request).await
    }

    /// Makes these uses at random nodes: most at the same time, the rest once they have ended. What came of each.
    pub(crate) async fn volley(&self, random: &mut Random, uses: Vec<Use>) -> Vec<Vec<Outcome>> {
        let late = uses.len() / 3;
        let at_once = uses.len() - late;
        let nodes: Vec<_> = uses.iter().map(|_| self.some_node(random)).collect();
        let mut making = uses.iter().zip(nodes).map(|(one, node)| self.make(one, node));
        let mut outcomes = join_all(making.by_ref().take(at_once)).await;
        outcomes.extend(join_all(making).await);
        outcomes
    }

    async fn make(&self, one: &Use, (node, address): (usize, SocketAddr)) -> Vec<Outcome> {
        let began = self.elapsed();
        // What reached nobody did nothing.
        let Ok(stream) = TcpStream::connect(address).await else { return Vec::new() };
        let answer = exchange(stream, &one.request).await;
        let (ended, now) = (self.elapsed(), Instant::now());
        let mut outcomes = Vec::new();
        for mark in &one.marks {
            let outcome = match &answer {
                None => Some(Outcome::Unknown),
                Some(answer) if matches!(answer.status, 500 | 502 | 503 | 504) => {
                    Some(Outcome::Unknown)
                }
                Some(answer) => (mark.verdict)(answer),
            };
            let Some(outcome) = outcome else { continue };
            if outcome == Outcome::Refused && now > mark.fresh_until {
                continue;
            }
            outcomes.push(outcome.clone());
            self.history.lock().unwrap().push(Operation {
                credential: mark.credential.clone(),
                promise: mark.promise,
                level: mark.level,
                node,
                began,
                ended,
                outcome,
            });
        }
        if let Some(answer) = answer.filter(|answer| !EXPECTED.contains(&answer.status)) {
            let what = format!("{} {}: {}", one.request.target(), answer.status, answer.text());
            self.wrong.lock().unwrap().push(what);
        }
        self.used.send_modify(|used| *used += 1);
        outcomes
    }

    /// Kills a node each so many uses, without a warning, and starts it again; how many were killed, and those
    /// that run.
    pub(crate) async fn kill(
        &self,
        mut gateways: Vec<Gateway>,
        random: &mut Random,
        uses: usize,
        each: usize,
    ) -> (usize, Vec<Gateway>) {
        let mut kills = 0;
        let mut used = self.used.subscribe();
        while (kills + 1) * each < uses {
            let next = (kills + 1) * each;
            used.wait_for(|used| *used >= next).await.unwrap();
            let which = random.below(gateways.len());
            // Nobody asks it from here on; whoever did is cut off.
            self.nodes.write().unwrap()[which] = None;
            let gateway = gateways.remove(which).crash_and_restart().await;
            self.nodes.write().unwrap()[which] = Some(gateway.http());
            gateways.insert(which, gateway);
            kills += 1;
        }
        (kills, gateways)
    }

    /// Families of refresh tokens that are no chain in the database: more than one is unused, or one was not
    /// made from another.
    pub(crate) async fn torn_families(&self) -> i64 {
        let counted = sqlx::query_scalar(
            "SELECT COUNT(*) FROM (SELECT family FROM refresh_tokens GROUP BY family \
             HAVING COUNT(*) FILTER (WHERE used_at IS NULL) > 1 \
             OR COUNT(*) - 1 <> COUNT(DISTINCT replaced_by)) AS torn",
        );
        counted.fetch_one(&self.database).await.unwrap()
    }
}

/// All that is no fault.
const EXPECTED: [u16; 7] = [101, 200, 204, 400, 401, 503, 502];

async fn exchange(stream: TcpStream, request: &Request) -> Option<Response> {
    let mut wire = Wire::over(stream);
    wire.try_send(request.bytes(HOST)).await.ok()?;
    wire.answer().await
}
