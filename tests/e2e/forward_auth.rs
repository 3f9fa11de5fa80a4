//! Another proxy asks at `/oauth2/auth` whether a request may pass.

use std::net::SocketAddr;

use crate::harness::browser::SESSION;
use crate::harness::caddy::Caddy;
use crate::harness::nginx::Nginx;
use crate::harness::{Browser, Gateway, HOST, Persona, Request, Response, Setup, Upstream, Wire};

const AUTH: &str = "/oauth2/auth";

/// A gateway that believes the proxy on this machine.
async fn trusting() -> (Upstream, Gateway) {
    let upstream = Upstream::start().await;
    let setup = Setup::standard(&upstream.url()).set("trusted_proxies", "[\"127.0.0.1\"]");
    (upstream, setup.start().await)
}

fn question(method: &str, host: &str, target: &str) -> Request {
    Request::get(AUTH)
        .header("x-forwarded-method", method)
        .header("x-forwarded-proto", "https")
        .header("x-forwarded-host", host)
        .header("x-forwarded-uri", target)
}

async fn ask(caller: &Persona, method: &str, target: &str) -> Response {
    caller.send(question(method, HOST, target)).await
}

#[tokio::test]
async fn a_proxy_hears_what_the_gateway_itself_would_do() {
    let (upstream, gateway) = trusting().await;
    let (alice, root) = (gateway.bearer("alice").await, gateway.bearer("root").await);
    let anonymous = gateway.anonymous();
    for (caller, target, status) in [
        (&alice, "/api/x?y=z", 200),
        (&root, "/admin/x", 200),
        (&anonymous, "/public/x", 200),
        (&anonymous, "/api/x", 401),
        (&alice, "/admin/x", 403),
        (&alice, "/nothing/here", 403),
        (&anonymous, "/nothing/here", 401),
        (&alice, "/auth/sessions", 403),
    ] {
        let answer = ask(caller, "GET", target).await;
        assert_eq!(answer.status, status, "{target}: {}", answer.text());
        if status == 200 {
            assert_eq!(caller.get(target).await.status, 200, "{target}");
        }
    }
    let answer = ask(&root, "DELETE", "/api/x").await;
    assert_eq!((answer.header("sub"), answer.header("app_roles")), (Some("root"), Some("admin")));
    assert_eq!(answer.header("x-auth-sid"), root.sid.as_deref());
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert!(ask(&anonymous, "GET", "/public/x").await.header("sub").is_none());
    assert_eq!(upstream.count(), 3, "a question was forwarded");
    assert_eq!(root.log_out().await.status, 204);
    assert_eq!(ask(&root, "GET", "/api/x").await.status, 401);
}

#[tokio::test]
async fn a_request_that_is_not_wholly_told_or_has_no_single_meaning_is_refused() {
    let (_upstream, gateway) = trusting().await;
    let root = gateway.bearer("root").await;
    for left_out in ["x-forwarded-method", "x-forwarded-host", "x-forwarded-uri"] {
        let mut request = Request::get(AUTH);
        let mut twice = question("GET", HOST, "/api/x");
        for (name, value) in question("GET", HOST, "/api/x").headers() {
            if name == left_out {
                twice = twice.header(name, value);
            } else {
                request = request.header(name, value);
            }
        }
        root.send(request).await.assert_problem(400, "bad_request");
        root.send(twice).await.assert_problem(400, "bad_request");
    }
    for target in ["/api/%2e%2e/admin/x", "/api/..%2fadmin", "/api\\x", "api/x", "", "/a%00"] {
        assert_eq!(ask(&root, "GET", target).await.status, 400, "{target:?}");
    }
    for (method, host) in [("CONNECT", HOST), ("G E T", HOST), ("GET", "a b"), ("GET", "")] {
        let answer = root.send(question(method, host, "/api/x")).await;
        assert!(matches!(answer.status, 400 | 501), "{method} {host}: {}", answer.status);
    }
    let other = root.send(question("GET", "other.test", "/api/x")).await;
    assert_eq!(other.status, 403);
}

#[tokio::test]
async fn whoever_is_no_trusted_proxy_hears_nothing_by_asking() {
    let upstream = Upstream::start().await;
    let gateway = Setup::standard(&upstream.url()).start().await;
    let root = gateway.bearer("root").await;
    for target in ["/api/x", "/public/x", "/admin/x"] {
        ask(&root, "GET", target).await.assert_problem(403, "forbidden");
        ask(&gateway.anonymous(), "GET", target).await.assert_problem(403, "forbidden");
    }
    // Nor does the field change what is judged of a request that is forwarded.
    let alice = gateway.bearer("alice").await;
    let spoofed = Request::get("/admin/x").header("x-forwarded-uri", "/public/x");
    assert_eq!(alice.send(spoofed).await.status, 403);
}

