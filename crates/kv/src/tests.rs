//! One test suite of rates and tickets for all backends: memory, database and Redis, the latter as one server,
//! behind Sentinel, as a cluster, with TLS, and with a user that has only the permissions that are needed.

use std::num::NonZeroU32;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;

use super::backend::Backend;
use super::sample::Redis;
use super::*;
use guarita_core::{Secret, Timestamp, random, time};
use guarita_store::sample as stored;

mod promises;
mod servers;

use promises::holds;

const HOUR: Duration = Duration::from_secs(3_600);
const LIFE: Duration = Duration::from_secs(60);
/// How long any condition may take.
const DEADLINE: Duration = Duration::from_secs(60);
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
    rates: [Arc<RateCounters>; 2],
    tickets: [Arc<Tickets<String>>; 2],
    few: [Arc<Tickets<String>>; 2],
    /// How far the clock of the second is off.
    skew: Duration,
}

impl Pair {
    fn of(nodes: [&Ephemeral; 2]) -> Self {
        // Of one process in memory it is one, whoever asks.
        let alone = matches!(nodes[0].place, Backend::Memory);
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
        [time::now(), time::now().plus(self.skew)]
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
        Ephemeral::open(&KvSettings::Database, store, time::now()).await.unwrap()
    });
    let (one, other) = (one.await, other.await);
    holds(&Pair::of([&one, &other])).await;
    assert!(one.is_up());
}

/// With a server, that is: SQLite has one writer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tickets_in_a_database_are_kept_and_spent_beside_another_writer() {
    let (directory, store) = stored::open().await;
    if !stored::is_postgres(directory.path()) {
        return;
    }
    let node = Ephemeral::open(&KvSettings::Database, &store, time::now()).await.unwrap();
    let pair = Pair::of([&node, &node]);
    let (now, tickets) = (time::now(), &pair.tickets[0]);
    let other = stored::reopen(directory.path()).await;
    let writing = other.begin_write().await.unwrap();
    let (one, kept) = (ticket(), ticket());
    let value = Some(format!("of {}", one.expose()));
    pair.put(0, &one, 2, LIFE).await;
    assert_eq!(tickets.attempt(&one, now).await, Ok(value.clone()));
    assert_eq!(tickets.take(&one, now).await, Ok(value));
    assert_eq!(tickets.take(&one, now).await, Ok(None), "twice");
    drop(writing);
    // Taken in a transaction, it is taken for others once that is kept, and not where it is given up.
    for (keeps, ticket) in [(true, ticket()), (false, kept)] {
        pair.put(0, &ticket, 1, LIFE).await;
        let mut transaction = other.begin_write().await.unwrap();
        let within = tickets.take_within(&mut transaction, &ticket, now).await.unwrap();
        assert!(within.is_some());
        let (taken, ()) = tokio::join!(tickets.take(&ticket, now), async {
            match keeps {
                true => transaction.commit().await.unwrap(),
                false => drop(transaction),
            }
        });
        assert_eq!(taken.unwrap().is_none(), keeps);
    }
}

fn settings_of(url: &str, ca: Option<&str>, timeout: Duration) -> KvSettings {
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    KvSettings::Redis(Box::new(settings::Redis {
        address: Address::parse(url).unwrap(),
        ca: ca.map(|pem| pem.as_bytes().to_vec()),
        prefix: "gate".into(),
        timeout,
    }))
}

/// Two gateways on that Redis, as they are configured; their connections last as long as the value.
struct Gateways {
    nodes: [Ephemeral; 2],
    _directory: stored::SampleStore,
    tasks: tokio::task::JoinSet<()>,
}

impl Gateways {
    async fn on(url: &str, ca: Option<&str>) -> Self {
        // Other tests are busy too: an answer that is late must not change what is counted.
        Self::within(url, ca, Duration::from_secs(10)).await
    }

    async fn within(url: &str, ca: Option<&str>, timeout: Duration) -> Self {
        let settings = settings_of(url, ca, timeout);
        let (directory, store) = stored::open().await;
        let other = stored::reopen(directory.path()).await;
        let nodes = [
            Ephemeral::open(&settings, &store, time::now()).await.unwrap(),
            Ephemeral::open(&settings, &other, time::now()).await.unwrap(),
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
    let now = time::now();
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
    let now = time::now();
    until("the loss to show", async || {
        pair.tickets[0].attempt(&kept, now).await == Err(KvUnavailable)
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
    assert_eq!(pair.tickets[0].put(&fresh, "x".into(), 1, LIFE, now).await, Err(KvUnavailable));
    assert_eq!(pair.tickets[0].take(&kept, now).await, Err(KvUnavailable));
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
    let (pair, now) = (gateways.pair(), time::now());
    server.freeze().await;
    until("the loss to show", async || {
        pair.tickets[0].attempt(&ticket(), now).await == Err(KvUnavailable)
    })
    .await;
    let begin = Instant::now();
    for _ in 0..100 {
        assert_eq!(pair.tickets[0].attempt(&ticket(), now).await, Err(KvUnavailable));
        assert_eq!(pair.take(0, &somebody(), rate(1, HOUR)).await, Ok(()));
    }
    // A hundred time-outs would be 25 s.
    assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
    server.go_on().await;
    gateways.until_up().await;
}

/// Whoever waits for it serves nobody whom Redis would not have heard of.
#[tokio::test]
async fn it_is_known_whether_a_server_answers_once_it_was_tried() {
    let server = Redis::start().await;
    let nobody = format!("redis://127.0.0.1:{}", sample::some_port());
    let (_directory, store) = stored::open().await;
    for (url, is_up) in [(server.url(), true), (nobody, false)] {
        let settings = settings_of(&url, None, Duration::from_secs(10));
        let node = Ephemeral::open(&settings, &store, time::now()).await.unwrap();
        let mut known = pin!(node.until_known());
        assert!(known.as_mut().now_or_never().is_none(), "nobody has tried");
        let running = tokio::spawn(node.clone().run());
        tokio::time::timeout(DEADLINE, known).await.expect("an attempt in time");
        assert_eq!(node.is_up(), is_up, "{url}");
        running.abort();
    }
}
