//! The signed statement of who is calling, for upstreams that want proof.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::authenticator::with_factors;
use crate::harness::nginx::Nginx;
use crate::harness::setup::replace;
use crate::harness::tokens::{Genuine, decode, elliptic_key};
use crate::harness::wait::within_minutes;
use crate::harness::{
    Authenticator, Browser, Gateway, HOST, Persona, Request, Setup, Upstream, Verifier, Wire, cli,
    until,
};
use crate::introspection::{ask, with_clients};

const NAME: &str = "x-auth-assertion";
const API_KEY: &str = "the-key-of-a-service-not-to-be-guessed";

fn setup(upstream: &Upstream) -> Setup {
    Setup::standard(&upstream.url())
        .without_table("[[upstreams]]")
        .upstream_with("u", &[&upstream.url()], "assertion_audience = \"orders\"")
        .set("assertion.enabled", "true")
}

async fn started() -> (Upstream, Gateway) {
    let upstream = Upstream::start().await;
    let gateway = setup(&upstream).start().await;
    (upstream, gateway)
}

/// The assertion with which a request of this caller arrives.
async fn asserted(upstream: &Upstream, caller: &Persona) -> String {
    assert_eq!(caller.get("/api/x").await.status, 200);
    upstream.last().one(NAME).expect("an assertion")
}

fn part(assertion: &str, at: usize) -> Value {
    serde_json::from_slice(&decode(assertion.split('.').nth(at).unwrap())).unwrap()
}

fn key_id(assertion: &str) -> String {
    part(assertion, 0)["kid"].as_str().unwrap().to_owned()
}

