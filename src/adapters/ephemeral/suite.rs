//! What rates and tickets promise, wherever they are kept: one suite for memory, database and Redis, the latter as
//! one server, behind Sentinel, as a cluster, with TLS and under a user that may do no more than it must.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;

use super::ephemeral::Place;
use super::sample::{self, Redis};
use super::*;
use crate::adapters::store::sample as stored;
use crate::model::{Secret, Timestamp, clock, random};

const HOUR: Duration = Duration::from_secs(3_600);
const LIFE: Duration = Duration::from_secs(60);
/// How long any condition may take.
const DEADLINE: Duration = Duration::from_secs(30);
/// How often a condition is looked at.
const TICK: Duration = Duration::from_millis(10);

#[derive(Hash)]
struct Who(String);

impl Counted for Who {
    fn name(&self) -> String {
        self.0.clone()
    }
}

/// Somebody whom no other test counts.
fn somebody() -> Who {
    Who(random::ordered_uuid().to_string())
}

fn rate(count: u32, period: Duration) -> Rate {
    Rate { count: NonZeroU32::new(count).unwrap(), period }
}

fn ticket() -> Secret {
    random::token().unwrap()
}

/// Two gateways that share what they keep.
struct Pair {
    rates: [Arc<Rates>; 2],
    tickets: [Arc<Tickets<String>>; 2],
    few: [Arc<Tickets<String>>; 2],
    /// How far the clock of the second is off.
    skew: Duration,
}

impl Pair {
    fn of(nodes: [&Ephemeral; 2]) -> Self {
        // Of one process in memory it is one, whoever asks.
        let alone = matches!(nodes[0].place, Place::Memory);
        let both = |at: usize| if alone { 0 } else { at };
        let rates = nodes.map(|node| Arc::new(node.rates(1_000)));
        let tickets = nodes.map(|node| Arc::new(node.tickets("suite", 1_000)));
        let few = nodes.map(|node| Arc::new(node.tickets("few", 3)));
        Self {
            rates: [0, 1].map(|at| Arc::clone(&rates[both(at)])),
            tickets: [0, 1].map(|at| Arc::clone(&tickets[both(at)])),
            few: [0, 1].map(|at| Arc::clone(&few[both(at)])),
            skew: if alone { Duration::ZERO } else { Duration::from_secs(300) },
        }
    }

    /// The clock of the first, and that of the second, which is wrong where clocks are not to count.
    fn clocks(&self) -> [Timestamp; 2] {
        [clock::now(), clock::now().plus(self.skew)]
    }

    async fn take(&self, at: usize, who: &Who, rate: Rate) -> Result<(), Duration> {
        self.rates[at].take(who, rate, Instant::now()).await
    }

    async fn put(&self, at: usize, ticket: &Secret, attempts: u32, life: Duration) {
        let value = format!("of {}", ticket.expose());
        let now = self.clocks()[at];
        self.tickets[at].put(ticket, value, attempts, life, now).await.unwrap().unwrap();
    }
}

/// Asks until it is so.
async fn until(what: &str, mut probe: impl AsyncFnMut() -> bool) {
    let asking = async {
        let mut ticks = tokio::time::interval(TICK);
        loop {
            ticks.tick().await;
            if probe().await {
                return;
            }
        }
    };
    tokio::time::timeout(DEADLINE, asking).await.unwrap_or_else(|_| panic!("{what}: not in time"));
}

/// All of it.
async fn holds(pair: &Pair) {
    bursts_end_and_others_are_free(pair).await;
    what_is_told_to_wait_is_what_it_takes(pair).await;
    of_many_at_once_no_more_than_the_count_get_through(pair).await;
    a_rate_may_become_stricter(pair).await;
    a_ticket_ends_with_its_attempts_or_its_use(pair).await;
    of_fifty_who_take_one_ticket_one_gets_it(pair).await;
    of_fifty_attempts_no_more_than_allowed_count(pair).await;
    a_ticket_ends_with_its_time(pair).await;
    a_full_kind_takes_none_until_there_is_room(pair).await;
}

