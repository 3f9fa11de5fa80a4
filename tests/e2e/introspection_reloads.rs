//! Both lists of those who may ask about tokens change all the time, and nobody gets a wrong answer.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use crate::harness::certificates::{Authority, Client};
use crate::harness::{Gateway, HOST, Request, Setup, Upstream, Wire, cli, until};
use crate::introspection::{INTROSPECT, by, form};

/// Between two questions of one caller: reloads have a core, too.
const BETWEEN: Duration = Duration::from_millis(10);
/// Who is removed is never let in from then on.
const REMOVED_FOR: Duration = Duration::from_secs(1);

fn secret(name: &str) -> String {
    format!("the-secret-of-{name}-0123456789abcdef")
}

/// `always` may ask in every one, `once-N` in the one of its number; of certificates `gateway` always, and
/// `even` in every other one.
fn with_lists(setup: Setup, number: usize) -> Setup {
    let client = |name: &str| format!("{{ id = \"{name}\", secret = \"{}\" }}", secret(name));
    let once = once(number);
    let names = if number.is_multiple_of(2) { "\"even\", \"gateway\"" } else { "\"gateway\"" };
    setup
        .set("introspection.clients", &format!("[{}, {}]", client(&once), client("always")))
        .set("introspection.mtls_allowed_cns", &format!("[{names}]"))
}

fn once(number: usize) -> String {
    format!("once-{number}")
}

fn asked(name: Option<&str>) -> Request {
    let request = form(INTROSPECT, &[("token", "x")]);
    match name {
        Some(name) => by(request, name, &secret(name)),
        None => request,
    }
}

async fn status(wire: &mut Wire, name: Option<&str>) -> u16 {
    wire.exchange(&asked(name), HOST).await.status
}

/// Writes the next configuration, and waits until it is in force: its own client is let in. Reloads are no measure: the file
/// is watched too, so that one may still be under way for the configuration before.
async fn reload(gateway: &Gateway, setup: &Setup, number: usize) {
    with_lists(setup.clone(), number).write(gateway.directory());
    cli::signal(gateway.process, "HUP").await;
    let client = once(number);
    until("the new client", || async {
        let mut wire = gateway.wire().await;
        (status(&mut wire, Some(&client)).await == 200).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reloads_of_both_lists_under_load_give_no_wrong_answer() {
    reloads_under_load(30).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "lasts minutes: make faults"]
async fn a_thousand_reloads_of_both_lists_under_load_give_no_wrong_answer() {
    reloads_under_load(1_000).await;
}

async fn reloads_under_load(reloads: usize) {
    let upstream = Upstream::start().await;
    let clients = Authority::new("Clients");
    let setup = Setup::standard(&upstream.url())
        .client_auth("optional", &clients)
        .table("[rate_limits.introspection]\nper_source = \"off\"\nper_account = \"off\"");
    let gateway = Arc::new(with_lists(setup.clone(), 0).start().await);
    let certified = |name| gateway.tls().identity(&clients.client(&Client::named(name)));
    let (stop, answers) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let mut load = JoinSet::new();
    for (certificate, name, expected) in [
        (None, Some("always"), 200),
        (None, Some("never"), 401),
        (None, None, 401),
        (Some("gateway"), None, 200),
        (Some("stranger"), None, 403),
    ] {
        let tls = certificate.map(certified);
        let (gateway, stop, answers) =
            (Arc::clone(&gateway), Arc::clone(&stop), Arc::clone(&answers));
        load.spawn(async move {
            let mut ticks = tokio::time::interval(BETWEEN);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            while !stop.load(Ordering::Relaxed) {
                let mut wire = match &tls {
                    Some(tls) => Wire::tls(gateway.https(), tls).await,
                    None => gateway.wire().await,
                };
                for _ in 0..200 {
                    ticks.tick().await;
                    assert_eq!(status(&mut wire, name).await, expected, "{certificate:?} {name:?}");
                    answers.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
    }
    let even = certified("even");
    let mut removed: VecDeque<(Instant, String)> = VecDeque::new();
    for number in 1..=reloads {
        reload(&gateway, &setup, number).await;
        let mut wire = gateway.wire().await;
        let gone = once(number - 1);
        assert_eq!(status(&mut wire, Some(&gone)).await, 401, "{gone}");
        removed.push_back((Instant::now(), gone));
        if let Some((_, gone)) = removed.pop_front_if(|(since, _)| since.elapsed() > REMOVED_FOR) {
            assert_eq!(status(&mut wire, Some(&gone)).await, 401, "{gone}");
        }
        if number % 10 < 2 {
            let expected = if number.is_multiple_of(2) { 200 } else { 403 };
            let mut wire = Wire::tls(gateway.https(), &even).await;
            assert_eq!(status(&mut wire, None).await, expected, "{number}");
        }
    }
    stop.store(true, Ordering::Relaxed);
    load.join_all().await;
    eprintln!("{} answers beside {reloads} reloads", answers.load(Ordering::Relaxed));
    assert!(answers.load(Ordering::Relaxed) > reloads);
}
