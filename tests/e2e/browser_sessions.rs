//! A session that a browser holds by a cookie (`[sessions]`).

use serde_json::json;

use crate::harness::authenticator::{Authenticator, with_factors};
use crate::harness::browser::{SESSION, token_of};
use crate::harness::database::execute;
use crate::harness::{
    Answer, Browser, Gateway, HOST, Http2, Request, Setup, Upstream, password_of, until,
};

async fn gateway(upstream: &Upstream, change: impl FnOnce(Setup) -> Setup) -> Gateway {
    change(Setup::standard(&upstream.url())).start().await
}

async fn status(browser: &Browser, target: &str) -> u16 {
    browser.send(Request::get(target)).await.status
}

#[tokio::test]
async fn a_cookie_opens_what_a_token_opens_and_says_where_it_came_from() {
    let upstream = Upstream::start().await;
    let gateway = gateway(&upstream, |setup| setup).await;
    let alice = Browser::signed_in(&gateway, "alice").await;
    assert_eq!(status(&alice, "/api/x?a=b").await, 200);
    let request = upstream.only();
    for (name, value) in [("sub", "alice"), ("app_roles", "user"), ("x-auth-source", "session")] {
        assert_eq!(request.one(name).as_deref(), Some(value), "{name}");
    }
    let sid = alice.cookie(SESSION).unwrap()[..36].to_owned();
    assert_eq!(request.one("x-auth-sid"), Some(sid));
    assert_eq!(request.one("cookie"), None, "no cookie of ours goes upstream");
    assert_eq!(status(&alice, "/admin/x").await, 403);
    let root = Browser::signed_in(&gateway, "root").await;
    assert_eq!(status(&root, "/admin/x").await, 200);
    assert_eq!(status(&root, "/nothing").await, 404);
}

#[tokio::test]
async fn a_cookie_that_is_not_of_our_making_opens_nothing() {
    let upstream = Upstream::start().await;
    let gateway = gateway(&upstream, |setup| setup).await;
    let alice = Browser::signed_in(&gateway, "alice").await;
    let root = Browser::signed_in(&gateway, "root").await;
    let good = alice.cookie(SESSION).unwrap();
    let (sid, secret) = good.split_once('.').unwrap();
    let other = root.cookie(SESSION).unwrap();
    let foreign_secret = other.split_once('.').unwrap().1;
    let token = gateway.bearer("alice").await;
    for cookie in [
        sid.to_owned(),
        format!("{sid}."),
        format!("{sid}.{}", "A".repeat(43)),
        format!("{sid}.{foreign_secret}"),
        format!("{}.{secret}", token.sid.as_ref().unwrap()),
        format!("01932c07-7f0c-7d5e-8a00-0123456789ab.{secret}"),
        format!("{good}A"),
        good[..good.len() - 1].to_owned(),
        good.to_uppercase(),
        token.token.clone().unwrap(),
        "%00".to_owned(),
        "x".repeat(8_000),
    ] {
        alice.keep(SESSION, &cookie);
        let answer = alice.send(Request::get("/api/x")).await;
        answer.assert_problem(401, "unauthorized");
        assert!(answer.header("www-authenticate").unwrap().contains("invalid_token"));
    }
    assert_eq!(upstream.count(), 0);
    alice.keep(SESSION, &good);
    assert_eq!(status(&alice, "/api/x").await, 200);
}

#[tokio::test]
async fn a_sign_out_holds_at_once_and_the_browser_forgets_the_session() {
    let upstream = Upstream::start().await;
    let gateway = gateway(&upstream, |setup| setup).await;
    let (here, there) =
        (Browser::signed_in(&gateway, "alice").await, Browser::signed_in(&gateway, "alice").await);
    let cookie = here.cookie(SESSION).unwrap();
    assert_eq!(here.call("POST", "/auth/logout", &json!(null)).await.status, 400, "a body is ours");
    let token = here.csrf_token().await;
    let out = Request::post("/auth/logout").header("x-csrf-token", &token).body("");
    let answer = here.send(out.clone()).await;
    assert_eq!(answer.status, 204);
    assert_eq!(here.cookie(SESSION), None);
    here.keep(SESSION, &cookie);
    assert_eq!(status(&here, "/api/x").await, 401);
    assert_eq!(here.send(out).await.status, 204, "twice too");
    assert_eq!(status(&there, "/api/x").await, 200);
    let token = there.csrf_token().await;
    let all = Request::post("/auth/logout-all").header("x-csrf-token", &token).body("");
    assert_eq!(there.send(all).await.status, 204);
    assert_eq!(there.cookie(SESSION), None);
}