#[tokio::test]
async fn a_session_cookie_counts_and_a_foreign_page_behind_it_does_not() {
    let (_upstream, gateway) = trusting().await;
    let browser = Browser::signed_in(&gateway, "alice").await;
    let csrf_token = browser.csrf_token().await;
    let [cookie, seed] = [SESSION, "__Host-guarita-csrf"].map(|name| browser.cookie(name).unwrap());
    let asked = |method: &str, site: &str| {
        question(method, HOST, "/api/x")
            .header("cookie", &format!("{SESSION}={cookie}; __Host-guarita-csrf={seed}"))
            .header("sec-fetch-site", site)
    };
    let status = async |request: Request| gateway.anonymous().send(request).await.status;
    assert_eq!(status(asked("GET", "same-origin")).await, 200);
    // With the token that a script of ours has, and from a page of ours.
    for (site, token, expected) in [
        ("same-origin", csrf_token.as_str(), 200),
        ("same-origin", "x", 403),
        ("cross-site", csrf_token.as_str(), 403),
    ] {
        let posted = asked("POST", site).header("x-csrf-token", token);
        assert_eq!(status(posted).await, expected, "{site} {token}");
    }
    assert_eq!(status(asked("POST", "same-origin")).await, 403);
    assert_eq!(status(asked("POST", "cross-site")).await, 403);
    // A proxy takes `Upgrade` from a handshake before it asks.
    for (site, expected) in [("same-origin", 200), ("same-site", 403), ("cross-site", 403)] {
        let handshake = asked("GET", site).header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
        let own = handshake.clone().header("origin", &format!("https://{HOST}"));
        assert_eq!(status(own).await, expected, "{site}");
        assert_eq!(status(handshake).await, 403, "{site}, and no origin");
    }
}

#[tokio::test]
async fn the_path_may_be_appended_to_the_question() {
    let (_upstream, gateway) = trusting().await;
    let (alice, root) = (gateway.bearer("alice").await, gateway.bearer("root").await);
    for (caller, target, status) in [
        (&alice, "/oauth2/auth/api/x?y", 200),
        (&root, "/oauth2/auth/admin/x", 200),
        (&alice, "/oauth2/auth/admin/x", 403),
        (&alice, "/oauth2/auth/api/%2e%2e/admin/x", 400),
    ] {
        // What the caller sent of such fields came along, and says nothing.
        let request = Request::get(target).header("x-forwarded-uri", "/public/x");
        assert_eq!(caller.send(request).await.status, status, "{target}");
    }
}

/// A request to the proxy that asks, with all that a caller can say of itself.
async fn through(proxy: SocketAddr, mut request: Request) -> Response {
    for (name, value) in [
        ("x-forwarded-uri", "/public/x"),
        ("x-forwarded-host", "other.test"),
        ("sub", "mallory"),
        ("app-roles", "mallory"),
        ("app_roles", "mallory"),
        ("x-auth-uid", "mallory"),
        ("x-auth-sid", "mallory"),
        ("x-auth-source", "mallory"),
        ("x-auth-assertion", "mallory"),
    ] {
        request = request.header(name, value);
    }
    Wire::plain(proxy).await.exchange(&request, HOST).await
}

/// Whom the gateway vouches for passes the proxy with the identity that it told, and nobody else.
async fn vouched_for_by(gateway: &Gateway, upstream: &Upstream, proxy: SocketAddr) {
    let (alice, root) = (gateway.bearer("alice").await, gateway.bearer("root").await);
    let token = |persona: &Persona| persona.token.clone().unwrap();
    for (target, token, status, subject) in [
        ("/api/x", Some(token(&alice)), 200, Some("alice")),
        ("/admin/x", Some(token(&root)), 200, Some("root")),
        ("/public/x", None, 200, None),
        ("/api/x", None, 401, None),
        ("/api/x", Some("junk".to_owned()), 401, None),
        ("/admin/x", Some(token(&alice)), 403, None),
    ] {
        upstream.forget();
        let mut request = Request::get(target);
        if let Some(token) = &token {
            request = request.bearer(token);
        }
        let answer = through(proxy, request).await;
        assert_eq!(answer.status, status, "{target}: {}", answer.text());
        if status == 200 {
            let seen = upstream.only();
            assert_eq!(seen.one("sub").as_deref(), subject, "{target}");
            assert!(!seen.text().contains("{http"), "{}", seen.text());
            assert!(!seen.text().contains("mallory"), "{}", seen.text());
        } else {
            assert_eq!(upstream.count(), 0, "{target}");
        }
    }
    // The host by which the proxy chose its server is the one that is judged.
    let other = Request::get(&format!("http://other.test{}", "/api/x")).bearer(&token(&alice));
    assert_eq!(through(proxy, other).await.status, 403);
    alice.log_out().await;
    let gone = through(proxy, Request::get("/api/x").bearer(&token(&alice))).await;
    assert_eq!(gone.status, 401);
}

#[tokio::test]
async fn nginx_lets_pass_whom_the_gateway_vouches_for() {
    let (upstream, gateway) = trusting().await;
    let nginx = Nginx::guarded_by(gateway.http(), &upstream.url()).await;
    vouched_for_by(&gateway, &upstream, nginx.address).await;
}

#[tokio::test]
async fn caddy_lets_pass_whom_the_gateway_vouches_for() {
    let (upstream, gateway) = trusting().await;
    let caddy = Caddy::guarded_by(gateway.http(), upstream.address).await;
    vouched_for_by(&gateway, &upstream, caddy.address).await;
}
