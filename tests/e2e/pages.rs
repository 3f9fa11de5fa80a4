//! The hosted pages over sockets.

use crate::harness::authenticator::{Authenticator, with_factors};
use crate::harness::browser::{SESSION, token_of};
use crate::harness::{Browser, Gateway, Request, Response, Setup, Upstream, cli, password_of};

async fn gateway() -> (Upstream, Gateway) {
    let upstream = Upstream::start().await;
    let gateway = with_factors(Setup::standard(&upstream.url())).start().await;
    (upstream, gateway)
}

async fn sign_in(browser: &Browser, username: &str, password: &str) -> Response {
    browser.submit("/login", &[("username", username), ("password", password)]).await
}

#[track_caller]
fn assert_page(answer: &Response, status: u16) {
    assert_eq!(answer.status, status, "{}", answer.text());
    assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(answer.header("x-frame-options"), Some("DENY"));
    assert_eq!(answer.header("referrer-policy"), Some("no-referrer"));
    let policy = answer.header("content-security-policy").unwrap();
    for part in ["default-src 'none'", "frame-ancestors 'none'", "form-action 'self'"] {
        assert!(policy.contains(part), "{policy}");
    }
    assert!(!policy.contains("unsafe") && !policy.contains("script"), "{policy}");
    let text = answer.text();
    for active in ["<script", "style=\"", "javascript:", "onclick", "onload", "onerror", "onsubmit"]
    {
        assert!(!text.contains(active), "{active}: {text}");
    }
}

/// Case csrf-origin-008: no page is shown in somebody's frame.
#[tokio::test]
async fn csrf_origin_008_a_page_runs_nothing_and_stands_in_nobody_s_frame() {
    let (_upstream, gateway) = gateway().await;
    let alice = Browser::signed_in(&gateway, "alice").await;
    assert_page(&Browser::new(&gateway).get("/login").await, 200);
    assert_page(&alice.get("/account").await, 200);
    let style = alice.get("/auth/style.css").await;
    assert_eq!(
        (style.status, style.header("content-type")),
        (200, Some("text/css; charset=utf-8"))
    );
    assert_eq!(alice.get("/auth/logo").await.status, 404);
}

#[tokio::test]
async fn a_person_signs_in_by_name_or_address_and_comes_back() {
    let upstream = Upstream::start().await;
    let setup =
        Setup::standard(&upstream.url()).user_with("carol", Some("Carol@example.test"), &["user"]);
    let gateway = setup.start().await;
    for name in ["carol", "Carol", "carol@example.test", " carol@EXAMPLE.test "] {
        let browser = Browser::new(&gateway);
        let fields =
            [("username", name), ("password", &password_of("carol")), ("return_to", "/api/x?a=b")];
        let answer = browser.submit("/login", &fields).await;
        assert_eq!((answer.status, answer.header("location")), (303, Some("/api/x?a=b")), "{name}");
        assert_eq!(browser.get("/api/x?a=b").await.status, 200);
        // Who is signed in need not sign in.
        let again = browser.get("/login?return_to=/api/y").await;
        assert_eq!((again.status, again.header("location")), (303, Some("/api/y")));
    }
}

#[tokio::test]
async fn a_refused_sign_in_says_why_and_keeps_the_name_only() {
    let (_upstream, gateway) = gateway().await;
    let browser = Browser::new(&gateway);
    let name = "<b>\"x\"&'y'</b>";
    let unknown = sign_in(&browser, name, "some password").await;
    assert_page(&unknown, 401);
    assert!(unknown.text().contains("role=\"alert\""));
    assert!(!unknown.text().contains(name) && !unknown.text().contains("some password"));
    assert!(unknown.text().contains("&#60;b&#62;"), "{}", unknown.text());
    let wrong = sign_in(&browser, "alice", "some password").await;
    let strip = |answer: &Response, name: &str| {
        answer.text().replace(&token_of(&answer.text()), "").replace(name, "")
    };
    assert_eq!(
        strip(&wrong, "alice"),
        strip(&unknown, "&#60;b&#62;&#34;x&#34;&#38;&#39;y&#39;&#60;/b&#62;")
    );
    for _ in 0..5 {
        sign_in(&browser, "alice", "some password").await;
    }
    let locked = sign_in(&browser, "alice", &password_of("alice")).await;
    assert_page(&locked, 429);
    assert!(locked.header("retry-after").is_some());
}

