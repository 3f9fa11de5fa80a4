//! Class csrf-origin: what a browser sends by itself is not what a person meant.

use serde_json::json;

use super::Stage;
use crate::harness::browser::SESSION;
use crate::harness::{Browser, HOST, Request, password_of};

/// A request of a page of ours, with everything that it needs.
async fn meant(browser: &Browser, method: &str, target: &str) -> Request {
    let token = browser.csrf_token().await;
    let request = Request::new(method, target).header("x-csrf-token", &token);
    request.header("sec-fetch-site", "same-origin").body("")
}

/// Case csrf-origin-001: what a form of another site can send is no login.
#[tokio::test]
async fn csrf_origin_001_a_login_is_json_and_nothing_else() {
    let stage = Stage::new().await;
    let body = json!({ "username": "alice", "password": password_of("alice") }).to_string();
    for content_type in [
        Some("text/plain"),
        Some("application/x-www-form-urlencoded"),
        Some("multipart/form-data"),
        None,
    ] {
        let mut request = Request::post("/auth/login");
        if let Some(content_type) = content_type {
            request = request.header("content-type", content_type);
        }
        let answer = stage.anonymous().send(request.body(body.as_str())).await;
        answer.assert_problem(415, "unsupported_media_type");
        assert!(answer.all("set-cookie").is_empty());
    }
}

/// Case csrf-origin-002: nothing changes by looking.
#[tokio::test]
async fn csrf_origin_002_a_safe_method_changes_nothing() {
    let stage = Stage::new().await;
    let browser = Browser::signed_in(&stage.gateway, "alice").await;
    for target in ["/auth/logout", "/auth/refresh", "/auth/logout-all", "/auth/login"] {
        for method in ["GET", "HEAD"] {
            let answer = browser.send(Request::new(method, target)).await;
            assert_eq!(answer.status, 405, "{method} {target}");
        }
    }
    assert_eq!(browser.get("/api/x").await.status, 200);
}

/// Case csrf-origin-003: a cookie alone lets no other site act.
#[tokio::test]
async fn csrf_origin_003_what_another_site_sends_under_the_cookie_is_refused() {
    let stage = Stage::new().await;
    let browser = Browser::signed_in(&stage.gateway, "alice").await;
    for target in ["/api/x", "/auth/logout", "/auth/logout-all", "/auth/sessions/x"] {
        for (name, value) in [
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-site", "same-site"),
            ("origin", "https://evil.test"),
            ("origin", "http://app.example.test"),
            ("origin", "https://app.example.test.evil.test"),
            ("origin", "null"),
        ] {
            let token = browser.csrf_token().await;
            for request in [
                Request::post(target).header(name, value),
                Request::post(target).header(name, value).header("x-csrf-token", &token),
            ] {
                let answer = browser.send(request.body("")).await;
                answer.assert_problem(403, "csrf_failed");
            }
        }
        // Nothing that names a site, and no token: an old browser, which could be led anywhere.
        browser.send(Request::post(target).body("")).await.assert_problem(403, "csrf_failed");
        let answer = browser.send(Request::post(target).header("x-csrf-token", "x").body("")).await;
        answer.assert_problem(403, "csrf_failed");
    }
    stage.assert_nothing_forwarded("a forged request");
    for method in ["POST", "PUT", "PATCH", "DELETE"] {
        let answer = browser.send(meant(&browser, method, "/api/x").await).await;
        assert_eq!(answer.status, 200, "{method}");
    }
    assert_eq!(stage.upstream.requests().len(), 4);
}

/// Of csrf-origin-003: the token of another session, of another browser or of nobody proves nothing.
#[tokio::test]
async fn csrf_origin_003_a_token_belongs_to_one_browser_and_one_session() {
    let stage = Stage::new().await;
    let browser = Browser::signed_in(&stage.gateway, "alice").await;
    let other = Browser::signed_in(&stage.gateway, "root").await;
    let nobody = Browser::new(&stage.gateway);
    let own = browser.csrf_token().await;
    for token in [other.csrf_token().await, nobody.csrf_token().await, own[1..].to_owned()] {
        let request = Request::post("/api/x").header("x-csrf-token", &token).body("");
        browser.send(request).await.assert_problem(403, "csrf_failed");
    }
    // A seed that was planted, with the token that goes with it.
    let seed = "__Host-guarita-csrf";
    browser.keep(seed, &nobody.cookie(seed).unwrap());
    let token = nobody.csrf_token().await;
    let request = Request::post("/api/x").header("x-csrf-token", &token).body("");
    browser.send(request).await.assert_problem(403, "csrf_failed");
    stage.assert_nothing_forwarded("a forged request");
}

/// A route may leave the token out for upstreams with forms of their own; not the origin.
#[tokio::test]
async fn a_route_may_go_by_the_origin_alone() {
    let stage =
        Stage::with(|setup| setup.route("path = \"/forms/{*rest}\"\ncsrf = \"origin\"")).await;
    let browser = Browser::signed_in(&stage.gateway, "alice").await;
    let form = || Request::post("/forms/x").body("a=b");
    for request in [
        form().header("sec-fetch-site", "cross-site"),
        form().header("origin", "https://evil.test"),
        form(),
    ] {
        browser.send(request).await.assert_problem(403, "csrf_failed");
    }
    stage.assert_nothing_forwarded("a forged form");
    let answer = browser.send(form().header("origin", &format!("https://{HOST}"))).await;
    assert_eq!(answer.status, 200);
}

