//! Tokens of providers that are revoked here, with and without accounts behind them.

use std::time::Instant;

use serde_json::{Value, json};

use crate::harness::database::seize;
use crate::harness::provider::{AUDIENCE, Key, Provider};
use crate::harness::{
    Answer, Gateway, HOST, Request, Setup, Socket, Upstream, password_of, until, within,
};
use crate::introspection::{ask, by, form, inactive, with_clients};
use crate::recovery::{self, NEW};

const REVOKE: &str = "/oauth2/revoke";

struct Stage {
    key: Key,
    provider: Provider,
    gateway: Gateway,
    upstream: Upstream,
}

impl Stage {
    async fn new(more: &str) -> Self {
        Self::with(more, |setup| setup).await
    }

    async fn with(more: &str, change: impl FnOnce(Setup) -> Setup) -> Self {
        let key = Key::new("k1");
        let provider = Provider::start(&[&key]).await;
        let upstream = Upstream::answering(|request| match request.one("upgrade") {
            Some(_) => Answer::WebSocket,
            None => Answer::Echo,
        });
        let upstream = upstream.await;
        let setup = Setup::standard(&upstream.url()).table(&provider.table(more));
        let gateway = with_clients(change(setup)).start().await;
        Self { key, provider, gateway, upstream }
    }

    /// A token that says this beside what all say.
    fn token(&self, subject: &str, says: &Value) -> String {
        let mut claims = self.provider.claims(subject);
        claims.as_object_mut().unwrap().remove("jti");
        claims.as_object_mut().unwrap().extend(says.as_object().unwrap().clone());
        self.key.sign(&claims)
    }

    async fn status(&self, token: &str) -> u16 {
        status(&self.gateway, token).await
    }

    async fn log_out(&self, token: &str) -> u16 {
        self.gateway.anonymous().with_token(token).log_out().await.status
    }

    async fn revoke(&self, token: &str) -> u16 {
        let request = form(REVOKE, &[("token", token)]);
        let request = by(request, "portal", crate::introspection::SECRET);
        self.gateway.anonymous().send(request).await.status
    }

    async fn revoke_by(&self, which: &[&str]) {
        let issuer = self.provider.issuer();
        let arguments = [&["session", "revoke", "--issuer", &issuer][..], which].concat();
        self.gateway.verb(&arguments, "").await.succeeded();
    }
}

async fn status(gateway: &Gateway, token: &str) -> u16 {
    gateway.anonymous().with_token(token).get("/api/x").await.status
}

fn is_in(status: u16) -> bool {
    status == 200
}

