//! Which route a request belongs to: longest match, methods, hosts, default deny.

use crate::harness::{HOST, Request, Setup, Upstream};

/// An upstream per name, so that the answer tells where a request went.
async fn upstreams<const N: usize>(names: [&'static str; N]) -> (Setup, [Upstream; N]) {
    let mut setup = Setup::new();
    let mut started = Vec::new();
    for name in names {
        let upstream = Upstream::start().await;
        setup = setup.upstream(name, &[&upstream.url()]);
        started.push(upstream);
    }
    (setup, started.try_into().unwrap_or_else(|_| unreachable!()))
}

fn public(path: &str, upstream: &str) -> String {
    format!("path = \"{path}\"\nupstream = \"{upstream}\"\naccess = \"public\"")
}

#[tokio::test]
async fn the_longest_match_wins_whatever_the_order_in_the_file() {
    let (setup, [all, items, one, exact]) = upstreams(["all", "items", "one", "exact"]).await;
    let gateway = setup
        .route(&public("/{*rest}", "all"))
        .route(&public("/items/special", "exact"))
        .route(&public("/items/{id}", "one"))
        .route(&public("/items/{*rest}", "items"))
        .start()
        .await;
    let anonymous = gateway.anonymous();
    for (path, upstream) in [
        ("/", &all),
        ("/other", &all),
        ("/items/special", &exact),
        ("/items/7", &one),
        ("/items/7/parts", &items),
        ("/items", &items),
        ("/itemsx", &all),
    ] {
        let before = upstream.count();
        assert_eq!(anonymous.get(path).await.status, 200, "{path}");
        assert_eq!(upstream.count(), before + 1, "{path} went elsewhere");
        assert_eq!(upstream.last().target(), path);
    }
}

#[tokio::test]
async fn the_policy_is_that_of_the_route_that_matched() {
    let upstream = Upstream::start().await;
    let gateway = Setup::standard(&upstream.url())
        .route(&format!(
            "hosts = [\"{HOST}\"]\npath = \"/public/private/{{*rest}}\"\n\
             allow = {{ roles = [\"admin\"] }}"
        ))
        .start()
        .await;
    let (anonymous, alice) = (gateway.anonymous(), gateway.bearer("alice").await);
    assert_eq!(anonymous.get("/public/x").await.status, 200);
    assert_eq!(anonymous.get("/public/private/x").await.status, 401);
    assert_eq!(alice.get("/public/private/x").await.status, 403);
    assert_eq!(upstream.count(), 1);
}

#[tokio::test]
async fn what_matches_no_route_is_refused_and_only_the_authenticated_learn_why() {
    let upstream = Upstream::start().await;
    let gateway = Setup::standard(&upstream.url()).start().await;
    let alice = gateway.bearer("alice").await;
    for path in ["/", "/nowhere", "/apix/y", "/publicx", "/healthy", "/health/x", "/auth/nothing"] {
        let refused = gateway.anonymous().get(path).await;
        refused.assert_problem(401, "unauthorized");
        assert!(refused.header("www-authenticate").is_some_and(|it| it.starts_with("Bearer")));
        alice.get(path).await.assert_problem(404, "not_found");
    }
    assert_eq!(upstream.count(), 0);
}

#[tokio::test]
async fn a_method_that_no_route_takes_is_refused_with_those_that_are() {
    let (setup, [reads, writes]) = upstreams(["reads", "writes"]).await;
    let both = |methods: &str, upstream: &str| {
        format!("methods = {methods}\n{}", public("/items/{*rest}", upstream))
    };
    let gateway = setup
        .route(&both("[\"GET\", \"HEAD\"]", "reads"))
        .route(&both("[\"POST\"]", "writes"))
        .route("path = \"/reports/{*rest}\"\nupstream = \"reads\"\nmethods = [\"GET\"]")
        .user("alice", &[])
        .start()
        .await;
    let alice = gateway.bearer("alice").await;
    assert_eq!(alice.get("/items/1").await.status, 200);
    assert_eq!(alice.send(Request::new("HEAD", "/items/1")).await.status, 200);
    assert_eq!(alice.send(Request::post("/items/1").body("x")).await.status, 200);
    assert_eq!((reads.count(), writes.count()), (2, 1));

    let refused = alice.send(Request::new("DELETE", "/items/1")).await;
    refused.assert_problem(405, "method_not_allowed");
    let mut allowed: Vec<_> = refused.header("allow").unwrap().split(", ").collect();
    allowed.sort_unstable();
    assert_eq!(allowed, ["GET", "HEAD", "POST"]);
    let refused = alice.send(Request::post("/reports/1").body("x")).await;
    refused.assert_problem(405, "method_not_allowed");
    assert_eq!(refused.header("allow"), Some("GET, HEAD"));
    let anonymous = gateway.anonymous().send(Request::new("DELETE", "/items/1")).await;
    assert_eq!(anonymous.status, 401, "{}", anonymous.text());
    assert_eq!((reads.count(), writes.count()), (2, 1));
}

#[tokio::test]
async fn hosts_choose_routes_exactly_before_wildcards() {
    let (setup, [app, any, every]) = upstreams(["app", "any", "every"]).await;
    let gateway = setup
        .route(&format!("hosts = [\"{HOST}\"]\n{}", public("/{*rest}", "app")))
        .route(&format!("hosts = [\"*.example.test\"]\n{}", public("/{*rest}", "any")))
        .route(&public("/{*rest}", "every"))
        .start()
        .await;
    let anonymous = gateway.anonymous();
    for (host, upstream) in [
        (HOST, &app),
        ("APP.Example.TEST", &app),
        ("app.example.test:8443", &app),
        ("other.example.test", &any),
        ("OTHER.example.test.:8080", &any),
        ("example.test", &every),
        ("elsewhere.test", &every),
    ] {
        let before = upstream.count();
        assert_eq!(anonymous.at(host).get("/x").await.status, 200, "{host}");
        assert_eq!(upstream.count(), before + 1, "{host} went elsewhere");
    }
}

#[tokio::test]
async fn the_forwarded_path_is_the_canonical_one() {
    let upstream = Upstream::start().await;
    let gateway = Setup::standard(&upstream.url()).start().await;
    for (sent, forwarded) in [
        ("/public/a", "/public/a"),
        ("/public/%61", "/public/a"),
        ("/%70ublic/a?x=%61", "/public/a?x=%61"),
        ("/public/a%20b", "/public/a%20b"),
        ("/public/%c3%a9", "/public/%C3%A9"),
        ("/public/a?b=/../c", "/public/a?b=/../c"),
        ("/public/a?", "/public/a?"),
    ] {
        let answer = gateway.anonymous().get(sent).await;
        assert_eq!(answer.status, 200, "{sent}: {}", answer.text());
        assert_eq!(upstream.last().target(), forwarded, "{sent}");
    }
}

#[tokio::test]
async fn a_source_that_the_route_does_not_take_is_refused() {
    let upstream = Upstream::start().await;
    let gateway = Setup::standard(&upstream.url())
        .route("path = \"/machines/{*rest}\"\nallow = { sources = [\"api_key\"] }")
        .route("path = \"/people/{*rest}\"\nallow = { sources = [\"bearer\"] }")
        .start()
        .await;
    let alice = gateway.bearer("alice").await;
    alice.get("/machines/x").await.assert_problem(403, "forbidden");
    assert_eq!(alice.get("/people/x").await.status, 200);
    assert_eq!(upstream.count(), 1);
}
