//! What lasts longer than a minute: `make faults` runs it, the other tests do not.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use crate::harness::provider::{Key, Provider};
use crate::harness::tokens::{Signer, token};
use crate::harness::{Answer, Gateway, HOST, Request, Setup, Upstream, Wire};

/// Tokens whose `kid` no key has.
const FALSE_KEYS: usize = 100_000;
/// Connections that bring them.
const FLOODING: usize = 8;
const ROTATIONS: usize = 60;
const COOLDOWN: Duration = Duration::from_millis(500);
/// As an hour is to keys that are fetched every five minutes and count for a day.
const OUTAGE: Duration = Duration::from_secs(24);

fn table(provider: &Provider) -> String {
    provider.table("keys_refresh = \"2s\"\nkeys_cooldown = \"500ms\"\nkeys_max_age = \"576s\"")
}

async fn status(wire: &mut Wire, token: &str) -> u16 {
    wire.exchange(&Request::get("/api/x").bearer(token), HOST).await.status
}

/// Distinct false `kid`s, until there were enough of them and it is told to stop.
fn flood(gateway: &Arc<Gateway>, claims: &Value, stop: &Arc<AtomicBool>) -> JoinSet<usize> {
    let mut flooding = JoinSet::new();
    for part in 0..FLOODING {
        let (gateway, stop) = (Arc::clone(gateway), Arc::clone(stop));
        let claims = claims.to_string();
        flooding.spawn(async move {
            let (mut sent, mut wire) = (0, gateway.wire().await);
            while sent < FALSE_KEYS / FLOODING || !stop.load(Ordering::Relaxed) {
                let header = json!({"alg": "RS256", "typ": "JWT", "kid": format!("{part}-{sent}")});
                let forged = token(&header.to_string(), &claims, &Signer::Bytes(&[7; 256]));
                assert_eq!(status(&mut wire, &forged).await, 401);
                sent += 1;
                if sent.is_multiple_of(1_000) {
                    wire = gateway.wire().await;
                }
            }
            sent
        });
    }
    flooding
}

/// Asks with whatever token is good at the moment.
fn good_callers(
    gateway: &Arc<Gateway>,
    good: &watch::Receiver<String>,
    stop: &Arc<AtomicBool>,
) -> (JoinSet<()>, Arc<AtomicUsize>) {
    let (mut calling, answers) = (JoinSet::new(), Arc::new(AtomicUsize::new(0)));
    for _ in 0..2 {
        let (gateway, good, stop) = (Arc::clone(gateway), good.clone(), Arc::clone(stop));
        let answers = Arc::clone(&answers);
        calling.spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                let mut wire = gateway.wire().await;
                for _ in 0..500 {
                    let token = good.borrow().clone();
                    assert_eq!(status(&mut wire, &token).await, 200);
                    answers.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
    }
    (calling, answers)
}

/// jwks-dos: a new key every second, while 100,000 tokens name keys that do not exist.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "lasts minutes: make faults"]
async fn rotating_keys_count_under_a_flood_of_false_ones_and_are_fetched_once_per_cooldown() {
    // Another `kid` is another key; to make one takes longer than a second at times.
    let pool: Vec<Key> = (0..4).map(|_| Key::new("")).collect();
    let key = |number: usize| Key { id: format!("k{number}"), ..pool[number % pool.len()].clone() };
    let provider = Provider::start(&[&key(0), &key(1)]).await;
    let upstream = Upstream::start().await;
    let setup = Setup::standard(&upstream.url()).table(&table(&provider));
    let gateway = Arc::new(setup.start().await);
    let sign = |number| key(number).sign(&provider.claims("ada"));
    let (fresh, good) = watch::channel(sign(0));
    let mut wire = gateway.wire().await;
    assert_eq!(status(&mut wire, &good.borrow().clone()).await, 200);
    let (stop, began) = (Arc::new(AtomicBool::new(false)), Instant::now());
    let before = provider.key_fetches();
    let mut claims = provider.claims("eve");
    claims["app_roles"] = json!(["admin"]);
    let flooding = flood(&gateway, &claims, &stop);
    let (calling, answers) = good_callers(&gateway, &good, &stop);
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.tick().await;
    for number in 1..=ROTATIONS {
        // A key signs once it was there for a second, and stays for one after the next signs.
        ticks.tick().await;
        provider.publish(&[&key(number - 1), &key(number), &key(number + 1)]);
        fresh.send_replace(sign(number));
    }
    stop.store(true, Ordering::Relaxed);
    let sent: usize = flooding.join_all().await.into_iter().sum();
    calling.join_all().await;
    let (lasted, fetches) = (began.elapsed(), provider.key_fetches() - before);
    let most = usize::try_from(lasted.as_millis() / COOLDOWN.as_millis()).unwrap() + 1;
    println!(
        "{sent} false keys and {} good answers in {lasted:?}: {fetches} fetches, at most {most}",
        answers.load(Ordering::Relaxed)
    );
    assert!(sent >= FALSE_KEYS && fetches <= most && fetches >= ROTATIONS / 2);
    // Keys that were taken away long ago count no more.
    assert_eq!(status(&mut gateway.wire().await, &sign(1)).await, 401);
    assert_eq!(status(&mut gateway.wire().await, &sign(ROTATIONS)).await, 200);
}

/// jwks-dos-001: the provider is away for as long as it takes to miss twelve fetches.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "lasts minutes: make faults"]
async fn known_keys_count_through_an_hour_without_the_provider_under_a_flood() {
    let key = Key::new("k1");
    let provider = Provider::start(&[&key]).await;
    let upstream = Upstream::start().await;
    let setup = Setup::standard(&upstream.url()).table(&table(&provider));
    let gateway = Arc::new(setup.start().await);
    let (_fresh, good) = watch::channel(key.sign(&provider.claims("ada")));
    assert_eq!(status(&mut gateway.wire().await, &good.borrow().clone()).await, 200);
    provider.fail(Answer::status(503));
    let (stop, began) = (Arc::new(AtomicBool::new(false)), Instant::now());
    let flooding = flood(&gateway, &provider.claims("eve"), &stop);
    let (calling, answers) = good_callers(&gateway, &good, &stop);
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    while began.elapsed() < OUTAGE {
        ticks.tick().await;
        // One that nobody saw before: it is not only remembered.
        let unseen = key.sign(&provider.claims(&format!("bob-{:?}", began.elapsed())));
        assert_eq!(status(&mut gateway.wire().await, &unseen).await, 200);
    }
    stop.store(true, Ordering::Relaxed);
    let sent: usize = flooding.join_all().await.into_iter().sum();
    calling.join_all().await;
    let asked = provider.server.requests().len();
    println!(
        "{sent} false keys and {} good answers in {:?} without the provider, which was asked {asked} times",
        answers.load(Ordering::Relaxed),
        began.elapsed(),
    );
    let most = usize::try_from(began.elapsed().as_millis() / COOLDOWN.as_millis()).unwrap();
    assert!(asked <= 2 * most + 4, "{asked} {most}");
}
