//! Gateways that share a Redis: what is counted and what is used once is so over all of them.

use std::pin::pin;
use std::time::Duration;

use serde_json::json;

use crate::harness::authenticator::{complete, ticket, with_factors};
use crate::harness::{
    Answer, Authenticator, Gateway, Persona, Redis, Relay, Setup, Socket, Upstream,
};
use crate::harness::{database, password_of, until};

/// Answers may be late where many tests run at once, and that must not change what is counted.
fn on(redis: &Redis, setup: Setup) -> Setup {
    setup.set("store.redis", &format!("\"{}\"", redis.url())).set("store.redis_timeout", "\"10s\"")
}

async fn up(gateway: &Gateway, value: f64) {
    until("the state of Redis to be told", || async {
        let told = gateway.metric("guarita_ephemeral_up", "").await;
        ((told - value).abs() < 0.5).then_some(())
    })
    .await;
}

/// Two gateways on one Redis and one database.
async fn pair(redis: &Redis, setup: Setup) -> (Gateway, Gateway) {
    let one = on(redis, setup).start().await;
    let other = one.another_node().await;
    for gateway in [&one, &other] {
        up(gateway, 1.0).await;
    }
    (one, other)
}

async fn websocket_ticket(caller: &Persona) -> String {
    let answer = caller.post("/auth/ws-ticket", &json!({ "path": "/api/ws" })).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["ticket"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_guesser_has_one_budget_over_all_gateways() {
    let (redis, upstream) = (Redis::start().await, Upstream::start().await);
    let setup = Setup::standard(&upstream.url())
        .set("rate_limits.login", "{ per_source = \"off\", per_account = \"6/1h\" }");
    let (one, other) = pair(&redis, setup).await;
    let (here, there) = (one.anonymous(), other.anonymous());
    for at in [&here, &there, &here, &there, &there, &there] {
        assert_eq!(at.log_in("alice", &password_of("alice")).await.status, 200);
    }
    for at in [&here, &there] {
        let refused = at.log_in("alice", &password_of("alice")).await;
        refused.assert_problem(429, "rate_limited");
        let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=600).contains(&wait), "{wait}");
        assert_eq!(at.log_in("root", &password_of("root")).await.status, 200, "others are free");
    }
    let keys = redis.keys().await.join(" ");
    assert!(keys.contains("guarita:rate:"), "{keys}");
    assert!(!keys.contains("alice") && !keys.contains("127.0.0.1"), "{keys}");
}

/// Whoever came before the gateway knew Redis would be counted by it alone, and get no ticket.
#[tokio::test]
async fn the_first_caller_of_a_gateway_is_counted_for_all() {
    let (redis, upstream) = (Redis::start().await, Upstream::start().await);
    let relay = Relay::to(format!("127.0.0.1:{}", redis.port).parse().unwrap()).await;
    relay.slow_down(Duration::from_millis(200));
    let setup = on(&redis, Setup::standard(&upstream.url()))
        .set("store.redis", &format!("\"redis://{}\"", relay.address));
    let gateway = setup.start().await;
    assert!(gateway.log.events().iter().all(|line| line["event"] != "ephemeral.late"));
    assert_eq!(gateway.anonymous().log_in("alice", &password_of("alice")).await.status, 200);
    let keys = redis.keys().await.join(" ");
    assert!(keys.contains("guarita:rate:"), "{keys}");
}

#[tokio::test]
async fn a_login_that_began_at_one_gateway_ends_once_at_another() {
    let (redis, upstream) = (Redis::start().await, Upstream::start().await);
    let (one, other) = pair(&redis, with_factors(Setup::standard(&upstream.url()))).await;
    let (_, application, codes) = Authenticator::enrol(&one, "alice").await;
    let began = ticket(&one, "alice").await;
    let wrong = complete(&other, &began, "totp", &application.wrong()).await;
    wrong.assert_problem(401, "invalid_code");
    let pair = complete(&other, &began, "totp", &application.code(0)).await;
    assert_eq!(pair.status, 200, "{}", pair.text());
    let alice = one.anonymous().holding(&pair.json());
    assert_eq!(alice.get("/api/x").await.status, 200);
    for (gateway, code) in [(&one, &codes[0]), (&other, &codes[1])] {
        let again = complete(gateway, &began, "recovery_code", code).await;
        again.assert_problem(401, "invalid_mfa_token");
    }
    // Five codes, wherever they are tried; the lock of the factor apart.
    let tried = ticket(&other, "alice").await;
    let mut refusals = Vec::new();
    for number in 0..6 {
        let gateway = if number % 2 == 0 { &one } else { &other };
        let answer = complete(gateway, &tried, "recovery_code", "wrong").await;
        refusals.push(answer.json()["code"].as_str().unwrap().to_owned());
    }
    assert_eq!(refusals.last().map(String::as_str), Some("invalid_mfa_token"), "{refusals:?}");
}