async fn bursts_end_and_others_are_free(pair: &Pair) {
    let (who, ten) = (somebody(), rate(10, HOUR));
    for number in 0..10 {
        assert_eq!(pair.take(number % 2, &who, ten).await, Ok(()), "{number}");
    }
    for at in [0, 1] {
        let wait = pair.take(at, &who, ten).await.unwrap_err();
        assert!(wait > Duration::ZERO && wait <= HOUR / 10, "{wait:?}");
        assert_eq!(pair.take(at, &somebody(), ten).await, Ok(()));
    }
}

async fn what_is_told_to_wait_is_what_it_takes(pair: &Pair) {
    let (who, five) = (somebody(), rate(5, Duration::from_secs(10)));
    let (begin, mut passed) = (Instant::now(), 0);
    let wait = loop {
        match pair.take(passed % 2, &who, five).await {
            Ok(()) => passed += 1,
            Err(wait) => break wait,
        }
    };
    let told = Instant::now();
    assert!(passed >= 5 && wait <= five.period / 5, "{passed} {wait:?}");
    until("the bucket to drain", async || pair.take(0, &who, five).await.is_ok()).await;
    passed += 1;
    assert!(told.elapsed() + Duration::from_millis(50) >= wait, "sooner than told");
    let allowed = 5.0 + begin.elapsed().as_secs_f64() / 2.0;
    assert!(f64::from(u32::try_from(passed).unwrap()) <= allowed + 0.1, "{passed} of {allowed}");
}

async fn of_many_at_once_no_more_than_the_count_get_through(pair: &Pair) {
    let (who, ten) = (somebody(), rate(10, HOUR));
    let all = (0..50).map(|number| pair.take(number % 2, &who, ten));
    let passed = join_all(all).await.iter().filter(|taken| taken.is_ok()).count();
    assert_eq!(passed, 10);
}

async fn a_rate_may_become_stricter(pair: &Pair) {
    let who = somebody();
    for _ in 0..10 {
        pair.take(0, &who, rate(10, HOUR)).await.unwrap();
    }
    assert!(pair.take(1, &who, rate(10, HOUR / 2)).await.is_err());
    assert!(pair.take(0, &who, rate(1_000, HOUR * 2)).await.is_ok());
}

async fn a_ticket_ends_with_its_attempts_or_its_use(pair: &Pair) {
    let one = ticket();
    pair.put(0, &one, 2, LIFE).await;
    let value = Some(format!("of {}", one.expose()));
    for at in [1, 0] {
        let now = pair.clocks()[at];
        assert_eq!(pair.tickets[at].attempt(&one, now).await, Ok(value.clone()), "{at}");
    }
    for at in [0, 1] {
        assert_eq!(pair.tickets[at].attempt(&one, pair.clocks()[at]).await, Ok(None));
    }
    let other = ticket();
    // Made by the gateway whose clock is ahead, for the one whose clock is behind.
    pair.put(1, &other, 1, LIFE).await;
    let [now, ahead] = pair.clocks();
    assert_eq!(pair.tickets[0].take(&ticket(), now).await, Ok(None), "never made");
    assert_eq!(pair.few[0].take(&other, now).await, Ok(None), "of another kind");
    let value = Some(format!("of {}", other.expose()));
    assert_eq!(pair.tickets[0].take(&other, now).await, Ok(value));
    assert_eq!(pair.tickets[1].take(&other, ahead).await, Ok(None), "twice");
    assert_eq!(pair.tickets[1].attempt(&other, ahead).await, Ok(None), "after its use");
}

async fn of_fifty_who_take_one_ticket_one_gets_it(pair: &Pair) {
    let one = ticket();
    pair.put(0, &one, 1, LIFE).await;
    let all = (0..50).map(|at| pair.tickets[at % 2].take(&one, pair.clocks()[at % 2]));
    let got = join_all(all).await.into_iter().filter(|taken| matches!(taken, Ok(Some(_)))).count();
    assert_eq!(got, 1);
}

async fn of_fifty_attempts_no_more_than_allowed_count(pair: &Pair) {
    let one = ticket();
    pair.put(0, &one, 5, LIFE).await;
    let all = (0..50).map(|at| pair.tickets[at % 2].attempt(&one, pair.clocks()[at % 2]));
    let got = join_all(all).await.into_iter().filter(|found| matches!(found, Ok(Some(_)))).count();
    assert_eq!(got, 5);
}

