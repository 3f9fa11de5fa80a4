//! Every claim that decides is there, of its type, and says what it must.

use serde_json::{Value, json};

use super::Stage;
use crate::harness::certificates::now;
use crate::harness::tokens::Genuine;
use crate::harness::{Setup, Upstream, cli, until};

async fn genuine(stage: &Stage) -> Genuine {
    Genuine::of(&stage.alice().await)
}

/// The claim written as each of these texts is refused.
async fn refused(stage: &Stage, name: &str, texts: &[&str]) {
    let token = genuine(stage).await;
    for text in texts {
        let forged = token.with_raw_claim(name, text);
        stage.refuses_token(&format!("{name} = {}", &text[..text.len().min(60)]), &forged).await;
    }
    stage.refuses_token(&format!("no {name}"), &token.claim(name, Value::Null).signed()).await;
}

#[tokio::test]
async fn jwt_claims_001_a_token_without_expiry_is_refused() {
    let stage = Stage::new().await;
    let token = genuine(&stage).await.claim("exp", Value::Null);
    stage.refuses_token("no exp", &token.signed()).await;
}

#[tokio::test]
async fn jwt_claims_002_an_expiry_that_is_no_time_is_refused() {
    let stage = Stage::new().await;
    let texts = [
        "\"99999999999\"",
        "null",
        "true",
        "[1]",
        "{}",
        "-1",
        "1e400",
        "\"\"",
        "18446744073709551616",
        "9223372036854775808",
    ];
    refused(&stage, "exp", &texts).await;
}

#[tokio::test]
async fn jwt_claims_003_a_malformed_not_before_is_refused() {
    let stage = Stage::new().await;
    let token = genuine(&stage).await;
    for text in ["\"99999999999\"", "null", "{}", "[]", "true", "99999999999"] {
        stage.refuses_token(text, &token.with_raw_claim("nbf", text)).await;
    }
}

#[tokio::test]
async fn jwt_claims_004_clocks_may_differ_by_the_leeway_and_no_more() {
    let stage = Stage::with(|setup| setup.set("tokens.leeway", "\"30s\"")).await;
    let token = genuine(&stage).await;
    let now = i64::try_from(now()).unwrap();
    for (name, offset, good) in [
        ("exp", -34, false),
        ("exp", -20, true),
        ("nbf", 40, false),
        ("nbf", 20, true),
        ("iat", 40, false),
    ] {
        let shifted = token.clone().claim(name, json!(now + offset)).signed();
        let status = stage.anonymous().with_token(&shifted).get("/api/x").await.status;
        assert_eq!(status, if good { 200 } else { 401 }, "{name} = now {offset:+}");
    }
    let directory = tempfile::tempdir().unwrap();
    stage.gateway.setup.clone().set("tokens.leeway", "\"61s\"").write(directory.path());
    cli::run(directory.path(), &["check", "--config", "guarita.toml"], "").await.failed(2);
}

#[tokio::test]
async fn jwt_claims_005_the_audience_is_ours() {
    let stage = Stage::new().await;
    let texts = [
        "\"other\"",
        "[]",
        "[\"\"]",
        "\"\"",
        "\"ap\"",
        "\"api \"",
        "\"API\"",
        "{\"api\":1}",
        "[\"other\",\"x\"]",
        "[[\"api\"]]",
        "null",
        "7",
    ];
    refused(&stage, "aud", &texts).await;
    let among = genuine(&stage).await.claim("aud", json!(["other", "api"])).signed();
    assert_eq!(stage.anonymous().with_token(&among).get("/api/x").await.status, 200);
}

#[tokio::test]
async fn jwt_claims_006_nobody_listens_without_an_audience() {
    let upstream = Upstream::start().await;
    let external = "[[providers]]\nname = \"p\"\nissuer = \"https://idp.test\"\n";
    for setup in [
        Setup::standard(&upstream.url()).set("tokens.audience", "\"\""),
        Setup::standard(&upstream.url()).set("mode", "\"external\"").table(external),
    ] {
        let directory = tempfile::tempdir().unwrap();
        setup.write(directory.path());
        for verb in ["check", "serve"] {
            cli::run(directory.path(), &[verb, "--config", "guarita.toml"], "").await.failed(2);
        }
    }
}

