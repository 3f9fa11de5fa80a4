//! Which route a request takes.

use crate::harness::{Setup, Upstream, Wire};

#[tokio::test]
async fn what_matches_no_route_is_refused_and_never_forwarded() {
    let upstream = Upstream::start().await;
    let gateway = Setup::standard(upstream.address).start().await;
    assert_eq!(gateway.anonymous().status("/").await, 401);
    assert_eq!(gateway.anonymous().status("/healthy").await, 401);
    let alice = gateway.bearer("alice").await;
    assert_eq!(alice.status("/").await, 404);
    assert_eq!(alice.status("/health/x").await, 404);
    assert!(upstream.take().is_empty());
}

#[tokio::test]
async fn hosts_methods_and_the_longest_path_decide() {
    let upstream = Upstream::start().await;
    let gateway = Setup::new(format!(
        r#"
[[upstreams]]
name = "app"
servers = ["http://{}"]

[[routes]]
path = "/{{*rest}}"
upstream = "app"
access = "public"

[[routes]]
path = "/a/{{*rest}}"
upstream = "app"
methods = ["GET"]

[[routes]]
hosts = ["other.test"]
path = "/b"
upstream = "app"
"#,
        upstream.address
    ))
    .user("alice", &[])
    .start()
    .await;
    let anonymous = gateway.anonymous();
    assert_eq!(anonymous.status("/x").await, 200);
    assert_eq!(anonymous.status("/a/x").await, 401);
    assert_eq!(anonymous.status("/a").await, 401);
    assert_eq!(anonymous.status("/b").await, 200);
    let mut wire = Wire::plain(gateway.http()).await;
    let other = wire.ask("GET /b HTTP/1.1\r\nHost: OTHER.test.:8080\r\n\r\n").await.unwrap();
    assert_eq!(other.status, 401);
    let alice = gateway.bearer("alice").await;
    assert_eq!(alice.status("/a/x").await, 200);
    let posted = alice.request(reqwest::Method::POST, "/a/x").send().await.unwrap();
    assert_eq!(posted.status(), 405);
    assert_eq!(posted.headers()["allow"], "GET, HEAD");
}