/// On a public route a forged request comes as nobody's.
#[tokio::test]
async fn a_forged_request_on_a_public_route_is_nobody_s() {
    let stage = Stage::new().await;
    let browser = Browser::signed_in(&stage.gateway, "alice").await;
    let answer = browser.send(Request::post("/public/x").body("")).await;
    assert_eq!(answer.status, 200);
    assert_eq!(browser.get("/public/x").await.status, 200);
    let requests = stage.upstream.requests();
    assert!(
        !requests[0].text().to_ascii_lowercase().contains("\r\nsub:"),
        "{}",
        requests[0].text()
    );
    assert!(requests[1].text().contains("sub: alice"), "{}", requests[1].text());
}

/// Case csrf-origin-004: no other origin is told anything.
#[tokio::test]
async fn csrf_origin_004_no_origin_is_reflected() {
    let stage = Stage::new().await;
    let browser = Browser::signed_in(&stage.gateway, "alice").await;
    for (method, target) in [
        ("OPTIONS", "/api/x"),
        ("OPTIONS", "/auth/login"),
        ("GET", "/auth/csrf"),
        ("GET", "/auth/x"),
    ] {
        let request = Request::new(method, target)
            .header("origin", "https://evil.test")
            .header("access-control-request-method", "PUT");
        for answer in [stage.anonymous().send(request.clone()).await, browser.send(request).await] {
            assert_eq!(answer.header("access-control-allow-origin"), None, "{method} {target}");
            assert_eq!(answer.header("access-control-allow-credentials"), None);
        }
    }
}

/// Case csrf-origin-005: what a login sets is for this host, for TLS and for no script.
#[tokio::test]
async fn csrf_origin_005_cookies_are_kept_as_tightly_as_browsers_can() {
    let stage = Stage::new().await;
    let browser = Browser::new(&stage.gateway);
    let body = json!({ "username": "alice", "password": password_of("alice"), "cookie": true });
    let login = browser.send(Request::post("/auth/login").json(&body)).await;
    let csrf = browser.send(Request::get("/auth/csrf")).await;
    assert_eq!(login.json()["accessToken"], serde_json::Value::Null);
    let fields: Vec<_> =
        login.all("set-cookie").into_iter().chain(csrf.all("set-cookie")).collect();
    assert_eq!(fields.len(), 3, "{fields:?}");
    for field in fields {
        assert!(field.starts_with("__Host-guarita-"), "{field}");
        for attribute in ["; Path=/", "; Secure", "; HttpOnly"] {
            assert!(field.contains(attribute), "{field}");
        }
        assert!(field.contains("SameSite=Lax") || field.contains("SameSite=Strict"), "{field}");
        assert!(!field.to_ascii_lowercase().contains("domain"), "{field}");
        assert!(field.split(';').next().unwrap().len() < 4096);
    }
}

/// Case csrf-origin-006: a sibling domain cannot put its cookie in the place of ours.
#[tokio::test]
async fn csrf_origin_006_only_one_cookie_of_our_own_name_counts() {
    let stage = Stage::new().await;
    let browser = Browser::signed_in(&stage.gateway, "alice").await;
    let evil = Browser::signed_in(&stage.gateway, "root").await;
    let (own, other) = (browser.cookie(SESSION).unwrap(), evil.cookie(SESSION).unwrap());
    let ask = async |cookies: &str| {
        browser.send(Request::get("/api/x").header("cookie", cookies)).await.status
    };
    for name in ["guarita-session", "sid", "__Secure-guarita-session", "__host-guarita-session"] {
        assert_eq!(ask(&format!("{name}={other}")).await, 401, "{name}");
        assert_eq!(ask(&format!("{name}={other}; {SESSION}={own}")).await, 200, "{name}");
    }
    for requests in stage.upstream.requests() {
        assert!(requests.text().contains("sub: alice"));
        assert!(!requests.text().contains(&own), "our cookie went upstream");
    }
    let before = stage.upstream.requests().len();
    assert_eq!(ask(&format!("{SESSION}={own}; {SESSION}={other}")).await, 401);
    assert_eq!(ask(&format!("{SESSION}={other}; {SESSION}={own}")).await, 401);
    assert_eq!(stage.upstream.requests().len(), before);
}

/// Case csrf-origin-007: the rule follows the credential that counted.
#[tokio::test]
async fn csrf_origin_007_an_explicit_credential_needs_no_token() {
    let stage = Stage::new().await;
    let browser = Browser::signed_in(&stage.gateway, "alice").await;
    let token = stage.root().await.token.unwrap();
    let request = || Request::post("/api/x").header("origin", "https://evil.test").body("");
    let answer = browser.send(request().bearer(&token)).await;
    assert_eq!(answer.status, 200);
    let requests = stage.upstream.requests();
    assert!(requests[0].text().contains("sub: root"), "{}", requests[0].text());
    assert!(!requests[0].text().contains("__Host-guarita"), "{}", requests[0].text());
    // A bearer that does not count leaves the cookie, and its rule.
    browser.send(request().bearer("junk")).await.assert_problem(403, "csrf_failed");
    assert_eq!(stage.upstream.requests().len(), 1);
}

/// A page elsewhere cannot open a WebSocket under the cookie.
#[tokio::test]
async fn a_websocket_under_the_cookie_is_for_our_own_pages() {
    let stage = Stage::new().await;
    let browser = Browser::signed_in(&stage.gateway, "alice").await;
    let request = |origin: &str| {
        Request::get("/api/socket")
            .header("upgrade", "websocket")
            .header("connection", "upgrade")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
            .header("origin", origin)
    };
    let answer = browser.send(request("https://evil.test")).await;
    answer.assert_problem(403, "csrf_failed");
    stage.assert_nothing_forwarded("a foreign WebSocket");
    let answer = browser.send(request("https://app.example.test")).await;
    assert_ne!(answer.status, 403);
    stage.upstream.received(1).await;
}