#[tokio::test]
async fn no_transaction_waits_for_a_slow_redis() {
    let (redis, upstream) = (Redis::start().await, Upstream::start().await);
    let way = Relay::to(redis.url().trim_start_matches("redis://").parse().unwrap()).await;
    let setup = with_factors(Setup::standard(&upstream.url()));
    let gateway =
        on(&redis, setup).set("store.redis", &format!("\"redis://{}\"", way.address)).start().await;
    up(&gateway, 1.0).await;
    let (_, _, codes) = Authenticator::enrol(&gateway, "alice").await;
    let ticket = ticket(&gateway, "alice").await;
    way.slow_down(Duration::from_secs(1));
    let mut ending = pin!(complete(&gateway, &ticket, "recovery_code", &codes[0]));
    let file = gateway.data().join("guarita.db");
    let used = until("the code to be used up", || async {
        let used = database::execute(
            &file,
            "SELECT COUNT(*) FROM recovery_codes WHERE used_at IS NOT NULL",
        )
        .await;
        (used == ["1"]).then_some(())
    });
    tokio::select! {
        biased;
        () = used => {}
        answer = &mut ending => panic!("the code was used up in the end: {}", answer.text()),
    }
    // Written down, while the ticket is still asked for.
    let answer = ending.await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[tokio::test]
async fn a_websocket_ticket_opens_one_over_all_gateways() {
    let redis = Redis::start().await;
    let upstream = Upstream::answering(|_| Answer::WebSocket).await;
    let (one, other) = pair(&redis, Setup::standard(&upstream.url())).await;
    let alice = one.bearer("alice").await;
    for (maker, user) in [(&one, &other), (&other, &one)] {
        let caller = maker.anonymous().like(&alice);
        let target = format!("/api/ws?ticket={}", websocket_ticket(&caller).await);
        let attempts = [user, maker, user, maker].map(|at| Socket::open(at, &target, &[]));
        let opened = futures_util::future::join_all(attempts).await;
        let (opened, refused): (Vec<_>, Vec<_>) = opened.into_iter().partition(Result::is_ok);
        assert_eq!(opened.len(), 1);
        assert!(refused.iter().all(|refused| refused.as_ref().err() == Some(&401)));
        let request = upstream.last();
        assert_eq!(request.one("sub").as_deref(), Some("alice"));
        assert_eq!(request.one("app_roles").as_deref(), Some("user"));
        assert_eq!(request.one("x-auth-source").as_deref(), Some("bearer"));
        assert_eq!(request.one("x-auth-sid"), alice.sid);
        for socket in opened {
            socket.unwrap().echoes("hello").await;
        }
    }
    assert_eq!(upstream.count(), 2);
}

#[tokio::test]
async fn without_redis_logins_go_on_tickets_wait_and_all_is_well_once_it_is_back() {
    let mut redis = Redis::start().await;
    let upstream = Upstream::answering(|request| {
        if request.target().starts_with("/api/ws") {
            Answer::WebSocket
        } else {
            Answer::status(204)
        }
    })
    .await;
    let setup = with_factors(Setup::standard(&upstream.url()))
        .set("rate_limits.login", "{ per_source = \"off\", per_account = \"8/1h\" }");
    let (one, other) = pair(&redis, setup).await;
    let (alice, application, _) = Authenticator::enrol(&one, "alice").await;
    let (began, waiting) = (ticket(&one, "alice").await, websocket_ticket(&alice).await);
    redis.kill().await;
    for gateway in [&one, &other] {
        up(gateway, 0.0).await;
    }

    // Forwarded requests do not care, and logins are limited, by each gateway.
    assert_eq!(alice.get("/api/x").await.status, 204);
    for gateway in [&one, &other] {
        let mut opened = 0;
        let refused = loop {
            let answer = gateway.anonymous().log_in("root", &password_of("root")).await;
            if answer.status != 200 {
                break answer;
            }
            opened += 1;
        };
        refused.assert_problem(429, "rate_limited");
        assert_eq!(opened, 8);
    }
    // No ticket is made, and none counts.
    let unavailable = |answer: crate::harness::Response| {
        answer.assert_problem(503, "unavailable");
        assert!(answer.header("retry-after").is_some());
    };
    let login = one.anonymous().log_in("alice", &password_of("alice")).await;
    unavailable(login);
    unavailable(complete(&one, &began, "totp", &application.code(0)).await);
    unavailable(alice.post("/auth/ws-ticket", &json!({ "path": "/api/ws" })).await);
    let target = format!("/api/ws?ticket={waiting}");
    assert_eq!(Socket::open(&other, &target, &[]).await.err(), Some(503));
    // It is told, and does not make the gateway unready.
    let ready = one.operations("/readyz").await;
    assert_eq!((ready.status, &ready.json()["ephemeral"]), (200, &json!("failed")));
    let told = |event: &str| one.log.events().iter().filter(|line| line["event"] == event).count();
    assert_eq!(told("ephemeral.down"), 1);

    redis.restart().await;
    for gateway in [&one, &other] {
        up(gateway, 1.0).await;
    }
    assert_eq!(told("ephemeral.up"), 1);
    assert_eq!(one.operations("/readyz").await.json()["ephemeral"], "ok");
    // What was kept is gone, and nothing of it counts.
    assert_eq!(Socket::open(&other, &target, &[]).await.err(), Some(401));
    let late = complete(&one, &began, "totp", &application.code(0)).await;
    late.assert_problem(401, "invalid_mfa_token");
    let pair = complete(&other, &ticket(&one, "alice").await, "totp", &application.code(0)).await;
    assert_eq!(pair.status, 200, "{}", pair.text());
    let target = format!("/api/ws?ticket={}", websocket_ticket(&alice).await);
    Socket::open(&other, &target, &[]).await.unwrap().echoes("hello").await;
}

#[tokio::test]
async fn a_wiped_redis_costs_counts_and_tickets_and_nobody_s_session() {
    let (redis, upstream) = (Redis::start().await, Upstream::start().await);
    let setup = with_factors(Setup::standard(&upstream.url()))
        .set("rate_limits.login", "{ per_source = \"off\", per_account = \"6/1h\" }");
    let (one, other) = pair(&redis, setup).await;
    let (alice, application, _) = Authenticator::enrol(&one, "alice").await;
    let root = other.bearer("root").await;
    let began = ticket(&one, "alice").await;
    redis.ask(&["FLUSHALL"]).await;
    let late = complete(&other, &began, "totp", &application.code(0)).await;
    late.assert_problem(401, "invalid_mfa_token");
    let anew = complete(&other, &ticket(&one, "alice").await, "totp", &application.code(0)).await;
    assert_eq!(anew.status, 200, "{}", anew.text());
    for caller in [&alice, &root] {
        assert_eq!(caller.get("/api/x").await.status, 200);
    }
    // The budget begins anew, once and over both.
    let mut opened = 0;
    while one.anonymous().log_in("root", &password_of("root")).await.status == 200 {
        opened += 1;
        if opened == 2 {
            redis.ask(&["FLUSHALL"]).await;
        }
    }
    assert_eq!(opened, 2 + 6);
    let elsewhere = other.anonymous().log_in("root", &password_of("root")).await;
    elsewhere.assert_problem(429, "rate_limited");
    up(&one, 1.0).await;
}

#[tokio::test]
async fn a_gateway_may_start_before_its_redis() {
    let mut redis = Redis::start().await;
    redis.kill().await;
    let upstream = Upstream::start().await;
    // A key ends with its bucket: this one lives for long enough to be seen.
    let setup = Setup::standard(&upstream.url())
        .set("rate_limits.login", "{ per_source = \"off\", per_account = \"9/1h\" }");
    let gateway = on(&redis, setup).start().await;
    up(&gateway, 0.0).await;
    assert_eq!(gateway.bearer("alice").await.get("/api/x").await.status, 200);
    redis.restart().await;
    up(&gateway, 1.0).await;
    gateway.bearer("alice").await;
    assert!(redis.keys().await.iter().any(|key| key.starts_with("guarita:rate:")));
}

#[tokio::test]
async fn an_operator_hears_how_redis_is() {
    let mut redis = Redis::start().await;
    let upstream = Upstream::start().await;
    let gateway = on(&redis, Setup::standard(&upstream.url())).start().await;
    let well = gateway.verb(&["doctor"], "").await.succeeded();
    assert!(well.stdout.contains("ok      Redis "), "{}", well.stdout);
    redis.ask(&["CONFIG", "SET", "maxmemory-policy", "volatile-lru"]).await;
    let evicting = gateway.verb(&["doctor"], "").await.failed(1);
    assert!(
        evicting.stdout.contains("FAILED  Redis: maxmemory-policy volatile-lru"),
        "{}",
        evicting.stdout
    );
    redis.kill().await;
    let gone = gateway.verb(&["doctor"], "").await.failed(1);
    assert!(gone.stdout.contains("FAILED  Redis: "), "{}", gone.stdout);
}

/// Asking each 200 ms would do: a hint is sooner, and nothing hangs on it.
#[tokio::test]
async fn a_revocation_is_hinted_at_by_redis_and_needs_no_hint() {
    let (mut redis, upstream) = (Redis::start().await, Upstream::start().await);
    // A file hints at nothing by itself.
    let (one, other) = pair(&redis, Setup::standard(&upstream.url()).on_file()).await;
    let hints = async || other.metric("guarita_revocation_hints_total", "by=\"redis\"").await;
    until("the connection that hears hints", || async { (hints().await > 0.5).then_some(()) })
        .await;
    let heard = hints().await;
    let mut sessions = Vec::new();
    for _ in 0..12 {
        let alice = one.bearer("alice").await;
        let remote = other.anonymous().like(&alice);
        assert_eq!(remote.get("/api/x").await.status, 200);
        sessions.push((alice, remote));
    }
    let lag = "guarita_revocation_lag_seconds";
    let learnt = other.metric(&format!("{lag}_count"), "").await;
    let at_once = other.metric(&format!("{lag}_bucket"), "le=\"0.1\"").await;
    let until_over = async |alice: &Persona, remote: &Persona| {
        assert_eq!(alice.log_out().await.status, 204);
        until("the revocation", || async {
            (remote.get("/api/x").await.status == 401).then_some(())
        })
        .await;
    };
    for (alice, remote) in &sessions[..10] {
        until_over(alice, remote).await;
    }
    assert!(hints().await - heard >= 10.0, "one for each");
    assert!(other.metric(&format!("{lag}_count"), "").await - learnt >= 10.0);
    let soon = other.metric(&format!("{lag}_bucket"), "le=\"0.1\"").await - at_once;
    assert!(soon >= 6.0, "{soon} of 10 within 100 ms");
    redis.kill().await;
    for gateway in [&one, &other] {
        up(gateway, 0.0).await;
    }
    until_over(&sessions[10].0, &sessions[10].1).await;
    redis.restart().await;
    for gateway in [&one, &other] {
        up(gateway, 1.0).await;
    }
    until_over(&sessions[11].0, &sessions[11].1).await;
    let heard = hints().await;
    until("hints again", || async {
        assert_eq!(one.bearer("alice").await.log_out().await.status, 204);
        // More than the one that a connection made counts as.
        (hints().await - heard >= 3.0).then_some(())
    })
    .await;
}

/// Failures at one gateway after the other until a lock; how many there were, and the last answer's code.
async fn lock_by_turns(gateways: [&Gateway; 2], name: &str) -> usize {
    for number in 0..20 {
        let answer =
            gateways[number % 2].anonymous().log_in(name, "wrong password, long enough").await;
        if answer.status == 429 {
            answer.assert_problem(429, "locked");
            return number;
        }
        answer.assert_problem(401, "invalid_credentials");
    }
    panic!("{name} is never locked");
}

#[tokio::test]
async fn a_lock_tells_no_name_apart_at_any_gateway_nor_after_a_restart() {
    let upstream = Upstream::start().await;
    let one = Setup::standard(&upstream.url()).start().await;
    let other = one.another_node().await;
    let names = ["alice", "nobody", "nobody@example.test"];
    for name in names {
        assert_eq!(lock_by_turns([&one, &other], name).await, 5, "{name}");
    }
    // It holds at each of them, and at one that comes later.
    let later = one.another_node().await;
    for gateway in [&one, &other, &later] {
        for name in names {
            let answer = gateway.anonymous().log_in(name, &password_of("alice")).await;
            answer.assert_problem(429, "locked");
        }
    }
    let file = one.data().join("guarita.db");
    let kept = database::execute(&file, "SELECT name FROM name_failures ORDER BY name").await;
    assert_eq!(kept.len(), 2, "{kept:?}");
    assert!(kept.iter().all(|name| name.len() == 43), "what is kept is no name: {kept:?}");
}

/// Case rate-limit-lockout-006: gateways do not multiply a guesser's budget.
#[tokio::test]
async fn rate_limit_lockout_006_four_gateways_by_turns_have_one_budget() {
    let (redis, upstream) = (Redis::start().await, Upstream::start().await);
    let setup = Setup::standard(&upstream.url())
        .set("rate_limits.login", "{ per_source = \"10/1h\", per_account = \"off\" }");
    let (one, two) = pair(&redis, setup).await;
    let (three, four) = (one.another_node().await, one.another_node().await);
    for gateway in [&three, &four] {
        up(gateway, 1.0).await;
    }
    let mut judged = 0;
    for number in 0..40 {
        let gateway = [&one, &two, &three, &four][number % 4];
        let name = format!("nobody{number}");
        let answer = gateway.anonymous().log_in(&name, "wrong password, long enough").await;
        match answer.status {
            401 => judged += 1,
            _ => answer.assert_problem(429, "rate_limited"),
        }
    }
    assert!((10..=11).contains(&judged), "{judged}");
}

/// Case rate-limit-lockout-007: without Redis each gateway goes on counting, from what it knows.
#[tokio::test]
async fn rate_limit_lockout_007_a_guesser_is_limited_while_redis_is_down() {
    let mut redis = Redis::start().await;
    let upstream = Upstream::start().await;
    let setup = Setup::standard(&upstream.url())
        .set("rate_limits.login", "{ per_source = \"10/1h\", per_account = \"off\" }");
    let (one, other) = pair(&redis, setup).await;
    let guess = async |gateway: &Gateway, number: usize| {
        let name = format!("nobody{number}");
        let answer = gateway.anonymous().log_in(&name, "wrong password, long enough").await;
        assert!(matches!(answer.status, 401 | 429), "{}", answer.text());
        answer.status == 401
    };
    for number in 0..6 {
        assert!(guess(&one, number).await);
    }
    redis.kill().await;
    for gateway in [&one, &other] {
        up(gateway, 0.0).await;
    }
    for (gateway, most) in [(&one, 4), (&other, 10)] {
        let mut judged = 0;
        for number in 0..25 {
            judged += usize::from(guess(gateway, number).await);
        }
        assert_eq!(judged, most, "what was let through before counts too");
    }
}

/// Case refresh-011: while gateways are replaced one by one, a person who goes on refreshing stays signed in, by
/// one chain of tokens.
#[tokio::test]
async fn refresh_011_gateways_are_replaced_one_by_one_and_nobody_is_signed_out() {
    let upstream = Upstream::start().await;
    let setup = Setup::standard(&upstream.url()).set("rate_limits.refresh.per_source", "\"off\"");
    let first = setup.start().await;
    let mut alice = first.bearer("alice").await;
    let (mut old, mut new) = (first.another_node().await, first.another_node().await);
    for _ in 0..3 {
        for at in [&old, &new, &old] {
            let caller = at.anonymous().like(&alice);
            let answer = caller.refresh().await;
            assert_eq!(answer.status, 200, "{}", answer.text());
            // The answer is lost: whoever asks again, at the other one too, gets the same.
            let again = new.anonymous().like(&alice).refresh().await;
            assert_eq!(again.json()["refreshToken"], answer.json()["refreshToken"]);
            alice = caller.holding(&answer.json());
            assert_eq!(alice.get("/api/x").await.status, 200);
        }
        old.terminate().await;
        assert!(old.ended().await.success());
        old = std::mem::replace(&mut new, first.another_node().await);
    }
    let unused = "SELECT COUNT(*) FROM refresh_tokens WHERE used_at IS NULL";
    let unused = database::execute(&first.data().join("guarita.db"), unused).await;
    assert_eq!(unused, ["1"], "a chain that has two ends");
}