#[tokio::test]
async fn whoever_is_signed_in_twice_sees_both_and_ends_one_from_the_other() {
    let upstream = Upstream::start().await;
    let gateway = gateway(&upstream, |setup| setup).await;
    let (here, there) =
        (Browser::signed_in(&gateway, "alice").await, Browser::signed_in(&gateway, "alice").await);
    let listed = here.send(Request::get("/auth/sessions")).await.json();
    assert_eq!(listed["sessions"].as_array().unwrap().len(), 2);
    let sid = there.cookie(SESSION).unwrap()[..36].to_owned();
    let token = here.csrf_token().await;
    let end = Request::new("DELETE", &format!("/auth/sessions/{sid}"));
    assert_eq!(here.send(end.clone().body("")).await.status, 403);
    assert_eq!(here.send(end.header("x-csrf-token", &token).body("")).await.status, 204);
    assert_eq!(status(&there, "/api/x").await, 401);
    assert_eq!(status(&here, "/api/x").await, 200);
}

#[tokio::test]
async fn a_session_ends_when_it_lies_idle_and_lives_while_it_is_used() {
    let upstream = Upstream::start().await;
    let gateway = gateway(&upstream, |setup| setup).await;
    let alice = Browser::signed_in(&gateway, "alice").await;
    // As if it had last been used long ago, and were about to end.
    let file = gateway.data().join("guarita.db");
    execute(
        &file,
        "UPDATE sessions SET last_used_at = last_used_at - 3600, expires_at = last_used_at + 600",
    )
    .await;
    let ends =
        async || execute(&file, "SELECT expires_at FROM sessions").await[0].parse::<i64>().unwrap();
    let before = ends().await;
    assert_eq!(status(&alice, "/api/x").await, 200);
    until("its use to be written down", || async { (ends().await > before).then_some(()) }).await;
    let over = "UPDATE sessions SET expires_at = last_used_at - 5 RETURNING expires_at";
    let over = execute(&file, over).await;
    let gateway = gateway.crash_and_restart().await;
    let again = Browser::new(&gateway);
    again.keep(SESSION, &alice.cookie(SESSION).unwrap());
    assert_eq!(status(&again, "/api/x").await, 401);
    let file = gateway.data().join("guarita.db");
    assert_eq!(execute(&file, "SELECT expires_at FROM sessions").await, over);
}

#[tokio::test]
async fn a_changed_role_holds_for_a_cookie_at_once() {
    let upstream = Upstream::start().await;
    let gateway = gateway(&upstream, |setup| setup).await;
    let alice = Browser::signed_in(&gateway, "alice").await;
    assert_eq!(status(&alice, "/admin/x").await, 403);
    gateway
        .verb(&["user", "grant", "--username", "alice", "--role", "admin"], "")
        .await
        .succeeded();
    until("the role", || async { (status(&alice, "/admin/x").await == 200).then_some(()) }).await;
    gateway.verb(&["user", "disable", "--username", "alice"], "").await.succeeded();
    until("the end", || async { (status(&alice, "/admin/x").await == 401).then_some(()) }).await;
}

#[tokio::test]
async fn a_bad_bearer_leaves_the_cookie_unless_bad_ones_are_refused() {
    let upstream = Upstream::start().await;
    for (on_invalid, expected) in [("next", 200), ("reject", 401)] {
        let value = format!("\"{on_invalid}\"");
        let gateway = gateway(&upstream, |setup| setup.set("credentials.on_invalid", &value)).await;
        let alice = Browser::signed_in(&gateway, "alice").await;
        for bearer in ["Bearer junk", "Basic YTpi", "Bearer a b"] {
            for target in ["/api/x", "/public/x"] {
                let request = Request::get(target).header("authorization", bearer);
                assert_eq!(alice.send(request).await.status, expected, "{on_invalid} {bearer}");
            }
        }
    }
}