/// A stale, duplicate or foreign cookie never breaks login.
#[tokio::test]
async fn no_cookie_is_in_the_way_of_a_sign_in() {
    let (_upstream, gateway) = gateway().await;
    let root = Browser::signed_in(&gateway, "root").await.cookie(SESSION).unwrap();
    for (name, value) in [
        (SESSION, "01932c07-7f0c-7d5e-8a00-0123456789ab.x"),
        (SESSION, "junk"),
        (SESSION, ""),
        (SESSION, &root),
        ("__Host-guarita-csrf", "junk"),
        ("__Host-guarita-csrf", ""),
        ("__Host-guarita-device", "junk"),
        ("__Host-guarita-mfa", "junk"),
        ("__Host-guarita-language", "xx"),
        ("sb-access-token", "junk"),
    ] {
        let browser = Browser::new(&gateway);
        browser.keep(name, value);
        if value == root {
            // Another tab signed in meanwhile.
            browser.forget(SESSION);
            let page = browser.get("/login").await;
            browser.keep(SESSION, value);
            let token = token_of(&page.text());
            let password = password_of("alice");
            let fields = [("username", "alice"), ("password", &*password), ("csrf_token", &token)];
            assert_eq!(browser.submit("/login", &fields).await.status, 303, "{name}");
        } else {
            let answer = sign_in(&browser, "alice", &password_of("alice")).await;
            assert_eq!(answer.status, 303, "{name}={value}: {}", answer.text());
        }
        assert_eq!(browser.get("/api/x").await.status, 200, "{name}={value}");
    }
    // Two that differ: the page is shown, and what is in the way is removed.
    let browser = Browser::new(&gateway);
    let twice = format!("{SESSION}={root}; {SESSION}=junk");
    let page = browser.send(Request::get("/login").header("cookie", &twice)).await;
    assert_page(&page, 200);
    assert!(page.all("set-cookie").iter().any(|field| field.contains("session=;")));
}

#[tokio::test]
async fn a_form_of_another_site_or_of_long_ago_is_not_used() {
    let (upstream, gateway) = gateway().await;
    let (browser, other) = (Browser::new(&gateway), Browser::new(&gateway));
    let foreign = token_of(&other.get("/login").await.text());
    browser.get("/login").await;
    let password = password_of("alice");
    for token in ["", "junk", &foreign] {
        let fields = [("username", "alice"), ("password", &*password), ("csrf_token", token)];
        let answer = browser.submit("/login", &fields).await;
        assert_page(&answer, 403);
        assert_eq!(browser.cookie(SESSION), None);
    }
    let alice = Browser::signed_in(&gateway, "alice").await;
    for action in ["end_all", "sign_out", "enrol"] {
        let fields = [("action", action), ("csrf_token", &*foreign)];
        assert_page(&alice.submit("/account", &fields).await, 403);
    }
    let form = Request::post("/account")
        .header("origin", "https://evil.test")
        .header("content-type", "application/x-www-form-urlencoded");
    alice.send(form.body("action=end_all")).await.assert_problem(403, "csrf_failed");
    assert_eq!(alice.get("/api/x").await.status, 200);
    assert_eq!(upstream.count(), 1);
}

#[tokio::test]
async fn a_form_is_bounded_and_names_each_field_once() {
    let (_upstream, gateway) = gateway().await;
    let browser = Browser::new(&gateway);
    let form = |body: String| {
        let request = Request::post("/login").header("sec-fetch-site", "same-origin");
        request.header("content-type", "application/x-www-form-urlencoded").body(body)
    };
    let large = format!("username=a&password={}", "x".repeat(20_000));
    browser.send(form(large)).await.assert_problem(413, "body_too_large");
    let many: Vec<_> = (0..20).map(|number| format!("f{number}=x")).collect();
    browser.send(form(many.join("&"))).await.assert_problem(400, "invalid_body");
    browser.send(form("username=a&username=b".into())).await.assert_problem(400, "invalid_body");
    browser.send(form("%ff=%ff\u{0}".into())).await;
    let json = Request::post("/login").json(&serde_json::json!({ "username": "alice" }));
    browser.send(json).await.assert_problem(415, "unsupported_media_type");
}

#[tokio::test]
async fn a_page_speaks_the_language_that_was_asked_for_or_chosen() {
    let (_upstream, gateway) = gateway().await;
    let browser = Browser::new(&gateway);
    let ask = async |accepted: &str, target: &str| {
        let answer = browser.send(Request::get(target).header("accept-language", accepted)).await;
        answer.header("content-language").unwrap().to_owned()
    };
    assert_eq!(ask("", "/login").await, "en");
    assert_eq!(ask("pt-PT, en;q=0.5", "/login").await, "pt-BR");
    assert_eq!(ask("es-AR", "/login").await, "es");
    assert_eq!(ask("es", "/login?lang=xx").await, "es");
    let chosen = browser.get("/login?lang=pt-BR&return_to=/api/x%3Fa%3Db").await.text();
    assert!(chosen.contains("<html lang=\"pt-BR\">") && chosen.contains("Entrar"));
    assert!(chosen.contains("lang=es&#38;return_to=%2Fapi%2Fx%3Fa%3Db"), "{chosen}");
    assert_eq!(ask("es", "/login").await, "pt-BR", "the choice is kept");
}

