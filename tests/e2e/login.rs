//! `POST /auth/login`, `/auth/token` and its alias.

use serde_json::{Value, json};

use crate::harness::tokens::Genuine;
use crate::harness::{Browser, Gateway, Request, Setup, Upstream, password_of};

#[tokio::test]
async fn a_login_answers_with_a_pair_that_opens_the_route() {
    let upstream = Upstream::start().await;
    let gateway = Setup::standard(&upstream.url()).start().await;
    let answer = gateway.anonymous().log_in("alice", &password_of("alice")).await;

    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let pair = answer.json();
    assert_eq!(pair["tokenType"], "Bearer");
    assert_eq!(pair["expiresIn"], 3600);
    for name in ["accessToken", "refreshToken", "sid"] {
        assert!(pair[name].as_str().is_some_and(|text| !text.is_empty()), "{name}");
    }
    let alice = gateway.anonymous().holding(&pair);
    assert_eq!(alice.get("/api/x").await.status, 200);
}

#[tokio::test]
async fn an_access_token_has_the_claims_of_the_contract() {
    let upstream = Upstream::start().await;
    let gateway = Setup::standard(&upstream.url()).start().await;
    let alice = gateway.bearer("alice").await;
    let token = Genuine::of(&alice);

    assert_eq!(token.header["alg"], "RS256");
    let claims = &token.claims;
    assert_eq!(claims["iss"], "ms-auth");
    assert_eq!(claims["aud"], "api");
    assert_eq!(claims["sub"], "alice");
    assert_eq!(claims["app_roles"], json!(["user"]));
    assert_eq!(claims["sid"], json!(alice.sid));
    assert!(claims["uid"].is_i64(), "{claims}");
    assert!(claims["jti"].as_str().is_some_and(|id| id.len() >= 16), "{claims}");
    let seconds = |name: &str| claims[name].as_i64().unwrap();
    assert_eq!(seconds("exp") - seconds("iat"), 3600);
    assert!(seconds("nbf") <= seconds("iat"));
}

#[tokio::test]
async fn the_token_endpoint_and_its_alias_speak_snake_case() {
    let upstream = Upstream::start().await;
    let gateway = Setup::standard(&upstream.url()).start().await;
    let body = json!({ "username": "alice", "password": password_of("alice") });
    for path in ["/auth/token", "/api/auth/token"] {
        let answer = gateway.anonymous().post(path, &body).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        let token = answer.json();
        assert_eq!(token["token_type"], "Bearer");
        assert_eq!(token["expires_in"], 3600);
        assert_eq!(token.get("refresh_token"), None);
        let alice = gateway.anonymous().with_token(token["access_token"].as_str().unwrap());
        assert_eq!(alice.get("/api/x").await.status, 200);
    }
}

#[tokio::test]
async fn a_login_by_e_mail_finds_the_account_whatever_the_case() {
    let upstream = Upstream::start().await;
    let gateway = Setup::standard(&upstream.url())
        .user_with("carol", Some("carol@example.test"), &["user"])
        .start()
        .await;
    for email in ["carol@example.test", "CAROL@Example.Test"] {
        let body = json!({ "email": email, "password": password_of("carol") });
        let answer = gateway.anonymous().post("/auth/login", &body).await;
        assert_eq!(answer.status, 200, "{email}: {}", answer.text());
    }
}

#[tokio::test]
async fn a_refused_login_says_the_same_whatever_was_wrong() {
    let upstream = Upstream::start().await;
    let gateway = Setup::standard(&upstream.url()).user("mallory", &[]).start().await;
    gateway.verb(&["user", "disable", "--username", "mallory"], "").await.succeeded();
    let refused = |username: &'static str, password: String| {
        let anonymous = gateway.anonymous();
        async move {
            let answer = anonymous.log_in(username, &password).await;
            answer.assert_problem(401, "invalid_credentials");
            let mut body = answer.json();
            body["requestId"] = Value::Null;
            let mut headers: Vec<_> = answer.headers.iter().map(|(name, _)| name.clone()).collect();
            headers.sort();
            (body, headers)
        }
    };
    let wrong = refused("alice", "wrong password, long enough".into()).await;
    assert_eq!(refused("nobody", "wrong password, long enough".into()).await, wrong);
    assert_eq!(refused("mallory", password_of("mallory")).await, wrong);
    assert_eq!(refused("alice", String::new()).await, wrong);
}

