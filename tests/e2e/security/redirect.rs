//! Class redirect: after signing in, a person stays here.

use super::Stage;
use crate::harness::{Browser, Response, password_of};

/// What somebody would like a person to be sent to.
const ELSEWHERE: [&str; 22] = [
    "https://evil.test/",
    "//evil.test",
    "/\\evil.test",
    "/%5cevil.test",
    "https:evil.test",
    "https://app.example.test@evil.test",
    "https://app.example.test.evil.test",
    "https://evilexample.test",
    "javascript:alert(1)",
    "data:text/html,x",
    "/%09/evil.test",
    "/\t/evil.test",
    "ht\\ttps://evil.test",
    "https://evil.test#.example.test",
    "https://evil.test\\.example.test",
    "///evil.test",
    "/..//evil.test",
    "https://[::ffff:1.2.3.4]/",
    "/x%0d%0aSet-Cookie:%20a=b",
    "/x\r\nSet-Cookie: a=b",
    "/x%0aSet-Cookie:%20a=b",
    "evil.test",
];

async fn sign_in(stage: &Stage, return_to: &str) -> Response {
    let browser = Browser::new(&stage.gateway);
    let password = password_of("alice");
    let fields = [("username", "alice"), ("password", &*password), ("return_to", return_to)];
    browser.submit("/login", &fields).await
}

/// Cases redirect-001 and redirect-002, at the form, which is where it is used.
#[tokio::test]
async fn redirect_001_and_002_a_person_is_sent_to_paths_of_this_origin_only() {
    let stage = Stage::new().await;
    for target in ELSEWHERE {
        let answer = sign_in(&stage, target).await;
        assert_eq!(
            (answer.status, answer.header("location")),
            (303, Some("/account")),
            "{target:?}"
        );
        assert!(answer.all("set-cookie").iter().all(|field| field.starts_with("__Host-guarita-")));
    }
    // Bytes that some take for line ends when they are cut to one octet.
    let answer = sign_in(&stage, "/x%e5%98%8a").await;
    assert_eq!(answer.header("location"), Some("/x%E5%98%8A"));
    let answer = sign_in(&stage, "/orders?a=b").await;
    assert_eq!(answer.header("location"), Some("/orders?a=b"));
}

/// Cases redirect-001 and redirect-002, at the page: what it was given does not come out again.
#[tokio::test]
async fn redirect_001_and_002_a_page_does_not_carry_a_target_elsewhere() {
    let stage = Stage::new().await;
    let browser = Browser::new(&stage.gateway);
    for target in ELSEWHERE {
        let encoded: String = target.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let answer = browser.get(&format!("/login?return_to={encoded}")).await;
        assert_eq!(answer.status, 200, "{target:?}");
        assert!(!answer.text().contains("name=\"return_to\""), "{target:?}");
        assert!(answer.headers.iter().all(|(name, _)| !name.eq_ignore_ascii_case("location")));
    }
}

/// Case redirect-003: a target given twice has no single meaning.
#[tokio::test]
async fn redirect_003_a_target_that_comes_twice_is_refused() {
    let stage = Stage::new().await;
    let browser = Browser::new(&stage.gateway);
    for query in ["return_to=/a&return_to=/b", "return_to=/a&return%5Fto=//evil.test"] {
        let answer = browser.get(&format!("/login?{query}")).await;
        answer.assert_problem(400, "bad_request");
    }
    let fields = [("return_to", "/a"), ("return_to", "//evil.test"), ("username", "alice")];
    browser.submit("/login", &fields).await.assert_problem(400, "invalid_body");
    // One inside the other is the path that it is.
    let answer = sign_in(&stage, "/login?return_to=//evil.test").await;
    assert_eq!(answer.header("location"), Some("/login?return_to=//evil.test"));
    let next = browser.get("/login?return_to=//evil.test").await;
    assert!(!next.text().contains("name=\"return_to\""));
}

/// Case redirect-004: a sign-out leads nowhere else.
#[tokio::test]
async fn redirect_004_a_sign_out_ends_on_our_own_page() {
    let stage = Stage::new().await;
    let browser = Browser::signed_in(&stage.gateway, "alice").await;
    let fields = [
        ("action", "sign_out"),
        ("return_to", "https://evil.test/"),
        ("post_logout_redirect_uri", "https://evil.test/"),
    ];
    let answer = browser.submit("/account", &fields).await;
    assert_eq!((answer.status, answer.header("location")), (303, Some("/login")));
}

/// Case redirect-005: what lies between the page and its use is not believed.
#[tokio::test]
async fn redirect_005_a_target_is_looked_at_again_where_it_is_used() {
    let stage = Stage::new().await;
    let browser = Browser::new(&stage.gateway);
    browser.get("/login?return_to=/api/x").await;
    for name in ["return_to", "__Host-guarita-return-to", "rd"] {
        browser.keep(name, "https://evil.test/");
    }
    let password = password_of("alice");
    let fields = [("username", "alice"), ("password", &*password), ("return_to", "//evil.test")];
    let answer = browser.submit("/login", &fields).await;
    assert_eq!(answer.header("location"), Some("/account"));
}