#[tokio::test]
async fn jwt_claims_007_the_issuer_is_ours_to_the_letter() {
    let stage = Stage::with(|setup| setup.set("tokens.issuer", "\"https://idp.test\"")).await;
    let texts = [
        "[\"https://idp.test\",\"https://evil.test\"]",
        "[\"https://idp.test\"]",
        "\"https://idp.test/\"",
        "\"https://IDP.test\"",
        "\"https://idp.test@evil.test\"",
        "\"ms-auth\"",
        "\"\"",
        "null",
    ];
    refused(&stage, "iss", &texts).await;
}

#[tokio::test]
async fn jwt_claims_008_a_subject_is_a_name_without_tricks() {
    let stage = Stage::new().await;
    let long = format!("\"{}\"", "r".repeat(256 * 1024));
    let texts = ["\"\"", "123", "null", "[\"root\"]", &long, "\"root\\u0000\"", "\"r\\noot\""];
    refused(&stage, "sub", &texts).await;
    // What could be a name is at least never taken for another.
    let token = genuine(&stage).await;
    for name in ["r\u{43e}\u{43e}t", "root\u{202e}", " root", "root "] {
        let forged = token.clone().claim("sub", json!(name)).signed();
        let answer = stage.anonymous().with_token(&forged).get("/api/x").await;
        if answer.status == 200 {
            assert_eq!(stage.upstream.last().all("sub").len(), 1);
            assert_ne!(answer.json()["sub"], json!(["root"]), "{name:?}");
        } else {
            assert_eq!(answer.status, 401, "{name:?}");
        }
        let admin = stage.anonymous().with_token(&forged).get("/admin/x").await;
        assert!([401, 403].contains(&admin.status), "{name:?}: {}", admin.status);
    }
}

#[tokio::test]
async fn jwt_claims_009_other_kinds_of_tokens_are_no_access_tokens() {
    let stage = Stage::new().await;
    let token = genuine(&stage).await;
    for kind in ["logout+jwt", "secevent+jwt", "dpop+jwt", "JWE", "id_token", ""] {
        stage.refuses_token(kind, &token.clone().parameter("typ", json!(kind)).signed()).await;
    }
    // An ID token knows neither our audience nor a session.
    let identity = token
        .claim("aud", json!("some-client"))
        .claim("nonce", json!("n"))
        .claim("sid", Value::Null);
    stage.refuses_token("an ID token", &identity.signed()).await;
    // One whose audience is ours as well answers a login.
    let identity = genuine(&stage).await.claim("nonce", json!("n"));
    stage.refuses_token("an ID token of our audience", &identity.signed()).await;
}

#[tokio::test]
async fn jwt_claims_010_refresh_and_access_tokens_are_not_exchanged() {
    let stage = Stage::new().await;
    let alice = stage.alice().await;
    stage.refuses_token("a refresh token", &alice.refresh_token.clone().unwrap()).await;
    let body = json!({ "refreshToken": alice.token });
    let answer = stage.anonymous().post("/auth/refresh", &body).await;
    answer.assert_problem(401, "invalid_refresh_token");
}

#[tokio::test]
async fn jwt_claims_011_a_role_is_its_exact_name_in_a_list() {
    let stage = Stage::new().await;
    let token = genuine(&stage).await;
    let many: Vec<_> = (0..10_000).map(|number| format!("r{number}")).collect();
    let many = serde_json::to_string(&many).unwrap();
    for text in [
        "\"admin,user\"",
        "[\"Admin\"]",
        "[\"admin \"]",
        "[\" admin\"]",
        "[\"admin,user\"]",
        "[[\"admin\"]]",
        "{\"admin\":true}",
        "\"superadmin\"",
        "[\"superadmin\"]",
        "[\"adm\\u0000in\"]",
        "[\"\u{ff21}\u{ff24}\u{ff2d}\u{ff29}\u{ff2e}\"]",
        "null",
        "[null]",
        "[1]",
        &many,
    ] {
        let forged = token.with_raw_claim("app_roles", text);
        let answer = stage.anonymous().with_token(&forged).get("/admin/x").await;
        let shown = &text[..text.len().min(40)];
        assert!([401, 403, 431].contains(&answer.status), "{shown}: {}", answer.status);
        stage.assert_nothing_forwarded(shown);
    }
}