async fn until_out(gateway: &Gateway, token: &str) {
    until("the token to count no more", || async {
        (status(gateway, token).await == 401).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_logout_ends_the_session_that_the_token_names_or_else_the_token() {
    let stage = Stage::new("").await;
    let other = stage.gateway.another_node().await;
    let session = |jti: &str, sid: &str| stage.token("ada", &json!({"jti": jti, "sid": sid}));
    let (first, twin, apart) = (session("1", "s1"), session("2", "s1"), session("1b", "s2"));
    let alone =
        [json!({"jti": "3"}), json!({"jti": "4"}), json!({}), json!({"exp": 4_000_000_000_i64})]
            .map(|says| stage.token("ada", &says));
    let all = [&first, &twin, &apart].into_iter().chain(&alone);
    for token in all.clone() {
        assert!(is_in(stage.status(token).await) && is_in(status(&other, token).await));
    }
    for (ended, falling) in
        [(&first, vec![&first, &twin]), (&alone[0], vec![&alone[0]]), (&alone[2], vec![&alone[2]])]
    {
        assert_eq!(stage.log_out(ended).await, 204);
        let since = Instant::now();
        for token in &falling {
            assert_eq!(stage.status(token).await, 401, "before the answer");
        }
        for token in &falling {
            until_out(&other, token).await;
        }
        assert!(since.elapsed().as_millis() < 2_000, "{:?}", since.elapsed());
        assert_eq!(stage.log_out(ended).await, 204, "twice too");
    }
    for token in [&apart, &alone[1], &alone[3]] {
        assert!(is_in(stage.status(token).await) && is_in(status(&other, token).await));
    }
    // Who starts later knows it from the first request on.
    let late = stage.gateway.another_node().await;
    for token in [&first, &twin, &alone[0], &alone[2]] {
        assert_eq!(status(&late, token).await, 401);
    }
    assert!(is_in(status(&late, &apart).await));
    stage.gateway.audited("the logout", |line| line["event"] == "auth.logout").await;
}

#[tokio::test]
async fn all_tokens_of_a_subject_end_that_were_issued_before_and_later_ones_count() {
    let stage = Stage::new("subject_from = \"preferred_username\"").await;
    let of = |subject: &str, name: &str, later: i64| {
        let iat = jiff::Timestamp::now().as_second() + later;
        stage.token(subject, &json!({"preferred_username": name, "iat": iat, "sid": name}))
    };
    let before = [of("u-1", "ada", 0), of("u-1", "ada", -100), of("u-2", "bob", 0)];
    for token in &before {
        assert!(is_in(stage.status(token).await));
    }
    let ada = stage.gateway.anonymous().with_token(&before[0]);
    assert_eq!(ada.send(Request::post("/auth/logout-all").body("")).await.status, 204);
    assert_eq!((stage.status(&before[0]).await, stage.status(&before[1]).await), (401, 401));
    assert!(is_in(stage.status(&before[2]).await));
    // Within the leeway: issued after the moment.
    let later = of("u-1", "ada", 5);
    assert!(is_in(stage.status(&later).await));
    // By what names it here, from the command line.
    stage.revoke_by(&["--subject", "bob"]).await;
    until_out(&stage.gateway, &before[2]).await;
    assert!(is_in(stage.status(&later).await));
}

#[tokio::test]
async fn an_operator_revokes_by_what_tokens_say_whether_or_not_there_are_accounts() {
    for more in ["", "users = \"create\""] {
        let stage = Stage::new(more).await;
        let session = |jti: &str, sid: &str| stage.token("ada", &json!({"jti": jti, "sid": sid}));
        let (one, two, three) = (session("1", "s1"), session("2", "s1"), session("3", "s2"));
        for token in [&one, &two, &three] {
            assert!(is_in(stage.status(token).await), "{more}");
        }
        stage.revoke_by(&["--jti", "1"]).await;
        until_out(&stage.gateway, &one).await;
        assert!(is_in(stage.status(&two).await), "{more}");
        stage.revoke_by(&["--sid", "s1"]).await;
        until_out(&stage.gateway, &two).await;
        assert!(is_in(stage.status(&three).await), "{more}");
        stage.revoke_by(&["--subject", "ada"]).await;
        until_out(&stage.gateway, &three).await;
        // Our own tokens have nothing to do with it.
        assert!(is_in(stage.gateway.bearer("alice").await.get("/api/x").await.status));
    }
    let stage = Stage::new("").await;
    let issuer = stage.provider.issuer();
    for (arguments, code) in [
        (vec!["--issuer", "https://other.test", "--sid", "s"], 1),
        (vec!["--issuer", &issuer], 2),
        (vec!["--issuer", &issuer, "--sid", "a", "--jti", "b"], 2),
        (vec!["--issuer", &issuer, "--sid", ""], 2),
        (vec!["--jti", "a"], 2),
        (vec!["--subject", "a"], 2),
        (vec!["--issuer", &issuer, "--username", "alice"], 2),
        (vec![], 2),
    ] {
        let whole = [&["session", "revoke"][..], &arguments].concat();
        stage.gateway.verb(&whole, "").await.failed(code);
    }
}

/// How every session of an account ends.
const ENDINGS: [&str; 7] =
    ["itself", "ahead", "operator", "set-password", "disable", "reset-mfa", "own-password"];

/// Ends every session of that account; `held` is a token of one of them.
async fn end_all(stage: &Stage, name: &str, held: &str) {
    let caller = stage.gateway.anonymous().with_token(held);
    let by_hand = |verb: &'static [&'static str], input: &'static str| async move {
        let arguments = [verb, &["--username", name][..]].concat();
        stage.gateway.verb(&arguments, input).await.succeeded();
    };
    match name {
        "itself" | "ahead" => {
            let answer = caller.send(Request::post("/auth/logout-all").body("")).await;
            assert_eq!(answer.status, 204);
        }
        "operator" => by_hand(&["session", "revoke"], "").await,
        "set-password" => by_hand(&["user", "set-password", "--password-stdin"], NEW).await,
        "disable" => {
            by_hand(&["user", "disable"], "").await;
            by_hand(&["user", "enable"], "").await;
        }
        "reset-mfa" => by_hand(&["user", "reset-mfa"], "").await,
        _ => {
            let body = json!({"currentPassword": password_of(name), "newPassword": NEW});
            assert_eq!(caller.post("/auth/password", &body).await.status, 204);
        }
    }
}

/// Every session of an account ends, those too that no token has begun yet.
#[tokio::test]
async fn tokens_that_nobody_came_with_yet_end_with_all_sessions_of_their_account() {
    let addresses = ENDINGS.map(|name| format!("{name}@example.test"));
    let accounts = ENDINGS.iter().zip(&addresses);
    let stage = Stage::with("users = \"linked\"\nlink_by = [\"email\"]", |setup| {
        let setup = setup.set("rate_limits.login.per_source", "\"off\"");
        accounts.fold(setup, |setup, (name, email)| {
            setup.user_with(name, Some(email.as_str()), &["user"])
        })
    });
    let stage = stage.await;
    let other = stage.gateway.another_node().await;
    for name in ENDINGS {
        stage.gateway.verb(&["user", "verify", "--username", name], "").await.succeeded();
        let now = jiff::Timestamp::now().as_second();
        let of = |mut says: Value, age: i64| {
            says["email"] = json!(format!("{name}@example.test"));
            says["email_verified"] = json!(true);
            says["iat"] = json!(now - age);
            stage.token(&format!("subject-of-{name}"), &says)
        };
        // Within the leeway the provider's clock may be ahead of ours.
        let ahead = if name == "ahead" { 20 } else { 0 };
        let held = of(json!({"sid": "s1", "jti": "1"}), -ahead);
        assert!(is_in(stage.status(&held).await), "{name}");
        let unseen = [
            of(json!({"sid": "s2"}), 50),
            of(json!({"jti": "2"}), 50),
            of(json!({}), 50),
            of(json!({"sid": "s2"}), 1 - ahead),
        ];
        end_all(&stage, name, &held).await;
        for token in &unseen {
            assert_eq!(stage.status(token).await, 401, "{name}: before the answer");
            assert_eq!(status(&other, token).await, 401, "{name}: on every gateway");
            inactive(&stage.gateway, name, token).await;
            assert_eq!(stage.revoke(token).await, 200, "{name}: nothing is left to end");
        }
        // The session in which the password was changed goes on, with all of its tokens.
        if name == "own-password" {
            for token in [held, of(json!({"sid": "s1", "jti": "3"}), 60)] {
                assert!(is_in(stage.status(&token).await), "{name}");
            }
        } else {
            until_out(&stage.gateway, &held).await;
        }
        // What is issued later counts.
        let fresh = of(json!({"sid": "s3"}), -25);
        assert!(is_in(stage.status(&fresh).await), "{name}");
        let said = ask(&stage.gateway, &fresh).await.json();
        assert_eq!(said["active"], json!(true), "{name}: {said}");
    }
}

/// As above, by a mailed link.
#[tokio::test]
async fn tokens_that_nobody_came_with_yet_end_with_a_recovery() {
    let key = Key::new("k1");
    let provider = Provider::start(&[&key]).await;
    let more = "users = \"linked\"\nlink_by = [\"email\"]";
    let stage = recovery::Stage::with(|setup| setup.table(&provider.table(more))).await;
    stage.gateway.verb(&["user", "verify", "--username", "ana"], "").await.succeeded();
    let token = |session: &str, age: i64| {
        let mut claims = provider.claims("subject-of-ana");
        claims["sid"] = json!(session);
        claims["email"] = json!(recovery::ANA);
        claims["email_verified"] = json!(true);
        claims["iat"] = json!(jiff::Timestamp::now().as_second() - age);
        key.sign(&claims)
    };
    let (seen, unseen) = (token("s1", 50), token("s2", 50));
    assert!(is_in(status(&stage.gateway, &seen).await));
    let mail = stage.recover(1).await;
    assert_eq!(stage.confirm(&mail.token(), recovery::NEW).await.status, 204);
    for token in [&seen, &unseen] {
        assert_eq!(status(&stage.gateway, token).await, 401);
    }
    assert!(is_in(status(&stage.gateway, &token("s3", -10)).await));
}

/// Introspection says what the judge would.
#[tokio::test]
async fn a_client_hears_of_a_provider_s_token_what_counts_and_ends_it() {
    for more in
        ["role_map = { ops = \"Jobs\" }", "users = \"create\"\nrole_map = { ops = \"Jobs\" }"]
    {
        let stage = Stage::new(more).await;
        let says = json!({"jti": "1", "sid": "s1", "groups": ["ops"], "scope": "orders.read"});
        let token = stage.token("ada", &says);
        let said = ask(&stage.gateway, &token).await.json();
        assert_eq!(said["active"], json!(true), "{said}");
        for (name, value) in [
            ("iss", json!(stage.provider.issuer())),
            ("aud", json!(AUDIENCE)),
            ("sub", json!("ada")),
            ("jti", json!("1")),
            ("scope", json!("orders.read")),
            ("app_roles", json!(["Jobs"])),
        ] {
            assert_eq!(said[name], value, "{name} {more}");
        }
        assert_eq!(said["sid"] == json!("s1"), !more.contains("users"), "{said}");
        assert_eq!(said["uid"].is_i64(), more.contains("users"), "{said}");
        for (what, says) in [
            ("another audience", json!({"aud": "api"})),
            ("expired", json!({"exp": 1})),
            ("another issuer", json!({"iss": "https://other.test"})),
            ("reserved", json!({"sub": "system"})),
        ] {
            inactive(&stage.gateway, what, &stage.token("ada", &says)).await;
        }
        inactive(&stage.gateway, "forged", &Key::new("k1").sign(&stage.provider.claims("ada")))
            .await;
        assert!(is_in(stage.status(&token).await));
        assert_eq!(stage.revoke(&token).await, 200);
        assert_eq!(stage.status(&token).await, 401);
        inactive(&stage.gateway, "revoked", &token).await;
        assert_eq!(stage.revoke(&token).await, 200);
        // One that nobody came with yet.
        let unseen = stage.token("ada", &json!({"jti": "2", "sid": "s2"}));
        assert_eq!(stage.revoke(&unseen).await, 200);
        assert_eq!(stage.status(&unseen).await, 401);
        let line = stage.gateway.audited("it", |line| line["event"] == "auth.token.revoked").await;
        assert_eq!(line["reason"], json!("portal"));
    }
}

#[tokio::test]
async fn a_stream_ends_with_the_revocation_of_its_token() {
    let stage = Stage::new("").await;
    stage.upstream.script(|request| match &*request.target() {
        "/api/events" => {
            let (answer, end) = Answer::events();
            end.send("first".into()).unwrap();
            // It would never end by itself.
            std::mem::forget(end);
            answer
        }
        _ => Answer::Echo,
    });
    let token = stage.token("ada", &json!({"jti": "1"}));
    let caller = stage.gateway.anonymous().with_token(&token);
    let mut events = caller.wire().await;
    events.send(caller.signed(Request::get("/api/events")).bytes(HOST)).await;
    assert_eq!(events.head().await.unwrap().status, 200);
    assert!(events.chunk().await.unwrap().is_some());
    assert_eq!(stage.log_out(&token).await, 204);
    let rest = within("the end of the stream", events.closed()).await;
    assert!(!rest.ends_with(b"0\r\n\r\n"), "it was cut, not completed");
    let told = |line: &serde_json::Value| line["event"] == "session.stream_closed";
    stage.gateway.audited("the end", told).await;
}

/// websocket-006, for a token behind which there is no session.
#[tokio::test]
async fn a_websocket_ends_with_the_revocation_of_its_token() {
    let stage = Stage::new("").await;
    let (one, two) =
        (stage.token("ada", &json!({"sid": "s1"})), stage.token("ada", &json!({"sid": "s2"})));
    let mut ended = Socket::under(&stage.gateway, "/api/ws", &one).await.unwrap();
    let mut kept = Socket::under(&stage.gateway, "/api/ws", &two).await.unwrap();
    ended.echoes("here").await;
    stage.revoke_by(&["--sid", "s1"]).await;
    let closed = tokio::time::timeout(std::time::Duration::from_secs(5), ended.closed()).await;
    assert_eq!(closed.unwrap(), Some(4401));
    kept.echoes("still here").await;
}

/// session-revocation-005, for tokens of providers.
#[tokio::test]
async fn who_cannot_know_whether_a_token_was_revoked_refuses() {
    let stage = Stage::new("").await;
    let token = stage.token("ada", &json!({"sid": "s1"}));
    assert!(is_in(stage.status(&token).await));
    let _seized = seize(&stage.gateway).await;
    until("the gateway to notice", || async { (stage.status(&token).await == 503).then_some(()) })
        .await;
    for _ in 0..3 {
        assert_eq!(stage.status(&token).await, 503);
    }
}