#[tokio::test]
async fn a_person_who_is_not_signed_in_is_sent_to_sign_in_and_back() {
    let upstream = Upstream::start().await;
    let gateway = gateway(&upstream, |setup| setup).await;
    let nobody = Browser::new(&gateway);
    for (target, location) in [
        ("/api/x?a=b&c=%2F", "/login?return_to=/api/x%3Fa%3Db%26c%3D%252F"),
        ("/api/caf%C3%A9", "/login?return_to=/api/caf%25C3%25A9"),
        ("/nothing", "/login?return_to=/nothing"),
    ] {
        let answer = nobody.get(target).await;
        assert_eq!((answer.status, answer.header("location")), (302, Some(location)));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
    }
    let long = format!("/api/{}", "a".repeat(3_000));
    assert_eq!(nobody.get(&long).await.header("location"), Some("/login"));
    // Scripts and tools are told the truth.
    for request in [
        Request::get("/api/x").header("accept", "application/json"),
        Request::get("/api/x"),
        Request::post("/api/x").header("accept", "text/html").body(""),
    ] {
        nobody.send(request).await.assert_problem(401, "unauthorized");
    }
    let alice = Browser::signed_in(&gateway, "alice").await;
    assert_eq!(alice.get("/admin/x").await.status, 403);
    assert_eq!(alice.get("/nothing").await.status, 404);
}

/// What cannot be judged now may count again soon: nobody is told that a session is over that is not.
#[tokio::test]
async fn while_a_session_cannot_be_looked_up_nobody_is_signed_out_or_told_so() {
    let upstream = Upstream::start().await;
    let gateway = gateway(&upstream, |setup| setup).await;
    let alice = Browser::signed_in(&gateway, "alice").await;
    let bearer = gateway.bearer("alice").await;
    let csrf_token = alice.csrf_token().await;
    let page_token = token_of(&alice.get("/account").await.text());
    let file = gateway.data().join("guarita.db");
    // A restart forgets what was looked up; a row that cannot be read is as good as no database.
    execute(&file, "UPDATE sessions SET roles = ','").await;
    let gateway = gateway.crash_and_restart().await;
    let (again, bearer) = (Browser::new(&gateway), gateway.anonymous().like(&bearer));
    for name in [SESSION, "__Host-guarita-csrf"] {
        again.keep(name, &alice.cookie(name).unwrap());
    }
    assert_eq!(again.get("/api/x").await.status, 503);
    for path in ["/auth/logout", "/auth/logout-all"] {
        let out = Request::post(path).header("x-csrf-token", &csrf_token).body("");
        again.send(out.clone()).await.assert_problem(503, "unavailable");
        bearer.send(Request::post(path).body("")).await.assert_problem(503, "unavailable");
    }
    let fields = [("action", "sign_out"), ("csrf_token", &*page_token)];
    assert_eq!(again.submit("/account", &fields).await.status, 503);
    assert_eq!(again.get("/account").await.status, 503);
    assert_eq!(again.get("/auth/sessions").await.status, 503);
    // A person may sign in all the same; the cookie stays until then.
    assert_eq!(again.get("/login").await.status, 200);
    assert_eq!(again.cookie(SESSION), alice.cookie(SESSION));
    let file = gateway.data().join("guarita.db");
    execute(&file, "UPDATE sessions SET roles = NULL").await;
    assert_eq!(again.get("/api/x").await.status, 200);
    assert_eq!(bearer.get("/api/x").await.status, 200);
}

#[tokio::test]
async fn no_upstream_gives_a_browser_a_session_or_takes_it_away() {
    let upstream = Upstream::start().await;
    let gateway = gateway(&upstream, |setup| setup).await;
    let alice = Browser::signed_in(&gateway, "alice").await;
    let mine = alice.cookie(SESSION).unwrap();
    let foreign = Browser::signed_in(&gateway, "root").await.cookie(SESSION).unwrap();
    let fixed = format!("{SESSION}={foreign}; Path=/; Secure");
    let answer = Answer::with_headers(&[
        ("set-cookie", "theme=dark; Path=/"),
        ("set-cookie", &fixed),
        ("set-cookie", "__HOST-guarita-csrf=x; Path=/; Secure"),
        ("set-cookie", "__Host-guarita-session=; Max-Age=0; Path=/; Secure"),
        ("set-cookie", "lang=pt"),
    ]);
    upstream.script(move |_| answer.clone());
    for target in ["/api/x", "/public/x"] {
        let answer = alice.send(Request::get(target)).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.all("set-cookie"), ["theme=dark; Path=/", "lang=pt"]);
    }
    assert_eq!(alice.cookie(SESSION), Some(mine));
}