#[tokio::test]
async fn jwt_claims_012_a_changed_password_ends_what_was_issued_before() {
    let stage = Stage::new().await;
    let alice = stage.alice().await;
    assert_eq!(alice.get("/api/x").await.status, 200);
    let arguments = ["user", "set-password", "--username", "alice", "--password-stdin"];
    stage.gateway.verb(&arguments, "another long enough password").await.succeeded();
    until("the old token to end", || async {
        (alice.get("/api/x").await.status == 401).then_some(())
    })
    .await;
    assert_eq!(alice.refresh().await.status, 401);
}

#[tokio::test]
async fn jwt_claims_013_a_disabled_account_is_refused_on_every_path() {
    let stage = Stage::new().await;
    let alice = stage.alice().await;
    assert_eq!(alice.get("/api/x").await.status, 200);
    stage.gateway.verb(&["user", "disable", "--username", "alice"], "").await.succeeded();
    until("the account to be shut", || async {
        (alice.get("/api/x").await.status == 401).then_some(())
    })
    .await;
    assert_eq!(alice.refresh().await.status, 401);
    let password = crate::harness::password_of("alice");
    assert_eq!(stage.anonymous().log_in("alice", &password).await.status, 401);
    assert_eq!(
        stage
            .anonymous()
            .post("/auth/token", &json!({ "username": "alice", "password": password }))
            .await
            .status,
        401
    );
    // Enabled again, the old session stays dead.
    stage.gateway.verb(&["user", "enable", "--username", "alice"], "").await.succeeded();
    until("the account to open", || async {
        (stage.anonymous().log_in("alice", &password).await.status == 200).then_some(())
    })
    .await;
    assert_eq!(alice.get("/api/x").await.status, 401);
    assert_eq!(alice.refresh().await.status, 401);
}

#[tokio::test]
async fn jwt_claims_014_a_dot_in_a_configured_name_is_a_dot() {
    let stage = Stage::with(|setup| {
        setup
            .user("svc.alpha", &["svc.alpha"])
            .user("svcXalpha", &["svcXalpha"])
            .route("hosts = [\"svc.alpha.test\"]\npath = \"/v.1/{*rest}\"\naccess = \"public\"")
            .route("path = \"/svc/{*rest}\"\nallow = { roles = [\"svc.alpha\"] }")
    })
    .await;
    let impostor = stage.gateway.bearer("svcXalpha").await;
    assert_eq!(impostor.get("/svc/x").await.status, 403);
    for (host, path) in
        [("svcXalpha.test", "/v.1/x"), ("svc.alphaXtest", "/v.1/x"), ("svc.alpha.test", "/vX1/x")]
    {
        let status = stage.anonymous().at(host).get(path).await.status;
        assert_eq!(status, 401, "{host}{path}");
    }
    stage.assert_nothing_forwarded("a name that only looks alike");
    assert_eq!(stage.gateway.bearer("svc.alpha").await.get("/svc/x").await.status, 200);
}

#[tokio::test]
async fn jwt_claims_015_a_token_of_one_gateway_is_none_at_another() {
    let upstream = Upstream::start().await;
    let tenant = |name: &str| {
        Setup::standard(&upstream.url()).set("tokens.issuer", &format!("\"https://{name}.test\""))
    };
    let (one, other) = (tenant("one").start().await, tenant("other").start().await);
    let alice = one.bearer("alice").await;
    assert_eq!(alice.get("/api/x").await.status, 200);
    let there = other.anonymous().with_token(&alice.token.clone().unwrap());
    assert_eq!(there.get("/api/x").await.status, 401);
    // Not even with the right issuer: the session is known where it began only.
    let renamed = Genuine::of(&alice).claim("iss", json!("https://other.test")).signed();
    assert_eq!(other.anonymous().with_token(&renamed).get("/api/x").await.status, 401);
    assert_eq!(upstream.count(), 1);
}

/// Above the bound a token is not looked at; well below it works.
#[tokio::test]
async fn a_token_of_1_mib_is_refused_unread() {
    let stage = Stage::new().await;
    let token = genuine(&stage).await;
    let padded = |length: usize| token.clone().claim("pad", json!("p".repeat(length))).signed();
    assert_eq!(stage.anonymous().with_token(&padded(2000)).get("/api/x").await.status, 200);
    stage.upstream.forget();
    for length in [16 * 1024, 24 * 1024, 1024 * 1024] {
        stage.refuses_token("a token that is too long", &padded(length)).await;
    }
}