async fn a_ticket_ends_with_its_time(pair: &Pair) {
    let one = ticket();
    let begin = Instant::now();
    pair.put(0, &one, u32::from(u16::MAX), Duration::from_secs(2)).await;
    let there = async |at: usize| {
        matches!(pair.tickets[at].attempt(&one, pair.clocks()[at]).await, Ok(Some(_)))
    };
    assert!(there(1).await || begin.elapsed() > Duration::from_secs(1));
    until("the ticket to end", async || !there(1).await).await;
    assert!(begin.elapsed() > Duration::from_millis(900), "{:?}", begin.elapsed());
    assert_eq!(pair.tickets[0].take(&one, pair.clocks()[0]).await, Ok(None));
}

async fn a_full_kind_takes_none_until_there_is_room(pair: &Pair) {
    let put = async |at: usize, life: u64| {
        let (ticket, now) = (ticket(), pair.clocks()[at]);
        let life = Duration::from_secs(life);
        let kept = pair.few[at].put(&ticket, "few".into(), 1, life, now).await.unwrap();
        kept.map(|()| ticket)
    };
    let used = async |ticket: &Secret| {
        assert!(pair.few[0].take(ticket, pair.clocks()[0]).await.unwrap().is_some());
    };
    let first = put(0, 60).await.unwrap();
    let second = put(1, 60).await.unwrap();
    put(0, 5).await.unwrap();
    assert_eq!(put(1, 60).await.unwrap_err(), Full);
    used(&first).await;
    let third = put(1, 60).await.expect("one was taken");
    let mut fourth = None;
    until("one to end", async || {
        fourth = put(0, 60).await.ok();
        fourth.is_some()
    })
    .await;
    assert_eq!(put(1, 60).await.unwrap_err(), Full);
    for ticket in [&second, &third, &fourth.unwrap()] {
        used(ticket).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_keeps_what_it_promises() {
    let memory = Ephemeral::memory();
    holds(&Pair::of([&memory, &memory])).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_keeps_what_it_promises() {
    let (directory, store) = stored::open().await;
    let other = stored::reopen(directory.path()).await;
    let [one, other] = [&store, &other].map(|store| async move {
        Ephemeral::open(&Settings::Database, store, clock::now()).await.unwrap()
    });
    let (one, other) = (one.await, other.await);
    holds(&Pair::of([&one, &other])).await;
    assert!(one.is_up());
}

/// Two gateways on that Redis, as they are configured; their connections last as long as the value.
struct Gateways {
    nodes: [Ephemeral; 2],
    _directory: stored::Place,
    tasks: tokio::task::JoinSet<()>,
}

impl Gateways {
    async fn on(url: &str, ca: Option<&str>) -> Self {
        // Other tests are busy too: an answer that is late must not change what is counted.
        Self::within(url, ca, Duration::from_secs(10)).await
    }

    async fn within(url: &str, ca: Option<&str>, timeout: Duration) -> Self {
        drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
        let settings = settings::Redis {
            address: Address::parse(url).unwrap(),
            ca: ca.map(|pem| pem.as_bytes().to_vec()),
            prefix: "gate".into(),
            timeout,
        };
        let settings = Settings::Redis(Box::new(settings));
        let (directory, store) = stored::open().await;
        let other = stored::reopen(directory.path()).await;
        let nodes = [
            Ephemeral::open(&settings, &store, clock::now()).await.unwrap(),
            Ephemeral::open(&settings, &other, clock::now()).await.unwrap(),
        ];
        let mut tasks = tokio::task::JoinSet::new();
        for node in &nodes {
            tasks.spawn(node.clone().run());
        }
        let gateways = Self { nodes, _directory: directory, tasks };
        gateways.until_up().await;
        gateways
    }

    async fn until_up(&self) {
        for node in &self.nodes {
            until("Redis to answer", async || node.is_up()).await;
        }
    }

    fn pair(&self) -> Pair {
        Pair::of([&self.nodes[0], &self.nodes[1]])
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_keeps_what_it_promises_and_tells_nothing() {
    let server = Redis::start().await;
    let gateways = Gateways::on(&server.url(), None).await;
    let pair = gateways.pair();
    holds(&pair).await;
    let told = Who("192.0.2.1 alice@example.test".into());
    pair.take(0, &told, rate(10, HOUR)).await.unwrap();
    let kept = ticket();
    pair.put(0, &kept, 1, LIFE).await;
    let keys = server.keys().await;
    assert!(keys.len() > 5, "{keys:?}");
    for key in &keys {
        assert!(key.starts_with("gate:"), "{key}");
        let left = server.ask(&["PTTL", key]).await;
        assert!(left.parse::<i64>().is_ok_and(|left| left != -1), "{key} is kept for ever: {left}");
        let kind = server.ask(&["TYPE", key]).await;
        let value = match kind.as_str() {
            "hash" => server.ask(&["HGETALL", key]).await,
            "zset" => server.ask(&["ZRANGE", key, "0", "-1"]).await,
            _ => server.ask(&["GET", key]).await,
        };
        for secret in ["192.0.2.1", "alice", kept.expose(), "of "] {
            assert!(!key.contains(secret) && !value.contains(secret), "{key}: {value}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_somebody_else_wrote_into_redis_is_no_ticket() {
    let server = Redis::start().await;
    let gateways = Gateways::on(&server.url(), None).await;
    let pair = gateways.pair();
    let (one, other) = (ticket(), ticket());
    for ticket in [&one, &other] {
        pair.put(0, ticket, 5, LIFE).await;
    }
    let keys = server.keys().await;
    let mut values: Vec<_> = keys.into_iter().filter(|key| key.contains("suite}:")).collect();
    values.retain(|key| !key.ends_with(":all"));
    let [first, second] = values.as_slice() else { panic!("{values:?}") };
    // The value of one ticket under the name of the other, and what was made up.
    let value = server.ask(&["HGET", first, "value"]).await;
    server.ask(&["HSET", second, "value", &value]).await;
    server.ask(&["HSET", first, "value", "\"made up\""]).await;
    let now = clock::now();
    assert_eq!(pair.tickets[0].attempt(&one, now).await, Ok(None));
    assert_eq!(pair.tickets[1].take(&other, now).await, Ok(None));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_redis_limits_hold_on_each_gateway_and_no_ticket_counts() {
    let mut server = Redis::start().await;
    let gateways = Gateways::on(&server.url(), None).await;
    let (pair, who, ten, kept) = (gateways.pair(), somebody(), rate(10, HOUR), ticket());
    for _ in 0..6 {
        pair.take(0, &who, ten).await.unwrap();
    }
    pair.put(0, &kept, 5, LIFE).await;
    server.kill().await;
    let now = clock::now();
    until("the loss to show", async || {
        pair.tickets[0].attempt(&kept, now).await == Err(OutOfReach)
    })
    .await;
    assert!(!gateways.nodes[0].is_up());
    // What the first gateway let through before counts on.
    for _ in 0..4 {
        assert_eq!(pair.take(0, &who, ten).await, Ok(()));
    }
    assert!(pair.take(0, &who, ten).await.is_err(), "a limit stays");
    for passed in [true; 10].iter().chain(&[false]) {
        assert_eq!(pair.take(1, &who, ten).await.is_ok(), *passed, "it is another's own");
    }
    let fresh = ticket();
    assert_eq!(pair.tickets[0].put(&fresh, "x".into(), 1, LIFE, now).await, Err(OutOfReach));
    assert_eq!(pair.tickets[0].take(&kept, now).await, Err(OutOfReach));
    server.restart().await;
    gateways.until_up().await;
    assert_eq!(pair.tickets[0].take(&kept, now).await, Ok(None), "it was wiped");
    pair.put(0, &fresh, 1, LIFE).await;
    assert!(pair.tickets[1].take(&fresh, now).await.unwrap().is_some());
    assert_eq!(pair.take(1, &who, ten).await, Ok(()), "it counts for all again");
}

/// A server that is there and says nothing costs one question its time-out, and the next ones nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_hangs_is_not_waited_for_again() {
    let server = Redis::start().await;
    let timeout = Duration::from_millis(250);
    let gateways = Gateways::within(&server.url(), None, timeout).await;
    let (pair, now) = (gateways.pair(), clock::now());
    server.freeze().await;
    until("the loss to show", async || {
        pair.tickets[0].attempt(&ticket(), now).await == Err(OutOfReach)
    })
    .await;
    let begin = Instant::now();
    for _ in 0..100 {
        assert_eq!(pair.tickets[0].attempt(&ticket(), now).await, Err(OutOfReach));
        assert_eq!(pair.take(0, &somebody(), rate(1, HOUR)).await, Ok(()));
    }
    // A hundred time-outs would be 25 s.
    assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
    server.go_on().await;
    gateways.until_up().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_needs_no_more_than_is_documented() {
    let server = Redis::start().await;
    let documented = include_str!("../../../docs/operations.md");
    let line = documented.lines().find(|line| line.contains("ACL SETUSER")).unwrap();
    let rules = line.trim().replace("guarita:*", "gate:*").replace("PASSWORD", "hunter2");
    let rules: Vec<_> = rules.split_whitespace().collect();
    assert_eq!(server.ask(&rules).await, "OK");
    let url = format!("redis://guarita:hunter2@127.0.0.1:{}", server.port);
    let gateways = Gateways::on(&url, None).await;
    holds(&gateways.pair()).await;
    hints_arrive(&gateways).await;
    server.ask(&["SET", "other", "1"]).await;
    for refused in [&["GET", "other"][..], &["KEYS", "*"], &["FLUSHALL"]] {
        let who = ["--user", "guarita", "--pass", "hunter2", "--no-auth-warning"];
        let said = server.ask(&[&who[..], refused].concat()).await;
        assert!(said.contains("NOPERM"), "{refused:?}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_must_be_of_the_cas_that_are_named() {
    let (ca, chain, key) = certificates();
    let server = Redis::start_with(|directory, port| {
        for (name, text) in [("ca", &ca), ("chain", &chain), ("key", &key)] {
            std::fs::write(directory.join(name), text).unwrap();
        }
        let port = port.to_string();
        let arguments = [
            ["--port", "0"],
            ["--tls-port", &port],
            ["--tls-cert-file", "chain"],
            ["--tls-key-file", "key"],
            ["--tls-ca-cert-file", "ca"],
            ["--tls-auth-clients", "no"],
        ];
        arguments.as_flattened().iter().map(|text| (*text).to_owned()).collect()
    })
    .await;
    let url = format!("rediss://localhost:{}", server.port);
    let gateways = Gateways::on(&url, Some(&ca)).await;
    holds(&gateways.pair()).await;
    hints_arrive(&gateways).await;
    let (other_ca, _, _) = certificates();
    for ca in [Some(other_ca), None] {
        let settings = settings::Redis {
            address: Address::parse(&url).unwrap(),
            ca: ca.map(String::into_bytes),
            prefix: "gate".into(),
            timeout: LIFE,
        };
        let refused = examine(&settings).await.unwrap_err();
        assert!(refused.to_lowercase().contains("certificate"), "{refused}");
    }
}

/// A CA, and a chain and a key for `localhost` by it.
fn certificates() -> (String, String, String) {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = params.self_signed(&key).unwrap().pem();
    let issuer = Issuer::new(params, key);
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let chain = params.signed_by(&key, &issuer).unwrap().pem();
    (ca, chain, key.serialize_pem())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_primary_that_sentinel_names_is_followed_through_a_failover() {
    let mut primary = Redis::start().await;
    let replica = sample::replica(&primary).await;
    until("the replica to follow", async || {
        primary.ask(&["INFO", "replication"]).await.contains("state=online")
    })
    .await;
    let sentinel = sample::sentinel(&primary).await;
    until("the Sentinel to know the replica", async || {
        let said = sentinel.ask(&["SENTINEL", "REPLICAS", "main"]).await;
        said.contains(&replica.port.to_string())
    })
    .await;
    // The first Sentinel that is named does not answer.
    let nobody = sample::some_port();
    let url = format!("redis-sentinel://127.0.0.1:{nobody},127.0.0.1:{}/main", sentinel.port);
    let gateways = Gateways::on(&url, None).await;
    let pair = gateways.pair();
    holds(&pair).await;
    let (kept, before) = (ticket(), primary.keys().await);
    pair.put(0, &kept, 5, LIFE).await;
    let mut fresh = primary.keys().await;
    fresh.retain(|key| !key.ends_with(":all") && key.contains("{ticket:") && !before.contains(key));
    let [fresh] = fresh.as_slice() else { panic!("{fresh:?}") };
    until("the ticket to be replicated", async || replica.ask(&["EXISTS", fresh]).await == "1")
        .await;
    primary.kill().await;
    let now = clock::now();
    until("the loss to show", async || {
        pair.tickets[0].attempt(&ticket(), now).await == Err(OutOfReach)
    })
    .await;
    gateways.until_up().await;
    let role = replica.ask(&["ROLE"]).await;
    assert!(role.starts_with("master"), "{role}");
    assert!(pair.tickets[1].take(&kept, now).await.unwrap().is_some(), "it was replicated");
    holds(&pair).await;
    hints_arrive(&gateways).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_keeps_what_it_promises() {
    let nodes = sample::cluster().await;
    let places: Vec<_> = nodes.iter().map(|node| format!("127.0.0.1:{}", node.port)).collect();
    let gateways = Gateways::on(&format!("redis-cluster://{}", places.join(",")), None).await;
    let pair = gateways.pair();
    holds(&pair).await;
    hints_arrive(&gateways).await;
    for number in 0..50 {
        let who = somebody();
        assert_eq!(pair.take(number % 2, &who, rate(1, HOUR)).await, Ok(()));
        assert!(pair.take((number + 1) % 2, &who, rate(1, HOUR)).await.is_err(), "{number}");
    }
    for node in &nodes {
        let keys = node.keys().await;
        assert!(keys.iter().any(|key| key.contains(":rate:")), "{keys:?}");
    }
}

/// A hint that one gateway gives is heard by the other.
async fn hints_arrive(gateways: &Gateways) {
    let [one, other] = [0, 1].map(|at| gateways.nodes[at].hints().unwrap());
    let (heard, mut counted) = tokio::sync::watch::channel(0);
    let listening = tokio::spawn(other.run(heard));
    let changed = tokio::time::timeout(DEADLINE, counted.changed()).await;
    changed.expect("it listens in time").unwrap();
    for _ in 0..3 {
        until("a hint to be taken", async || one.publish().await.is_ok()).await;
        let changed = tokio::time::timeout(DEADLINE, counted.changed()).await;
        changed.expect("a hint in time").unwrap();
    }
    listening.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hints_are_heard_again_after_a_loss_and_it_counts_as_one() {
    let mut server = Redis::start().await;
    let gateways = Gateways::on(&server.url(), None).await;
    let (heard, mut counted) = tokio::sync::watch::channel(0);
    let _listening = {
        let hints = gateways.nodes[0].hints().unwrap();
        tokio::spawn(hints.run(heard))
    };
    let mut next = async |what: &str| {
        let changed = tokio::time::timeout(DEADLINE, counted.changed()).await;
        changed.unwrap_or_else(|_| panic!("{what}: not in time")).unwrap();
    };
    next("the first connection").await;
    server.kill().await;
    until("a hint to be refused", async || {
        gateways.nodes[1].hints().unwrap().publish().await == Err(OutOfReach)
    })
    .await;
    server.restart().await;
    next("the second connection").await;
    gateways.until_up().await;
    gateways.nodes[1].hints().unwrap().publish().await.unwrap();
    next("a hint").await;
    assert!(!gateways.tasks.is_empty());
}

#[tokio::test]
async fn an_operator_hears_version_and_eviction() {
    let server = Redis::start().await;
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    let settings = settings::Redis {
        address: Address::parse(&server.url()).unwrap(),
        ca: None,
        prefix: "gate".into(),
        timeout: LIFE,
    };
    let found = examine(&settings).await.unwrap();
    assert!(found.version.is_some_and(|version| version.contains('.')));
    assert_eq!(found.evicts, None);
    server.ask(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]).await;
    assert_eq!(examine(&settings).await.unwrap().evicts.as_deref(), Some("allkeys-lru"));
    server.ask(&["CONFIG", "SET", "requirepass", "hunter2"]).await;
    let refused = examine(&settings).await.unwrap_err();
    assert!(refused.contains("NOAUTH"), "{refused}");
}