/// A link in a mail opens a page of ours from another site. Browsers send no `Strict` cookie with
/// that, and the answer would replace the seed: the forms of all open pages would be stale.
#[tokio::test]
async fn whoever_follows_a_link_to_a_page_keeps_the_forms_that_are_open() {
    let upstream = Upstream::start().await;
    let gateway = gateway(&upstream, |setup| setup).await;
    let page = Browser::new(&gateway).get("/login").await;
    let fields = page.all("set-cookie");
    let seed = fields.iter().find(|field| field.starts_with("__Host-guarita-csrf=")).unwrap();
    for attribute in ["SameSite=Lax", "Path=/", "Secure", "HttpOnly"] {
        assert!(seed.contains(attribute), "{seed}");
    }
}

/// Another tab, a second step: whoever signs in anew leaves no session behind that nobody sees.
#[tokio::test]
async fn whoever_signs_in_anew_in_a_browser_leaves_no_session_behind() {
    let upstream = Upstream::start().await;
    let gateway = gateway(&upstream, with_factors).await;
    let (_, application, _) = Authenticator::enrol(&gateway, "root").await;
    let browser = Browser::signed_in(&gateway, "alice").await;
    let elsewhere = Browser::signed_in(&gateway, "alice").await;
    let assert_over = async |cookie: &str| {
        let thief = Browser::new(&gateway);
        thief.keep(SESSION, cookie);
        assert_eq!(status(&thief, "/api/x").await, 401);
    };
    // By a page that lay open from before.
    let first = browser.cookie(SESSION).unwrap();
    let page = Browser::new(&gateway);
    let token = token_of(&page.get("/login").await.text());
    browser.keep("__Host-guarita-csrf", &page.cookie("__Host-guarita-csrf").unwrap());
    let password = password_of("alice");
    let fields = [("username", "alice"), ("password", &*password), ("csrf_token", &*token)];
    assert_eq!(browser.submit("/login", &fields).await.status, 303);
    assert_over(&first).await;
    // By a script.
    let second = browser.cookie(SESSION).unwrap();
    let body = json!({ "username": "alice", "password": password, "cookie": true });
    assert_eq!(browser.call("POST", "/auth/login", &body).await.status, 200);
    assert_over(&second).await;
    // As somebody else, with a second step. Half a login ends nothing.
    let third = browser.cookie(SESSION).unwrap();
    let password = password_of("root");
    let fields = [("username", "root"), ("password", &*password), ("csrf_token", &*token)];
    assert_eq!(browser.submit("/login", &fields).await.header("location"), Some("/mfa"));
    assert_eq!(status(&browser, "/api/x").await, 200);
    let fields = [("code", application.code(1)), ("csrf_token", token.clone())];
    let fields = fields.each_ref().map(|(name, value)| (*name, value.as_str()));
    assert_eq!(browser.submit("/mfa", &fields).await.status, 303);
    assert_over(&third).await;
    assert_eq!(status(&browser, "/admin/x").await, 200);
    let ended =
        |line: &serde_json::Value| line["event"] == "auth.logout" && line["sid"] == third[..36];
    gateway.audited("the end of the old session", ended).await;
    // Tokens replace no cookie, and other browsers stay.
    let body = json!({ "username": "alice", "password": password_of("alice") });
    assert_eq!(browser.call("POST", "/auth/login", &body).await.status, 200);
    assert_eq!(status(&browser, "/admin/x").await, 200);
    assert_eq!(status(&elsewhere, "/api/x").await, 200);
}

/// Browsers send each cookie in a field of its own over HTTP/2; an upstream gets one field.
#[tokio::test]
async fn crumbs_of_cookies_open_a_session_and_go_on_as_one_field() {
    let upstream = Upstream::start().await;
    let gateway = gateway(&upstream, |setup| setup).await;
    let alice = Browser::signed_in(&gateway, "alice").await;
    let session = format!("{SESSION}={}", alice.cookie(SESSION).unwrap());
    let http2 = Http2::connect(gateway.https(), &gateway.tls()).await;
    for (fields, left) in [
        (&["a=1", &*session, "b=2", "__Host-guarita-csrf=x"][..], &["a=1; b=2"][..]),
        (&["a=1", "b=2; c=3", &*session, "a=4"], &["a=1; b=2; c=3; a=4"]),
        (&["a=1", &*session], &["a=1"]),
        (&[&*session], &[]),
    ] {
        let request = Request::get("/api/x");
        let request = fields.iter().fold(request, |request, field| request.header("cookie", field));
        assert_eq!(http2.send(&request, HOST).await.unwrap().status, 200);
        assert_eq!(upstream.last().all("cookie"), left);
        assert_eq!(gateway.anonymous().send(request).await.status, 200);
        assert_eq!(upstream.last().all("cookie"), left);
    }
}