#[tokio::test]
async fn five_failures_lock_the_account_for_every_password_until_the_time_is_over() {
    let upstream = Upstream::start().await;
    let gateway = Setup::standard(&upstream.url()).set("lockout.duration", "\"2s\"").start().await;
    let anonymous = gateway.anonymous();
    for _ in 0..5 {
        let answer = anonymous.log_in("alice", "wrong password, long enough").await;
        answer.assert_problem(401, "invalid_credentials");
    }
    let locked = anonymous.log_in("alice", &password_of("alice")).await;
    locked.assert_problem(429, "locked");
    let wait: u64 = locked.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=2).contains(&wait), "{wait}");
    // Others are not locked with her.
    assert_eq!(anonymous.log_in("root", &password_of("root")).await.status, 200);
    crate::harness::until("the lock to end", || async {
        let answer = anonymous.log_in("alice", &password_of("alice")).await;
        (answer.status == 200).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_lock_counts_by_account_not_by_the_spelling_of_its_name() {
    let upstream = Upstream::start().await;
    let gateway = Setup::standard(&upstream.url())
        .user_with("carol", Some("carol@example.test"), &[])
        .start()
        .await;
    let anonymous = gateway.anonymous();
    let spellings = [
        json!({ "username": "carol", "password": "wrong password 1" }),
        json!({ "username": "CAROL", "password": "wrong password 2" }),
        json!({ "email": "carol@example.test", "password": "wrong password 3" }),
        json!({ "email": "Carol@Example.Test", "password": "wrong password 4" }),
        json!({ "username": "Carol", "password": "wrong password 5" }),
    ];
    for body in &spellings {
        assert_eq!(anonymous.post("/auth/login", body).await.status, 401, "{body}");
    }
    let locked = anonymous.log_in("carol", &password_of("carol")).await;
    locked.assert_problem(429, "locked");
    let wait: u64 = locked.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=300).contains(&wait), "{wait}");
}

/// By which field a text may come: of JSON, or of the page.
const FIELDS: [&str; 3] = ["username", "email", "page"];
/// Texts that are the name of an account, its address, both or nothing.
const TEXTS: [&str; 4] =
    ["both@firma.test", "name@firma.test", "address@firma.test", "nobody@firma.test"];

/// An address in all that it may look like: as it is, in other letters, and in full-width ones, which have
/// several bytes.
fn spellings(text: &str) -> [String; 4] {
    [
        text.to_owned(),
        text.to_uppercase(),
        text.replacen("firma", "fｉrma", 1),
        text.replacen('@', "＠", 1),
    ]
}

/// Three accounts of each kind, so that each field begins with accounts that nobody tried.
fn with_addresses(mut setup: Setup) -> Setup {
    for field in FIELDS {
        let [both, name, address, _] = TEXTS.map(|text| format!("{field}.{text}"));
        setup = setup
            .user_with(&both, Some(&both), &[])
            .user_with(&name, Some(&format!("other.{name}")), &[])
            .user_with(&format!("{field}-person"), Some(&address), &[]);
    }
    setup.set("rate_limits.login.per_source", "\"off\"")
}

async fn fail(gateway: &Gateway, field: &str, text: &str) -> u16 {
    let wrong = "wrong password, long enough";
    if field == "page" {
        let fields = [("username", text), ("password", wrong)];
        return Browser::new(gateway).submit("/login", &fields).await.status;
    }
    let body = json!({ field: text, "password": wrong });
    gateway.anonymous().post("/auth/login", &body).await.status
}

/// After so many failures of a text by one field, whatever is refused for it is refused by every field and in
/// every spelling, whether or not there is such an account.
async fn assert_counted_as_one(gateway: &Gateway, allowed: usize) {
    for first in FIELDS {
        for text in TEXTS {
            let text = format!("{first}.{text}");
            for spelling in spellings(&text).iter().cycle().take(allowed) {
                assert_eq!(fail(gateway, first, spelling).await, 401, "{first} {spelling}");
            }
            for field in FIELDS {
                for spelling in spellings(&text) {
                    let status = fail(gateway, field, &spelling).await;
                    assert_eq!(status, 429, "by {first}, then {field} {spelling}");
                }
            }
        }
    }
}

#[tokio::test]
async fn an_address_has_one_lock_by_every_field_and_spelling_whether_or_not_it_is_known() {
    let upstream = Upstream::start().await;
    let setup = with_addresses(Setup::standard(&upstream.url()))
        .set("rate_limits.login.per_account", "\"off\"");
    assert_counted_as_one(&setup.start().await, 5).await;
}

#[tokio::test]
async fn an_address_has_one_rate_by_every_field_and_spelling_whether_or_not_it_is_known() {
    let upstream = Upstream::start().await;
    let setup = with_addresses(Setup::standard(&upstream.url()))
        .set("rate_limits.login.per_account", "\"4/1h\"");
    assert_counted_as_one(&setup.start().await, 4).await;
}

