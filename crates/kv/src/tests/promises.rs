//! The suite itself.

use futures_util::future::join_all;

use super::*;

/// All of it.
pub(super) async fn holds(pair: &Pair) {
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
    assert_eq!(put(1, 60).await.unwrap_err(), CapacityReached);
    used(&first).await;
    let third = put(1, 60).await.expect("one was taken");
    let mut fourth = None;
    until("one to end", async || {
        fourth = put(0, 60).await.ok();
        fourth.is_some()
    })
    .await;
    assert_eq!(put(1, 60).await.unwrap_err(), CapacityReached);
    for ticket in [&second, &third, &fourth.unwrap()] {
        used(ticket).await;
    }
}
