//! Tokens of issuers of others: who is believed, by which keys, and what keeps standing when the
//! issuer does not.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};
use tokio::process::Command;
use tokio::task::JoinSet;

use crate::harness::provider::{AUDIENCE, Key, Provider, json_answer};
use crate::harness::tokens::{Signer, encode, token};
use crate::harness::{
    Answer, Gateway, HOST, Persona, Request, Setup, Upstream, chromium, until, within,
};

/// Keys are asked for again at once, and from time to time.
const QUICK: &str = "keys_refresh = \"1s\"\nkeys_cooldown = \"100ms\"";

async fn start(provider: &Provider, more: &str) -> (Upstream, Gateway) {
    let upstream = Upstream::start().await;
    let setup = Setup::standard(&upstream.url()).table(&provider.table(more)).route(&format!(
        "hosts = [\"{HOST}\"]\npath = \"/scoped/{{*rest}}\"\nallow = {{ scopes = [\"orders.read\"] }}"
    ));
    (upstream, setup.start().await)
}

/// Who brings a token.
fn bearer(gateway: &Gateway, token: &str) -> Persona {
    gateway.anonymous().with_token(token)
}

async fn status(gateway: &Gateway, token: &str) -> u16 {
    bearer(gateway, token).get("/api/x").await.status
}

#[tokio::test]
async fn a_token_of_a_provider_comes_out_as_the_same_headers() {
    let key = Key::new("k1");
    let provider = Provider::start(&[&key]).await;
    let more = "role_map = { \"0f1e\" = \"Metrics.Admin\" }";
    let (upstream, gateway) = start(&provider, more).await;
    let mut claims = provider.claims("ada@corp.test");
    claims["groups"] = json!(["0f1e", "reader", "Domain Users", "Guarita.Admin"]);
    let answer = bearer(&gateway, &key.sign(&claims)).get("/api/x").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let request = upstream.only();
    assert_eq!(request.one("sub").as_deref(), Some("ada@corp.test"));
    assert_eq!(request.one("app_roles").as_deref(), Some("Metrics.Admin,reader"));
    assert_eq!(request.one("x-auth-source").as_deref(), Some("bearer"));
    assert_eq!((request.one("x-auth-uid"), request.one("x-auth-sid")), (None, None));
    assert_eq!(request.one("authorization"), None);
    // Scopes are the token's.
    let scoped = |scope: &str| {
        let mut claims = claims.clone();
        claims["scp"] = json!([scope]);
        bearer(&gateway, &key.sign(&claims))
    };
    assert_eq!(scoped("orders.read").get("/scoped/x").await.status, 200);
    assert_eq!(scoped("orders").get("/scoped/x").await.status, 403);
    // Roles decide as they do for our own.
    assert_eq!(bearer(&gateway, &key.sign(&claims)).get("/admin/x").await.status, 403);
    claims["app_roles"] = json!(["admin"]);
    assert_eq!(bearer(&gateway, &key.sign(&claims)).get("/admin/x").await.status, 200);
    // Our own tokens count beside them.
    assert_eq!(gateway.bearer("alice").await.get("/api/x").await.status, 200);
    until("the age of the keys", || async {
        let age = gateway.metric("guarita_provider_keys_age_seconds", "provider=\"idp\"").await;
        (0.0..60.0).contains(&age).then_some(())
    })
    .await;
    let line = gateway.audited("the request", |line| line["jti"] == claims["jti"]).await;
    assert!(!line.to_string().contains("ada@corp"), "{line}");
}