#[tokio::test]
async fn a_name_that_looks_like_an_address_logs_in_by_every_field_and_its_field_goes_first() {
    let upstream = Upstream::start().await;
    let gateway = Setup::standard(&upstream.url())
        .user_with("bia@firma.test", Some("bia@home.test"), &[])
        .user_with("ana@firma.test", None, &[])
        .user_with("carol", Some("ana@firma.test"), &[])
        .start()
        .await;
    let logs_in = async |field: &str, text: &str, owner: &str| {
        let password = password_of(owner);
        if field == "page" {
            let fields = [("username", text), ("password", password.as_str())];
            return Browser::new(&gateway).submit("/login", &fields).await.status == 303;
        }
        let body = json!({ field: text, "password": password });
        let answers = [
            gateway.anonymous().post("/auth/login", &body).await.status,
            gateway.anonymous().post("/auth/token", &body).await.status,
        ];
        assert_eq!(answers[0], answers[1], "{field} {text}");
        answers[0] == 200
    };
    for field in FIELDS {
        for text in ["bia@firma.test", "Bia@Firma.test", "bia@home.test", "ｂia@home.test"] {
            assert!(logs_in(field, text, "bia@firma.test").await, "{field} {text}");
        }
        // The name of one, and the address of another.
        let by_address = field == "email";
        assert_eq!(logs_in(field, "ana@firma.test", "carol").await, by_address, "{field}");
        assert_eq!(
            logs_in(field, "ana@firma.test", "ana@firma.test").await,
            !by_address,
            "{field}"
        );
    }
}

#[tokio::test]
async fn bodies_that_are_not_a_login_are_refused_as_problems() {
    let upstream = Upstream::start().await;
    let gateway = Setup::standard(&upstream.url()).start().await;
    let anonymous = gateway.anonymous();
    let json = |body: &str| {
        Request::post("/auth/login").header("content-type", "application/json").body(body)
    };
    for body in [
        "",
        "{",
        "[]",
        "null",
        "\"alice\"",
        "{}",
        r#"{"username":"alice"}"#,
        r#"{"password":"x"}"#,
        r#"{"username":["alice"],"password":"x"}"#,
        r#"{"username":"alice","email":"a@example.test","password":"x"}"#,
        r#"{"username":"alice","password":7}"#,
    ] {
        anonymous.send(json(body)).await.assert_problem(400, "invalid_body");
    }
    let form = Request::post("/auth/login")
        .header("content-type", "application/x-www-form-urlencoded")
        .body("username=alice&password=x");
    anonymous.send(form).await.assert_problem(415, "unsupported_media_type");
    let untyped = Request::post("/auth/login").body(r#"{"username":"alice","password":"x"}"#);
    anonymous.send(untyped).await.assert_problem(415, "unsupported_media_type");
    let text = Request::post("/auth/login").header("content-type", "text/plain").body("{}");
    anonymous.send(text).await.assert_problem(415, "unsupported_media_type");
    for length in [20_000, 200_000] {
        anonymous.send(json(&" ".repeat(length))).await.assert_problem(413, "body_too_large");
    }
    let other = anonymous.get("/auth/login").await;
    other.assert_problem(405, "method_not_allowed");
    assert!(other.header("allow").unwrap().contains("POST"));
}

#[tokio::test]
async fn a_login_body_of_100_mib_is_refused_without_being_read() {
    let upstream = Upstream::start().await;
    let gateway = Setup::standard(&upstream.url()).start().await;
    let mut announced = gateway.wire().await;
    announced
        .send(
            "POST /auth/login HTTP/1.1\r\nHost: app.example.test\r\n\
             Content-Type: application/json\r\nContent-Length: 104857600\r\n\r\n{\"username\":",
        )
        .await;
    announced.response().await.assert_problem(413, "body_too_large");

    // Without an announced length, the bound is found while reading.
    let mut chunked = gateway.wire().await;
    chunked
        .send(
            "POST /auth/login HTTP/1.1\r\nHost: app.example.test\r\n\
             Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n",
        )
        .await;
    let chunk = format!("{:x}\r\n{}\r\n", 16 * 1024, " ".repeat(16 * 1024));
    for _ in 0..6400 {
        if chunked.try_send(&chunk).await.is_err() {
            break;
        }
    }
    if let Some(answer) = chunked.answer().await {
        answer.assert_problem(413, "body_too_large");
    }
    let memory = gateway.memory().await;
    assert!(memory < 150 * 1024 * 1024, "{memory}");
}