/// The ids of the published keys of that type.
async fn published(gateway: &Gateway, kind: &str) -> Vec<String> {
    let set = gateway.anonymous().get("/.well-known/jwks.json").await.json();
    let keys = set["keys"].as_array().unwrap().iter().filter(|key| key["kty"] == kind);
    keys.map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

fn key_files(gateway: &Gateway) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(gateway.data().join("keys/assertion")).unwrap();
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// Puts a new key there as an operator does, and waits until it is published.
async fn put_new_key(gateway: &Gateway, name: &str) {
    let before = published(gateway, "EC").await.len();
    let (pem, _) = elliptic_key();
    replace(&gateway.data().join("keys/assertion").join(name), pem.as_bytes());
    until("the new key to be published", || async {
        (published(gateway, "EC").await.len() > before).then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_upstream_gets_a_signed_statement_of_who_is_calling() {
    let upstream = Upstream::start().await;
    let gateway = setup(&upstream)
        .environment("SERVICE_API_KEY", API_KEY)
        .set("credentials.service_roles", "[\"Jobs\"]")
        .upstream("invoices", &[&upstream.url()])
        .route("path = \"/invoices\"\nupstream = \"invoices\"")
        .start()
        .await;
    let mut verifiers = [Verifier::python(&gateway), Verifier::javascript(&gateway)];
    let alice = gateway.bearer("alice").await;
    let assertion = asserted(&upstream, &alice).await;
    let header = part(&assertion, 0);
    assert_eq!((&header["typ"], &header["alg"]), (&json!("assertion+jwt"), &json!("ES256")));
    for verifier in &mut verifiers {
        let said = verifier.verify(&assertion).await.unwrap();
        assert_eq!(said, part(&assertion, 1));
        assert_eq!((&said["iss"], &said["aud"]), (&json!("ms-auth"), &json!("orders")));
        assert_eq!((&said["sub"], &said["source"]), (&json!("alice"), &json!("bearer")));
        assert_eq!(said["uid"], Genuine::of(&alice).claims["uid"]);
        assert_eq!(said["sid"].as_str(), alice.sid.as_deref());
        assert_eq!(said["app_roles"], json!(["user"]));
        assert_eq!(said["exp"].as_i64().unwrap() - said["iat"].as_i64().unwrap(), 60);
        assert_eq!((&said["nbf"], &said["amr"]), (&said["iat"], &Value::Null));
    }

    // Not one that was changed, nor one for another upstream.
    assert_eq!(alice.get("/invoices").await.status, 200);
    let other = upstream.last().one(NAME).unwrap();
    assert_eq!(part(&other, 1)["aud"], "invoices");
    let segments: Vec<_> = assertion.split('.').collect();
    let foreign: Vec<_> = other.split('.').collect();
    let mixed = format!("{}.{}.{}", segments[0], foreign[1], segments[2]);
    for verifier in &mut verifiers {
        for bad in [&other, &mixed, &alice.token.clone().unwrap()] {
            assert!(verifier.verify(bad).await.is_err(), "{bad}");
        }
    }

    // Other ways to be somebody.
    let browser = Browser::signed_in(&gateway, "alice").await;
    assert_eq!(browser.get("/api/x").await.status, 200);
    let by_cookie = part(&upstream.last().one(NAME).unwrap(), 1);
    assert_eq!((&by_cookie["sub"], &by_cookie["source"]), (&json!("alice"), &json!("session")));
    let request = Request::get("/api/x").header("x-service-api-key", API_KEY);
    assert_eq!(gateway.anonymous().send(request).await.status, 200);
    let by_key = part(&upstream.last().one(NAME).unwrap(), 1);
    assert_eq!((&by_key["sub"], &by_key["source"]), (&json!("system"), &json!("api_key")));
    assert_eq!(by_key["app_roles"], json!(["Jobs"]));
    assert_eq!((&by_key["uid"], &by_key["sid"]), (&Value::Null, &Value::Null));
}

#[tokio::test]
async fn one_is_handed_on_until_it_says_something_else() {
    let (upstream, gateway) = started().await;
    let (alice, root) = (gateway.bearer("alice").await, gateway.bearer("root").await);
    let first = asserted(&upstream, &alice).await;
    let mut all = BTreeSet::from([first]);
    for _ in 0..50 {
        all.insert(asserted(&upstream, &alice).await);
    }
    // Two only where half a minute ended meanwhile.
    assert!(all.len() <= 2, "{all:?}");
    assert!(!all.contains(&asserted(&upstream, &root).await));
    let again = gateway.bearer("alice").await;
    assert_eq!(part(&asserted(&upstream, &again).await, 1)["sid"].as_str(), again.sid.as_deref());

    let grant = ["user", "grant", "--username", "alice", "--role", "extra"];
    gateway.verb(&grant, "").await.succeeded();
    until("the new role", || async {
        let assertion = asserted(&upstream, &alice).await;
        let seen = upstream.last();
        let roles = part(&assertion, 1)["app_roles"].clone();
        // Header and assertion never disagree.
        let listed: Vec<_> = roles.as_array().unwrap().iter().filter_map(Value::as_str).collect();
        assert_eq!(seen.one("app_roles"), Some(listed.join(",")));
        (roles == json!(["extra", "user"])).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_second_factor_is_told_once_it_is_proven() {
    let upstream = Upstream::start().await;
    let gateway = with_factors(setup(&upstream)).start().await;
    let before = asserted(&upstream, &gateway.bearer("alice").await).await;
    assert_eq!(part(&before, 1)["amr"], Value::Null);
    let (alice, ..) = Authenticator::enrol(&gateway, "alice").await;
    let after = asserted(&upstream, &alice).await;
    assert_eq!(part(&after, 1)["amr"], json!(["mfa"]));
    for mut verifier in [Verifier::python(&gateway), Verifier::javascript(&gateway)] {
        assert_eq!(verifier.verify(&after).await.unwrap()["amr"], json!(["mfa"]));
    }
}

#[tokio::test]
async fn there_is_none_without_a_caller_and_none_unless_enabled() {
    let (upstream, mut gateway) = started().await;
    let spoofed = |target: &str| {
        ["x-auth-assertion", "X_Auth_Assertion", "x-auth_assertion", "X.Auth.Assertion"]
            .iter()
            .fold(Request::get(target), |request, name| request.header(name, "mallory"))
    };
    let alice = gateway.bearer("alice").await;
    let nobody = gateway.anonymous();
    assert_eq!(nobody.send(spoofed("/public/x")).await.status, 200);
    assert!(!upstream.last().text().contains("mallory"), "{}", upstream.last().text());
    assert!(upstream.last().folded(NAME).is_empty());
    let bad = spoofed("/public/x").bearer("not.a.token");
    assert_eq!(nobody.send(bad).await.status, 200);
    assert!(upstream.last().folded(NAME).is_empty());
    assert_eq!(alice.send(spoofed("/api/x")).await.status, 200);
    let seen = upstream.last();
    assert!(!seen.text().contains("mallory"), "{}", seen.text());
    assert_eq!(seen.folded(NAME).len(), 1);
    assert_eq!(alice.send(spoofed("/public/x")).await.status, 200);
    assert_eq!(upstream.last().folded(NAME).len(), 1);
    assert_eq!(published(&gateway, "EC").await.len(), 1);

    let setup = gateway.setup.clone().set("assertion.enabled", "false");
    assert!(gateway.reload(setup).await);
    for target in ["/public/x", "/api/x"] {
        assert_eq!(alice.send(spoofed(target)).await.status, 200);
        let seen = upstream.last();
        assert!(!seen.text().contains("mallory"), "{}", seen.text());
        assert!(seen.folded(NAME).is_empty(), "{}", seen.text());
    }
    assert!(published(&gateway, "EC").await.is_empty());

    let untouched = Setup::standard(&upstream.url()).start().await;
    assert_eq!(untouched.bearer("alice").await.get("/api/x").await.status, 200);
    assert!(upstream.last().folded(NAME).is_empty());
    assert!(!untouched.data().join("keys/assertion").exists());
}

#[tokio::test]
async fn an_assertion_is_no_credential() {
    let upstream = Upstream::start().await;
    for algorithm in ["RS256", "ES256"] {
        let mut setup = with_clients(setup(&upstream));
        if algorithm == "ES256" {
            let (pem, _) = elliptic_key();
            setup = setup.file("signing.pem", pem).set("tokens.algorithm", "\"ES256\"");
        }
        let gateway = setup.start().await;
        let root = gateway.bearer("root").await;
        let assertion = asserted(&upstream, &root).await;
        upstream.forget();
        let thief = gateway.anonymous().with_token(&assertion);
        for target in ["/api/x", "/admin/x", "/auth/sessions"] {
            thief.get(target).await.assert_problem(401, "unauthorized");
        }
        let keyed = Request::get("/api/x").header("x-service-api-key", &assertion);
        gateway.anonymous().send(keyed).await.assert_problem(401, "unauthorized");
        let named = Request::get("/api/x").header(NAME, &assertion);
        gateway.anonymous().send(named).await.assert_problem(401, "unauthorized");
        assert_eq!(upstream.count(), 0);
        assert_eq!(ask(&gateway, &assertion).await.json(), json!({ "active": false }));
        assert_eq!(thief.get("/public/x").await.status, 200);
        assert!(upstream.last().folded("sub").is_empty());
        assert!(upstream.last().folded(NAME).is_empty());
    }
}

#[tokio::test]
async fn an_audience_that_is_that_of_access_tokens_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let upstream = "http://127.0.0.1:9";
    for (name, more, told) in [
        ("api", "", true),
        ("orders", "assertion_audience = \"api\"", true),
        ("api", "assertion_audience = \"orders\"", false),
    ] {
        let setup = Setup::new().upstream_with(name, &[upstream], more);
        setup.set("assertion.enabled", "true").write(directory.path());
        let outcome = cli::run(directory.path(), &["check", "--config", "guarita.toml"], "").await;
        assert_eq!(outcome.code, if told { 2 } else { 0 }, "{name} {more}: {}", outcome.output());
        assert_eq!(outcome.output().contains("audience of its assertions"), told);
    }
    let setup = Setup::new().upstream("api", &[upstream]).set("assertion.enabled", "true");
    setup.write(directory.path());
    let serve = ["serve", "--config", "guarita.toml"];
    cli::run(directory.path(), &serve, "").await.failed(2);
}

#[tokio::test]
async fn a_proxy_that_asks_gets_the_one_for_the_upstream_of_the_route() {
    let upstream = Upstream::start().await;
    let gateway = setup(&upstream)
        .set("trusted_proxies", "[\"127.0.0.1\"]")
        .upstream("invoices", &[&upstream.url()])
        .route("path = \"/invoices\"\nupstream = \"invoices\"")
        .start()
        .await;
    let alice = gateway.bearer("alice").await;
    let question = |target: &str| {
        Request::get("/oauth2/auth")
            .header("x-forwarded-method", "GET")
            .header("x-forwarded-proto", "https")
            .header("x-forwarded-host", HOST)
            .header("x-forwarded-uri", target)
            .header(NAME, "mallory")
    };
    for (target, audience) in [("/api/x", "orders"), ("/invoices", "invoices")] {
        let answer = alice.send(question(target)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(part(answer.header(NAME).unwrap(), 1)["aud"], audience);
    }
    let nobody = gateway.anonymous().send(question("/public/x")).await;
    assert_eq!((nobody.status, nobody.header(NAME)), (200, None));

    let nginx = Nginx::guarded_by(gateway.http(), &upstream.url()).await;
    let mut verifier = Verifier::python(&gateway);
    let request =
        Request::get("/api/x").bearer(&alice.token.clone().unwrap()).header(NAME, "mallory");
    assert_eq!(Wire::plain(nginx.address).await.exchange(&request, HOST).await.status, 200);
    let passed_on = upstream.only().one(NAME).unwrap();
    assert_eq!(verifier.verify(&passed_on).await.unwrap()["sub"], "alice");
}

#[tokio::test]
async fn a_new_key_is_published_before_it_signs() {
    let upstream = Upstream::start().await;
    let mut gateway = setup(&upstream).set("assertion.publish_ahead", "\"1h\"").start().await;
    let files = key_files(&gateway);
    assert_eq!(files.len(), 1);
    assert_eq!(std::fs::metadata(&files[0]).unwrap().permissions().mode() & 0o7777, 0o600);
    let alice = gateway.bearer("alice").await;
    let first = key_id(&asserted(&upstream, &alice).await);
    assert_eq!(published(&gateway, "EC").await.join(" "), first);

    put_new_key(&gateway, "9998.ES256.pem").await;
    let root = gateway.bearer("root").await;
    assert_eq!(key_id(&asserted(&upstream, &root).await), first);
    gateway = gateway.crash_and_restart().await;
    let root = gateway.bearer("root").await;
    assert_eq!(key_id(&asserted(&upstream, &root).await), first, "a restart forgets no time");

    let setup = gateway.setup.clone().set("assertion.publish_ahead", "\"0s\"");
    assert!(gateway.reload(setup).await);
    let second = key_id(&asserted(&upstream, &root).await);
    assert_ne!(second, first, "one that the old key signed was handed on");
    assert!(published(&gateway, "EC").await.contains(&second));

    // The key of tokens has another purpose, and one that is in both places is refused.
    let (pem, _) = elliptic_key();
    let setup = gateway.setup.clone().file("signing.pem", &pem);
    assert!(gateway.reload(setup.set("tokens.algorithm", "\"ES256\"")).await);
    let root = gateway.bearer("root").await;
    let failed = gateway.reloads("failed").await;
    replace(&gateway.data().join("keys/assertion/9999.ES256.pem"), pem.as_bytes());
    until("the refusal", || async { (gateway.reloads("failed").await > failed).then_some(()) })
        .await;
    assert_eq!(key_id(&asserted(&upstream, &root).await), second);
}

/// Both look for an unknown key once in 30 s only, so a new one has to be published for longer than that
/// before it signs; the snippets run as they are documented.
#[tokio::test]
async fn pyjwt_and_jose_verify_across_a_rotation_without_a_failure() {
    let upstream = Upstream::start().await;
    let gateway = setup(&upstream).set("assertion.publish_ahead", "\"32s\"").start().await;
    let alice = gateway.bearer("alice").await;
    let mut verifiers = [Verifier::python(&gateway), Verifier::javascript(&gateway)];
    let old_file = key_files(&gateway).pop().unwrap();
    let mut old = asserted(&upstream, &alice).await;
    for verifier in &mut verifiers {
        verifier.verify(&old).await.unwrap();
    }
    put_new_key(&gateway, "9999.ES256.pem").await;
    let mut verified = 0;
    let rotation = async {
        let mut ticks = tokio::time::interval(Duration::from_millis(50));
        loop {
            ticks.tick().await;
            let assertion = asserted(&upstream, &alice).await;
            for verifier in &mut verifiers {
                let said = verifier.verify(&assertion).await.unwrap();
                assert_eq!(said["sub"], "alice");
                verified += 1;
            }
            if key_id(&assertion) != key_id(&old) {
                return;
            }
            old = assertion;
        }
    };
    within_minutes("the new key to sign", rotation).await;

    // Gone, and yet what it signed last holds for whoever looks for its key only now.
    let reloads = gateway.reloads("succeeded").await;
    std::fs::remove_file(old_file).unwrap();
    until("the removal to be noticed", || async {
        (gateway.reloads("succeeded").await > reloads).then_some(())
    })
    .await;
    let current = asserted(&upstream, &alice).await;
    let mut newcomers = [Verifier::python(&gateway), Verifier::javascript(&gateway)];
    for verifier in newcomers.iter_mut().chain(&mut verifiers) {
        verifier.verify(&old).await.unwrap();
        verifier.verify(&current).await.unwrap();
    }
    eprintln!("{verified} verifications across the rotation, none failed");
}