#[tokio::test]
async fn a_second_step_needs_the_ticket_of_the_first() {
    let (_upstream, gateway) = gateway().await;
    let (_, application, _) = Authenticator::enrol(&gateway, "alice").await;
    let browser = Browser::new(&gateway);
    let away = browser.get("/mfa?return_to=/api/x").await;
    assert_eq!((away.status, away.header("location")), (303, Some("/login?return_to=/api/x")));
    let answer = sign_in(&browser, "alice", &password_of("alice")).await;
    assert_eq!((answer.status, answer.header("location")), (303, Some("/mfa")));
    assert_eq!(browser.cookie(SESSION), None);
    assert_eq!(browser.get("/api/x").await.status, 302, "half a login opens nothing");
    assert_page(&browser.submit("/mfa", &[("code", "000000")]).await, 401);
    let ticket = browser.cookie("__Host-guarita-mfa").unwrap();
    let code = application.code(1);
    let answer = browser.submit("/mfa", &[("code", &code)]).await;
    assert_eq!((answer.status, answer.header("location")), (303, Some("/account")));
    assert_eq!(browser.get("/api/x").await.status, 200);
    // The ticket is used up.
    let thief = Browser::new(&gateway);
    thief.keep("__Host-guarita-mfa", &ticket);
    assert_page(&thief.submit("/mfa", &[("code", &application.code(1))]).await, 401);
    assert_eq!(thief.cookie(SESSION), None);
}

#[tokio::test]
async fn an_account_shows_what_is_the_caller_s_own_and_ends_it() {
    let (_upstream, gateway) = gateway().await;
    let (here, there) =
        (Browser::signed_in(&gateway, "alice").await, Browser::signed_in(&gateway, "alice").await);
    let root = Browser::signed_in(&gateway, "root").await;
    let page = here.get("/account").await.text();
    assert!(page.contains("alice") && !page.contains("root"), "{page}");
    assert_eq!(page.matches("name=\"sid\"").count(), 2);
    let foreign = root.cookie(SESSION).unwrap()[..36].to_owned();
    let refused = here.submit("/account", &[("action", "end"), ("sid", &foreign)]).await;
    assert_eq!(refused.status, 404);
    assert_eq!(root.get("/api/x").await.status, 200);
    let own = there.cookie(SESSION).unwrap()[..36].to_owned();
    let ended = here.submit("/account", &[("action", "end"), ("sid", &own)]).await;
    assert_eq!(ended.header("location"), Some("/account"));
    assert_eq!(there.get("/api/x").await.status, 302);
    let nobody = Browser::new(&gateway).get("/account").await;
    assert_eq!(nobody.header("location"), Some("/login?return_to=/account"));
    for action in ["", "delete"] {
        here.submit("/account", &[("action", action)]).await.assert_problem(400, "invalid_body");
    }
}

#[tokio::test]
async fn a_page_has_the_operator_s_name_logo_and_colours() {
    let upstream = Upstream::start().await;
    let setup = Setup::standard(&upstream.url())
        .file("logo.svg", "<svg xmlns=\"http://www.w3.org/2000/svg\"><script>1</script></svg>")
        .set("pages.name", "\"Pedidos & <Cia>\"")
        .set("pages.logo", "\"logo.svg\"")
        .set("pages.accent", "\"#112233\"")
        .set("pages.accent_dark", "\"#ddeeff\"");
    let gateway = setup.clone().start().await;
    let browser = Browser::new(&gateway);
    let page = browser.get("/login").await.text();
    assert!(page.contains("Pedidos &#38; &#60;Cia&#62;") && page.contains("src=\"/auth/logo\""));
    let logo = browser.get("/auth/logo").await;
    assert_eq!((logo.status, logo.header("content-type")), (200, Some("image/svg+xml")));
    assert!(logo.header("content-security-policy").unwrap().contains("sandbox"));
    let style = browser.get("/auth/style.css").await.text();
    assert!(style.contains("#112233") && style.contains("#ddeeff"), "{style}");
    for (key, value, what) in [
        ("pages.accent", "\"red\"", "is not a colour"),
        ("pages.logo", "\"guarita.toml\"", "is not an image"),
        ("pages.name", "\"\"", "pages.name"),
    ] {
        let directory = tempfile::tempdir().unwrap();
        setup.clone().set(key, value).write(directory.path());
        let outcome = cli::run(directory.path(), &["check", "--config", "guarita.toml"], "").await;
        let said = outcome.failed(2).output();
        assert!(said.contains(what), "{key}: {said}");
    }
}

#[tokio::test]
async fn a_session_from_before_the_second_factor_is_told_to_sign_in_again() {
    let upstream = Upstream::start().await;
    let setup = with_factors(Setup::standard(&upstream.url()));
    let gateway = setup.set("mfa.required_roles", "[\"admin\"]").start().await;
    let before = Browser::signed_in(&gateway, "root").await;
    assert!(before.get("/account").await.text().contains("value=\"enrol\""));
    Authenticator::enrol(&gateway, "root").await;
    let page = before.get("/account").await;
    assert_page(&page, 200);
    let text = page.text();
    assert!(text.contains("sign in again with a code") && text.contains("sign_out"), "{text}");
    assert!(!text.contains("disable") && !text.contains("Turn it on"), "{text}");
}
