//! Three gateways on one PostgreSQL and one Redis: what counts once counts once, whichever of them is asked, also
//! while they are killed.

mod credentials;
mod history;
mod world;

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use self::history::{Outcome, violations};
use self::world::{Random, World};

/// Volleys at the same time.
const WORKERS: u64 = 8;

/// What to begin the random numbers with: `ONCE_SEED`, so that a run can be made again.
fn seed() -> u64 {
    let given = std::env::var_os("ONCE_SEED").and_then(|text| text.into_string().ok());
    given.map_or_else(
        || std::time::UNIX_EPOCH.elapsed().unwrap().subsec_nanos().into(),
        |text| text.parse().expect("ONCE_SEED is a number"),
    )
}

/// Uses credentials at random until there were so many uses, and kills a gateway after each so many; how many
/// were killed. Before that the database is told something.
async fn play(seed: u64, uses: usize, kill_each: usize, told: &'static str) -> (Arc<World>, usize) {
    eprintln!("ONCE_SEED={seed}");
    let (world, nodes) = World::start().await;
    sqlx::raw_sql(told).execute(&world.database).await.unwrap();
    let mut random = Random::new(seed);
    let mut working = JoinSet::new();
    for number in 0..WORKERS {
        let (world, mut random) = (Arc::clone(&world), Random::new(seed ^ (number + 1)));
        working.spawn(async move {
            while world.used() < uses {
                credentials::volley(&world, &mut random).await;
            }
        });
    }
    let kills = world.kill(nodes, &mut random, uses, kill_each);
    let working = tokio::time::timeout(Duration::from_secs(900), working.join_all());
    let ((kills, gateways), finished) = tokio::join!(kills, working);
    assert!(finished.is_ok(), "the uses did not end");
    drop(gateways);
    (world, kills)
}

async fn run(uses: usize, kill_each: usize) {
    let seed = seed();
    let (world, kills) = play(seed, uses, kill_each, "").await;
    let history = world.history();
    let count = |wanted: fn(&Outcome) -> bool| {
        history.iter().filter(|operation| wanted(&operation.outcome)).count()
    };
    eprintln!(
        "{} uses of {} credentials in {:?}, {kills} kills: {} succeeded, {} were refused, of {} nobody knows",
        history.len(),
        history.iter().map(|it| &it.credential).collect::<std::collections::BTreeSet<_>>().len(),
        world.elapsed(),
        count(|outcome| matches!(outcome, Outcome::Yielded(_))),
        count(|outcome| *outcome == Outcome::Refused),
        count(|outcome| *outcome == Outcome::Unknown),
    );
    let wrong = world.wrong();
    assert!(wrong.is_empty(), "ONCE_SEED={seed}: {wrong:#?}");
    let found = violations(&history);
    assert!(found.is_empty(), "ONCE_SEED={seed}: {} of them: {found:#?}", found.len());
    for kind in credentials::KINDS {
        let used = history.iter().filter(|it| it.credential.starts_with(kind));
        let succeeded = used.filter(|it| matches!(it.outcome, Outcome::Yielded(_))).count();
        eprintln!("  {kind}: {succeeded} succeeded");
        assert!(succeeded > 0, "no {kind} was ever used");
    }
    assert_eq!(
        world.torn_families().await,
        0,
        "a refresh token has two successors in the database"
    );
    assert!(kills >= uses / kill_each / 2, "{kills}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_counts_once_is_consumed_once_over_gateways_that_are_killed() {
    run(1_000, 250).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "lasts minutes: make faults"]
async fn ten_thousand_uses_beside_kills_consume_nothing_twice() {
    run(10_000, 250).await;
}

/// The database forgets every use: whoever looks at the history must see it.
const FORGETFUL: &str = "
    CREATE FUNCTION forget() RETURNS trigger LANGUAGE plpgsql AS
        'BEGIN IF TG_OP = ''DELETE'' THEN RETURN NULL; END IF; NEW.used_at = NULL; RETURN NEW; END';
    CREATE FUNCTION forget_step() RETURNS trigger LANGUAGE plpgsql AS
        'BEGIN NEW.last_step = OLD.last_step; RETURN NEW; END';
    CREATE TRIGGER forget BEFORE UPDATE ON refresh_tokens FOR EACH ROW EXECUTE FUNCTION forget();
    CREATE TRIGGER forget BEFORE UPDATE ON recovery_codes FOR EACH ROW EXECUTE FUNCTION forget();
    CREATE TRIGGER forget BEFORE UPDATE OR DELETE ON password_resets FOR EACH ROW EXECUTE FUNCTION forget();
    CREATE TRIGGER forget BEFORE UPDATE ON email_verifications FOR EACH ROW EXECUTE FUNCTION forget();
    CREATE TRIGGER forget BEFORE UPDATE ON totp_factors FOR EACH ROW EXECUTE FUNCTION forget_step()";

#[tokio::test(flavor = "multi_thread")]
#[ignore = "of the test itself: make faults"]
async fn a_database_that_forgets_uses_is_found_out() {
    let (world, _) = play(seed(), 800, 800, FORGETFUL).await;
    let found = violations(&world.history());
    // Login tickets and those of WebSockets are kept by Redis.
    for kind in credentials::KINDS.iter().filter(|kind| !kind.contains("ticket")) {
        let of_kind = found.iter().filter(|found| found.starts_with(kind)).count();
        eprintln!("  {kind}: {of_kind} double uses found");
        assert!(of_kind > 0, "no double use of a {kind} was found");
    }
}