/// jwt-claims and jwt-forgery, for tokens of others.
#[tokio::test]
async fn a_token_that_is_not_exactly_the_providers_is_refused() {
    let (key, stranger) = (Key::new("k1"), Key::new("k1"));
    let provider = Provider::start(&[&key]).await;
    let more = "required_claims = { tid = \"t-1\" }";
    let (upstream, gateway) = start(&provider, more).await;
    let mut good = provider.claims("ada");
    good["tid"] = json!("t-1");
    assert_eq!(status(&gateway, &key.sign(&good)).await, 200);
    upstream.forget();
    for (name, value) in [
        ("iss", json!(format!("{}/", provider.issuer()))),
        ("iss", json!("ms-auth")),
        ("iss", Value::Null),
        ("aud", json!("api")),
        ("aud", json!([])),
        ("exp", json!(1)),
        ("nbf", json!(4_000_000_000_i64)),
        ("sub", json!("system")),
        ("sub", json!("a\r\nb")),
        ("tid", json!("t-2")),
        ("tid", Value::Null),
        ("events", json!({})),
    ] {
        let mut claims = good.clone();
        claims[name] = value.clone();
        assert_eq!(status(&gateway, &key.sign(&claims)).await, 401, "{name} {value}");
    }
    assert_eq!(status(&gateway, &stranger.sign(&good)).await, 401);
    let unsigned = token(r#"{"alg":"none"}"#, &good.to_string(), &Signer::Bytes(b""));
    assert_eq!(status(&gateway, &unsigned).await, 401);
    let by_public_key = token(
        &json!({"alg": "HS256", "kid": "k1"}).to_string(),
        &good.to_string(),
        &Signer::Hs256(key.rsa.public_pem().as_bytes()),
    );
    assert_eq!(status(&gateway, &by_public_key).await, 401);
    // Our own key signs for us alone, whatever it says, and the provider's for the provider.
    let own = crate::harness::tokens::signing_key();
    let header = json!({"alg": "RS256", "typ": "JWT"}).to_string();
    let forged = token(&header, &good.to_string(), &Signer::Rs256(own));
    assert_eq!(status(&gateway, &forged).await, 401);
    let genuine = crate::harness::tokens::Genuine::of(&gateway.bearer("root").await);
    let forged = key.sign(&genuine.claims);
    assert_eq!(status(&gateway, &forged).await, 401);
    assert_eq!(upstream.count(), 0);
}

#[tokio::test]
async fn a_flood_of_unknown_key_ids_is_one_fetch_and_harms_nobody() {
    let key = Key::new("k1");
    let provider = Provider::start(&[&key]).await;
    let (_upstream, gateway) = start(&provider, "keys_cooldown = \"5m\"").await;
    let good = key.sign(&provider.claims("ada"));
    assert_eq!(status(&gateway, &good).await, 200);
    let before = provider.key_fetches();
    let gateway = Arc::new(gateway);
    let claims = provider.claims("eve");
    let mut flood = JoinSet::new();
    for part in 0..10 {
        let (gateway, claims, good) = (Arc::clone(&gateway), claims.clone(), good.clone());
        flood.spawn(async move {
            let mut stranger = Key::new("");
            for number in 0..30 {
                stranger.id = format!("stranger-{part}-{number}");
                assert_eq!(status(&gateway, &stranger.sign(&claims)).await, 401);
            }
            assert_eq!(status(&gateway, &good).await, 200);
        });
    }
    flood.join_all().await;
    assert!(provider.key_fetches() - before <= 1, "{} {before}", provider.key_fetches());
}

/// jwks-dos-008
#[tokio::test]
async fn a_new_key_counts_with_the_first_token_that_names_it_and_a_removed_one_no_more() {
    let (old, new) = (Key::new("old"), Key::new("new"));
    let provider = Provider::start(&[&old]).await;
    let (_upstream, gateway) = start(&provider, QUICK).await;
    let token = old.sign(&provider.claims("ada"));
    assert_eq!(status(&gateway, &token).await, 200);
    provider.publish(&[&old, &new]);
    let fresh = new.sign(&provider.claims("ada"));
    until("the new key counts", || async { (status(&gateway, &fresh).await == 200).then_some(()) })
        .await;
    assert_eq!(status(&gateway, &token).await, 200);
    provider.publish(&[&new]);
    until("the old key counts no more", || async {
        (status(&gateway, &token).await == 401).then_some(())
    })
    .await;
    assert_eq!(status(&gateway, &fresh).await, 200);
}

/// jwks-dos-001 (known keys are kept), jwks-dos-002, jwks-dos-003
#[tokio::test]
async fn an_outage_of_the_provider_leaves_its_known_keys() {
    let key = Key::new("k1");
    let provider = Provider::start(&[&key]).await;
    let (_upstream, gateway) = start(&provider, QUICK).await;
    let good = key.sign(&provider.claims("ada"));
    assert_eq!(status(&gateway, &good).await, 200);
    let elsewhere =
        Upstream::answering(move |_| json_answer(&json!({"keys": [Key::new("evil").jwk()]}))).await;
    let failures = "provider=\"idp\",result=\"failed\"";
    let moved = format!("{}/keys", elsewhere.url());
    for answer in [
        Answer::status(500),
        Answer::Close,
        Answer::Reply(200, Vec::new(), b"not json".to_vec()),
        json_answer(&json!({"issuer": provider.issuer(), "jwks_uri": "file:///etc/passwd"})),
        json_answer(&json!({"issuer": "http://other.test", "jwks_uri": moved})),
        json_answer(&json!({"keys": []})),
        Answer::Reply(200, Vec::new(), b"<!doctype html><title>Maintenance</title>".to_vec()),
        json_answer(&json!({"issuer": provider.issuer(), "jwks_uri": "http://169.254.169.254/k"})),
        Answer::Reply(302, vec![("location".into(), moved.clone())], Vec::new()),
        Answer::Zeros(300 << 10),
    ] {
        provider.fail(answer);
        let before = gateway.metric("guarita_provider_key_fetches_total", failures).await;
        let other = Key::new("unknown").sign(&provider.claims("eve"));
        until("another failed fetch", || async {
            assert_eq!(status(&gateway, &other).await, 401);
            let now = gateway.metric("guarita_provider_key_fetches_total", failures).await;
            (now > before).then_some(())
        })
        .await;
        assert_eq!(status(&gateway, &good).await, 200);
    }
    assert_eq!(elsewhere.count(), 0);
    // Another token of the same key too: it was not only remembered.
    assert_eq!(status(&gateway, &key.sign(&provider.claims("bob"))).await, 200);
}

/// jwks-dos-001, past the bound
#[tokio::test]
async fn keys_that_are_too_old_count_no_more_until_they_are_fetched_again() {
    let key = Key::new("k1");
    let provider = Provider::start(&[&key]).await;
    let (_upstream, gateway) = start(&provider, &format!("{QUICK}\nkeys_max_age = \"2s\"")).await;
    let good = key.sign(&provider.claims("ada"));
    assert_eq!(status(&gateway, &good).await, 200);
    provider.fail(Answer::status(500));
    until("keys too old", || async { (status(&gateway, &good).await == 503).then_some(()) }).await;
    provider.answer();
    until("keys again", || async { (status(&gateway, &good).await == 200).then_some(()) }).await;
}

/// jwks-dos-001, at the start
#[tokio::test]
async fn a_provider_that_was_never_reached_stops_neither_the_start_nor_others() {
    let key = Key::new("k1");
    let provider = Provider::start(&[&key]).await;
    provider.fail(Answer::status(503));
    let (_upstream, gateway) = start(&provider, QUICK).await;
    let good = key.sign(&provider.claims("ada"));
    let answer = bearer(&gateway, &good).get("/api/x").await;
    answer.assert_problem(503, "unavailable");
    assert_eq!(gateway.bearer("alice").await.get("/api/x").await.status, 200);
    assert_eq!(gateway.anonymous().get("/public/x").await.status, 200);
    provider.answer();
    until("it counts", || async { (status(&gateway, &good).await == 200).then_some(()) }).await;
}

#[tokio::test]
async fn a_shared_secret_needs_no_keys_to_be_fetched() {
    let (upstream, gateway, claims) = supabase("").await;
    assert_eq!(status(&gateway, &by_secret(&claims, SECRET)).await, 200);
    assert_eq!(upstream.only().one("app_roles").as_deref(), Some("legal,user"));
    let foreign = by_secret(&claims, "another secret of thirty-two byt");
    assert_eq!(status(&gateway, &foreign).await, 401);
}

/// A project of Supabase with a shared secret, and claims of one of its users.
pub(crate) async fn supabase(more: &str) -> (Upstream, Gateway, Value) {
    let upstream = Upstream::start().await;
    let issuer = "https://project.supabase.test/auth/v1";
    let table = format!(
        "[[providers]]\nname = \"supabase\"\npreset = \"supabase\"\nissuer = \"{issuer}\"\nsecret = \"{SECRET}\"\n"
    );
    let setup = Setup::standard(&upstream.url()).table(&table);
    let setup = setup.route(&format!(
        "hosts = [\"{HOST}\"]\npath = \"/token/{{*rest}}\"\ncsrf = \"token\"\n{more}"
    ));
    let now = jiff::Timestamp::now().as_second();
    let claims = json!({
        "iss": issuer, "aud": "authenticated", "sub": "8d2f5b0e-1111-4222-8333-444455556666",
        "iat": now, "exp": now + 600, "role": "authenticated", "session_id": "0b1c", "aal": "aal1",
        "app_metadata": {"roles": ["user", "legal"]}, "user_metadata": {"roles": ["admin"]},
    });
    (upstream, setup.start().await, claims)
}

pub(crate) const SECRET: &str = "0123456789abcdef-of-the-project!";

pub(crate) fn by_secret(claims: &Value, secret: &str) -> String {
    let header = r#"{"alg":"HS256","typ":"JWT","kid":"legacy"}"#;
    token(header, &claims.to_string(), &Signer::Hs256(secret.as_bytes()))
}

#[tokio::test]
async fn a_session_in_the_cookies_of_supabase_counts_in_every_form_and_mixed_in_none() {
    let (upstream, gateway, claims) = supabase("").await;
    let token = by_secret(&claims, SECRET);
    let session =
        json!({"access_token": token, "refresh_token": "r", "user": {"email": "é@a.test"}});
    let encoded = format!("base64-{}", encode(session.to_string()));
    let (one, rest) = encoded.split_at(300);
    let (two, three) = rest.split_at(300);
    let name = "sb-project-auth-token";
    let anonymous = gateway.anonymous();
    let get = |cookies: String| {
        let anonymous = &anonymous;
        async move { anonymous.send(Request::get("/api/x").header("cookie", &cookies)).await.status }
    };
    for cookies in [
        format!("{name}={encoded}"),
        format!("{name}.0={one}; {name}.1={two}; {name}.2={three}"),
        format!("{name}.2={three}; a=b; {name}.0={one}; {name}.1={two}"),
        format!("sb-access-token={token}"),
        format!("supabase-auth-token=[\"{token}\",\"r\"]"),
    ] {
        upstream.forget();
        assert_eq!(get(cookies.clone()).await, 200, "{cookies}");
        let request = upstream.only();
        assert_eq!(request.one("x-auth-source").as_deref(), Some("session"));
        assert_eq!(request.one("app_roles").as_deref(), Some("legal,user"));
        assert_eq!(request.one("cookie").as_deref(), Some(cookies.as_str()));
    }
    let own = gateway.bearer("alice").await.token.unwrap();
    let eve = by_secret(&claims, "another secret of thirty-two byt");
    for cookies in [
        format!("{name}={encoded}; {name}.0={one}"),
        format!("{name}.0={one}; {name}.2={three}"),
        format!("{name}.0={one}; {name}.1={two}; {name}.2={three}; {name}.2=x"),
        format!("sb-other-auth-token={encoded}"),
        format!("sb-access-token={eve}"),
        // A token of ours is none of its cookies'.
        format!("sb-access-token={own}"),
    ] {
        assert_eq!(get(cookies.clone()).await, 401, "{cookies}");
    }
}

#[tokio::test]
async fn what_the_library_of_supabase_writes_counts_whole_and_in_chunks() {
    let (upstream, gateway, claims) = supabase("").await;
    let setting = json!({
        "modules": chromium::modules(),
        "url": "https://project.supabase.test",
        "token": by_secret(&claims, SECRET),
    });
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser/supabase.mjs");
    let output = Command::new("node").arg(script).env("SUPABASE", setting.to_string()).output();
    let output = within("the library", output).await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let written: BTreeMap<String, Vec<(String, String)>> =
        serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(written.len(), 4);
    for (what, cookies) in &written {
        assert_eq!(cookies.len() > 2, what.ends_with("large"), "{what}: {cookies:?}");
        let pairs: Vec<_> = cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        upstream.forget();
        let ask = |pairs: &[String]| {
            let request = Request::get("/api/x").header("cookie", &pairs.join("; "));
            let anonymous = gateway.anonymous();
            async move { anonymous.send(request).await.status }
        };
        assert_eq!(ask(&pairs).await, 200, "{what}");
        assert_eq!(upstream.only().one("app_roles").as_deref(), Some("legal,user"));
        if let [one, .., last] = pairs.as_slice() {
            assert_eq!(ask(&[one.clone(), last.clone()]).await, 401, "{what}");
        }
    }
}

/// csrf-origin, for sessions in the cookies of others.
#[tokio::test]
async fn another_site_cannot_use_the_cookies_of_supabase() {
    let (_upstream, gateway, claims) = supabase("").await;
    let token = by_secret(&claims, SECRET);
    let anonymous = gateway.anonymous();
    // Known as a bearer, it is no bearer when it comes as a cookie.
    assert_eq!(status(&gateway, &token).await, 200);
    let post = |path: &str, site: &str| {
        let cookie = format!("sb-access-token={token}");
        let request = Request::post(path).header("cookie", &cookie).header("sec-fetch-site", site);
        let anonymous = &anonymous;
        async move { anonymous.send(request.json(&json!({}))).await.status }
    };
    for path in ["/api/x", "/token/x"] {
        assert_eq!(post(path, "same-origin").await, 200);
        assert_eq!(post(path, "cross-site").await, 403);
        assert_eq!(post(path, "same-site").await, 403);
    }
    let silent = Request::post("/api/x").header("cookie", &format!("sb-access-token={token}"));
    assert_eq!(anonymous.send(silent.json(&json!({}))).await.status, 403);
}

#[tokio::test]
async fn where_others_issue_there_is_no_login_and_no_token_of_ours_counts() {
    let key = Key::new("k1");
    let provider = Provider::start(&[&key]).await;
    let upstream = Upstream::start().await;
    let setup = Setup::standard(&upstream.url()).table(&provider.table(""));
    let gateway = setup.set("mode", "\"external\"").start().await;
    let anonymous = gateway.anonymous();
    for path in ["/auth/login", "/auth/token", "/api/auth/token", "/auth/refresh", "/recover"] {
        let credentials = json!({"username": "alice", "password": "correct horse battery alice"});
        anonymous.post(path, &credentials).await.assert_problem(404, "not_found");
    }
    assert_eq!(anonymous.get("/login").await.status, 404);
    let page =
        Request::get("/api/x").header("accept", "text/html").header("sec-fetch-mode", "navigate");
    assert_eq!(anonymous.send(page).await.status, 401);
    assert_eq!(status(&gateway, &key.sign(&provider.claims("ada"))).await, 200);
    // By our own key, as a session of before would be.
    let now = jiff::Timestamp::now().as_second();
    let claims = json!({
        "iss": "ms-auth", "aud": "api", "sub": "alice", "uid": 1, "iat": now, "exp": now + 600, "jti": "t",
        "sid": "01932c07-7f0c-7d5e-8a00-0123456789ab", "app_roles": ["user"],
    });
    let header = json!({"alg": "RS256", "typ": "JWT"}).to_string();
    let own = Signer::Rs256(crate::harness::tokens::signing_key());
    assert_eq!(status(&gateway, &token(&header, &claims.to_string(), &own)).await, 401);
}

#[tokio::test]
async fn providers_come_and_go_by_a_reload() {
    let key = Key::new("k1");
    let provider = Provider::start(&[&key]).await;
    let upstream = Upstream::start().await;
    let setup = Setup::standard(&upstream.url());
    let mut gateway = setup.clone().start().await;
    let good = key.sign(&provider.claims("ada"));
    assert_eq!(status(&gateway, &good).await, 401);
    let with = setup.clone().table(&provider.table(""));
    assert!(gateway.reload(with.clone()).await);
    assert_eq!(status(&gateway, &good).await, 200);
    let fetches = provider.key_fetches();
    // Its keys stay where only something else changed.
    assert!(gateway.reload(with.set("limits.header_count", "99")).await);
    assert_eq!((status(&gateway, &good).await, provider.key_fetches()), (200, fetches));
    let other = provider.table("").replace(AUDIENCE, "api://other");
    assert!(gateway.reload(setup.clone().table(&other)).await);
    assert_eq!(status(&gateway, &good).await, 401);
    assert!(gateway.reload(setup).await);
    assert_eq!(status(&gateway, &good).await, 401);
}

#[tokio::test]
async fn a_file_of_cas_that_has_none_is_told_before_anything_serves() {
    let directory = tempfile::tempdir().unwrap();
    let cut = crate::harness::Authority::new("CA").pem().replace("-----END CERTIFICATE-----", "");
    let none = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_owned();
    for content in [String::new(), "no certificate".to_owned(), cut, none] {
        let table = "[[providers]]\nname = \"idp\"\nissuer = \"https://idp.example.test\"\n\
                     audience = [\"api\"]\nca = \"idp-ca.pem\"\n";
        let setup = Setup::standard("http://127.0.0.1:9").table(table);
        setup.file("idp-ca.pem", content).write(directory.path());
        let check = ["check", "--config", "guarita.toml"];
        let refused = crate::harness::cli::run(directory.path(), &check, "").await.failed(2);
        let output = refused.output();
        for part in ["guarita.toml", "providers[0].ca", "idp-ca.pem has no CA", "BEGIN CERTIFICATE"]
        {
            assert!(output.contains(part), "{part}: {output}");
        }
    }
}
