//! Login through a provider, where somebody cheats.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::harness::provider::{ACCESS_TOKEN_HASH, AUDIENCE, Key, Provider};
use crate::harness::tokens::{Signer, token};
use crate::harness::{Gateway, HOST, Request, Response, Setup, Upstream};

const CLIENT: &str = "our-client";
const SECRET: &str = "the-secret-of-our-client-at-the-provider";

struct Stage {
    key: Key,
    provider: Provider,
    upstream: Upstream,
    gateway: Gateway,
}

/// A login that a browser began.
struct Begun {
    state: String,
    nonce: String,
    cookie: String,
    /// The cookies that gave way to it.
    gone: Vec<String>,
}

impl Stage {
    async fn new() -> Self {
        Self::with("", |_| ()).await
    }

    /// With more keys in the provider's table, once it is prepared.
    async fn with(more: &str, prepare: impl FnOnce(&Provider)) -> Self {
        let key = Key::new("k1");
        let provider = Provider::start(&[&key]).await;
        prepare(&provider);
        let upstream = Upstream::start().await;
        let more = format!(
            "users = \"create\"\ndefault_roles = [\"reader\"]\nclient_id = \"{CLIENT}\"\n\
             client_secret = \"{SECRET}\"\n{more}"
        );
        let setup = Setup::standard(&upstream.url())
            .table(&provider.table(&more))
            .set("rate_limits.login.per_source", "\"off\"");
        Self { key, provider, upstream, gateway: setup.start().await }
    }

    async fn begin(&self) -> Begun {
        self.begin_with("").await
    }

    /// In a browser that has these cookies already.
    async fn begin_with(&self, cookies: &str) -> Begun {
        let target = "/auth/oidc/idp/start?return_to=/api/after";
        let request = Request::get(target).header("cookie", cookies);
        let answer = self.gateway.anonymous().send(request).await;
        assert_eq!(answer.status, 303, "{}", answer.text());
        let location = answer.header("location").unwrap();
        let part = |name: &str| {
            let rest = location.split(&format!("{name}=")).nth(1).unwrap();
            rest.split('&').next().unwrap().to_owned()
        };
        let mut fields = answer.all("set-cookie").into_iter();
        let cookie = fields.next().unwrap().split(';').next().unwrap().to_owned();
        let gone = fields.map(|field| {
            assert!(field.ends_with("Max-Age=0"), "{field}");
            field.split_once('=').unwrap().0.to_owned()
        });
        Begun { state: part("state"), nonce: part("nonce"), cookie, gone: gone.collect() }
    }

    /// Claims of a good ID token.
    fn claims(&self, subject: &str, begun: &Begun) -> Value {
        let mut claims = self.provider.claims(subject);
        claims["aud"] = json!(CLIENT);
        claims["nonce"] = json!(begun.nonce);
        claims
    }

    /// What a callback brings, with this ID token behind its code.
    async fn finish(&self, begun: &Begun, id_token: &str, more: &str) -> Response {
        let code = format!("code-{}", begun.state);
        self.provider.exchange(&code, id_token);
        self.call_back(begun, &code, more).await
    }

    async fn call_back(&self, begun: &Begun, code: &str, more: &str) -> Response {
        let target = format!("/auth/oidc/idp/callback?code={code}&state={}{more}", begun.state);
        let request = Request::get(&target).header("cookie", &begun.cookie);
        self.gateway.anonymous().send(request).await
    }

    /// Who a session's cookie is, for the upstream.
    async fn subject(&self, answer: &Response, path: &str) -> Option<String> {
        let cookie = answer
            .all("set-cookie")
            .into_iter()
            .find(|field| field.starts_with("__Host-guarita-session="))?
            .split(';')
            .next()
            .unwrap()
            .to_owned();
        let request = Request::get(path).header("cookie", &cookie);
        assert_eq!(self.gateway.anonymous().send(request).await.status, 200);
        let all = self.upstream.requests();
        all.iter().find(|request| request.target() == path).unwrap().one("sub")
    }
}

fn refused(answer: &Response, what: &str) {
    assert_eq!(answer.status, 401, "{what}: {}", answer.text());
    let session = |field: &&str| field.starts_with("__Host-guarita-session=");
    assert!(!answer.all("set-cookie").iter().any(session), "{what}");
}

/// oidc-client-001, oidc-client-003, oidc-client-004, oidc-client-005
#[tokio::test]
async fn an_id_token_that_is_not_exactly_for_this_login_opens_nothing() {
    let stage = Stage::new().await;
    let begun = stage.begin().await;
    let good = stage.claims("ada", &begun);
    let answer = stage.finish(&begun, &stage.key.sign(&good), "").await;
    assert_eq!(answer.status, 303, "{}", answer.text());
    assert_eq!(answer.header("location"), Some("/api/after"));
    assert_eq!(stage.subject(&answer, "/api/ada").await.as_deref(), Some("ada"));
    let old_nonce = begun.nonce.clone();
    for (name, value) in [
        ("nonce", Value::Null),
        ("nonce", json!("wrong")),
        ("nonce", json!(old_nonce)),
        ("nonce", json!([old_nonce])),
        ("aud", json!("other")),
        ("aud", json!(["other", CLIENT])),
        ("aud", json!([])),
        // Our own API beside us is another audience too, and nobody says for whom of them it is.
        ("aud", json!([CLIENT, AUDIENCE])),
        ("aud", json!(AUDIENCE)),
        ("aud", Value::Null),
        ("azp", json!("other")),
        ("azp", json!([CLIENT])),
        ("azp", Value::Null),
        ("at_hash", json!("AAAAAAAAAAAAAAAAAAAAAA")),
        ("at_hash", json!(format!("{ACCESS_TOKEN_HASH}=="))),
        ("at_hash", json!("")),
        ("at_hash", Value::Null),
        ("iss", json!("https://evil.test")),
        ("iss", json!(format!("{}/", stage.provider.issuer()))),
        ("exp", json!(1)),
        ("exp", Value::Null),
        ("iat", json!(4_000_000_000_i64)),
        ("iat", Value::Null),
        ("nbf", json!(4_000_000_000_i64)),
        ("sub", json!("")),
        ("sub", json!("system")),
        ("sub", Value::Null),
    ] {
        let begun = stage.begin().await;
        let mut claims = stage.claims("ada", &begun);
        claims[name] = value.clone();
        let answer = stage.finish(&begun, &stage.key.sign(&claims), "").await;
        refused(&answer, &format!("{name} {value}"));
    }
    let stranger = Key::new("k1");
    let begun = stage.begin().await;
    let claims = stage.claims("ada", &begun);
    refused(&stage.finish(&begun, &stranger.sign(&claims), "").await, "another key");
    for (alg, signer) in [
        ("none", Signer::Bytes(b"")),
        ("HS256", Signer::Hs256(SECRET.as_bytes())),
        ("HS256", Signer::Hs256(stage.key.rsa.public_pem().as_bytes())),
        ("RS256", Signer::Bytes(b"")),
        ("RS256", Signer::Bytes(&[0; 256])),
    ] {
        let begun = stage.begin().await;
        let claims = stage.claims("ada", &begun).to_string();
        let header = json!({"alg": alg, "kid": "k1"}).to_string();
        refused(&stage.finish(&begun, &token(&header, &claims, &signer), "").await, alg);
    }
    // RFC 9207: an answer that says that it is another issuer's.
    let begun = stage.begin().await;
    let good = stage.key.sign(&stage.claims("ada", &begun));
    refused(&stage.finish(&begun, &good, "&iss=https://evil.test").await, "iss");
    let begun = stage.begin().await;
    refused(&stage.call_back(&begun, "unknown", "").await, "an unknown code");
}

/// OpenID Connect Core 1.0 sections 3.1.3.6 and 3.1.3.7: what is checked only where it is there.
#[tokio::test]
async fn an_id_token_for_several_audiences_says_that_we_are_meant() {
    let stage = Stage::new().await;
    for (audience, party, status) in [
        (json!([CLIENT, AUDIENCE]), Some(CLIENT), 303),
        (json!([AUDIENCE, CLIENT]), Some(CLIENT), 303),
        (json!([CLIENT]), None, 303),
        (json!(CLIENT), Some(CLIENT), 303),
        (json!([CLIENT, AUDIENCE]), None, 401),
        (json!([CLIENT, AUDIENCE]), Some(AUDIENCE), 401),
        (json!([AUDIENCE]), Some(CLIENT), 401),
    ] {
        let begun = stage.begin().await;
        let mut claims = stage.claims("ada", &begun);
        claims["aud"] = audience.clone();
        claims["at_hash"] = json!(ACCESS_TOKEN_HASH);
        if let Some(party) = party {
            claims["azp"] = json!(party);
        }
        let answer = stage.finish(&begun, &stage.key.sign(&claims), "").await;
        assert_eq!(answer.status, status, "{audience} {party:?}: {}", answer.text());
    }
}

/// The secret is for access tokens, the published keys are for ID tokens, and neither is for the other.
#[tokio::test]
async fn a_provider_with_a_secret_for_access_tokens_signs_id_tokens_by_its_published_keys() {
    let secret = "0123456789abcdef0123456789abcdef";
    let stage = Stage::with(&format!("secret = \"{secret}\""), |_| ()).await;
    let by_secret = |claims: &Value| {
        token(r#"{"alg":"HS256"}"#, &claims.to_string(), &Signer::Hs256(secret.as_bytes()))
    };
    let begun = stage.begin().await;
    let good = stage.key.sign(&stage.claims("ada", &begun));
    let answer = stage.finish(&begun, &good, "").await;
    assert_eq!(answer.status, 303, "{}", answer.text());
    assert_eq!(stage.subject(&answer, "/api/ada").await.as_deref(), Some("ada"));
    let begun = stage.begin().await;
    let forged = by_secret(&stage.claims("ada", &begun));
    refused(&stage.finish(&begun, &forged, "").await, "HS256");
    let claims = stage.provider.claims("ada");
    for (bearer, status) in [(by_secret(&claims), 200), (stage.key.sign(&claims), 401)] {
        let client = stage.gateway.anonymous().with_token(&bearer);
        assert_eq!(client.get("/api/bearer").await.status, status);
    }
}

/// All sessions of an account ended: who logs in anew is in at once, whatever second the ID token is of.
#[tokio::test]
async fn a_login_counts_in_the_very_second_in_which_all_sessions_ended() {
    let stage = Stage::new().await;
    for path in ["/api/before", "/api/after-1", "/api/after-2"] {
        let begun = stage.begin().await;
        let good = stage.key.sign(&stage.claims("ada", &begun));
        if path != "/api/before" {
            let arguments = ["session", "revoke", "--username", "ada"];
            stage.gateway.verb(&arguments, "").await.succeeded();
        }
        let answer = stage.finish(&begun, &good, "").await;
        assert_eq!(answer.status, 303, "{}", answer.text());
        assert_eq!(stage.subject(&answer, path).await.as_deref(), Some("ada"));
    }
}

/// RFC 9207 section 2.4: whose answers all say whose they are, an answer that does not is not its own.
#[tokio::test]
async fn an_answer_that_does_not_say_whose_it_is_counts_only_where_none_does() {
    for (announced, status) in [(json!(true), 401), (json!(false), 303)] {
        let stage = Stage::with("", |provider| {
            provider.announce("authorization_response_iss_parameter_supported", announced);
        });
        let stage = stage.await;
        let own = format!("&iss={}", stage.provider.issuer());
        for (more, expected) in [("", status), (own.as_str(), 303), ("&iss=https://evil.test", 401)]
        {
            let begun = stage.begin().await;
            let good = stage.key.sign(&stage.claims("ada", &begun));
            let answer = stage.finish(&begun, &good, more).await;
            assert_eq!(answer.status, expected, "{more}: {}", answer.text());
        }
    }
}

/// Okta names a person by `uid` in access tokens and by `sub` in ID tokens, Entra by `oid` in both: `sub` alone
/// would make two people of one.
#[tokio::test]
async fn a_person_whom_two_kinds_of_tokens_name_differently_is_one() {
    let (by_id, by_login) = (json!({"sub": "00u1"}), json!({"sub": "login", "uid": "00u1"}));
    let okta = ("[\"uid\", \"sub\"]", by_id, by_login);
    let of_client = |sub: &str| json!({"sub": sub, "oid": "o-1"});
    let entra = ("[\"oid\"]", of_client("p-1"), of_client("p-2"));
    for (link_from, in_id_token, in_access_token) in [okta, entra] {
        let stage = Stage::with(&format!("link_from = {link_from}"), |_| ()).await;
        let says = |mut claims: Value, said: &Value| {
            claims.as_object_mut().unwrap().extend(said.as_object().unwrap().clone());
            claims
        };
        let begun = stage.begin().await;
        let id_token = says(stage.claims("", &begun), &in_id_token);
        let answer = stage.finish(&begun, &stage.key.sign(&id_token), "").await;
        let name = stage.subject(&answer, "/api/browser").await.unwrap();
        assert_eq!(in_id_token["sub"], json!(name));
        let bearer = |said: &Value| {
            let token = stage.key.sign(&says(stage.provider.claims(""), said));
            stage.gateway.anonymous().with_token(&token)
        };
        assert_eq!(bearer(&in_access_token).get("/api/bearer").await.status, 200);
        let user = |path: &str| {
            let all = stage.upstream.requests();
            let request = all.iter().find(|request| request.target() == path).unwrap();
            (request.one("sub"), request.one("x-auth-uid"))
        };
        assert_eq!(user("/api/browser"), user("/api/bearer"), "{link_from}");
        // Somebody else is somebody else, whatever else the token says.
        let other = says(in_access_token.clone(), &json!({"uid": "00u2", "oid": "o-2"}));
        assert_eq!(bearer(&other).get("/api/other").await.status, 200);
        assert_ne!(user("/api/bearer"), user("/api/other"), "{link_from}");
        // Who is named by none of the claims is nobody.
        if link_from.contains("oid") {
            for nobody in [json!({"sub": "p-2"}), json!({"sub": "p-2", "oid": ""})] {
                assert_eq!(bearer(&nobody).get("/api/x").await.status, 401, "{nobody}");
            }
            let begun = stage.begin().await;
            let id_token = stage.key.sign(&stage.claims("p-1", &begun));
            refused(&stage.finish(&begun, &id_token, "").await, "no oid");
        }
    }
}

/// oidc-client-006, oidc-client-009
#[tokio::test]
async fn a_login_is_finished_once_and_by_the_browser_that_began_it() {
    let stage = Stage::new().await;
    let begun = stage.begin().await;
    let good = stage.key.sign(&stage.claims("ada", &begun));
    let answer = stage.finish(&begun, &good, "").await;
    assert_eq!(answer.status, 303);
    assert_eq!(stage.finish(&begun, &good, "").await.status, 400);
    assert_eq!(stage.subject(&answer, "/api/first").await.as_deref(), Some("ada"));
    // Somebody else's answer in this browser, and this browser's in another.
    let (one, other) = (stage.begin().await, stage.begin().await);
    let crossed = Begun { cookie: other.cookie.clone(), ..one };
    let good = stage.key.sign(&stage.claims("eve", &crossed));
    assert_eq!(stage.finish(&crossed, &good, "").await.status, 400);
    // One login under the name of another: what is kept is bound to its state.
    let (one, other) = (stage.begin().await, stage.begin().await);
    let (name, _) = one.cookie.split_once('=').unwrap();
    let (_, value) = other.cookie.split_once('=').unwrap();
    let renamed = Begun { cookie: format!("{name}={value}"), ..one };
    let good = stage.key.sign(&stage.claims("eve", &renamed));
    assert_eq!(stage.finish(&renamed, &good, "").await.status, 400);
    // A refusal ends it too.
    let begun = stage.begin().await;
    refused(&stage.call_back(&begun, "unknown", "").await, "an unknown code");
    let good = stage.key.sign(&stage.claims("ada", &begun));
    assert_eq!(stage.finish(&begun, &good, "").await.status, 400);
}

#[tokio::test]
async fn logins_of_several_tabs_stand_beside_each_other_and_the_oldest_give_way() {
    let stage = Stage::new().await;
    let mut jar: Vec<Begun> = Vec::new();
    for number in 0..7 {
        let all = jar.iter().map(|begun| begun.cookie.clone()).collect::<Vec<_>>().join("; ");
        let begun = stage.begin_with(&all).await;
        let gone = begun.gone.clone();
        jar.push(begun);
        jar.retain(|kept| !gone.iter().any(|name| kept.cookie.starts_with(name)));
        assert_eq!(jar.len(), (number + 1).min(5));
    }
    let all = jar.iter().map(|begun| begun.cookie.clone()).collect::<Vec<_>>().join("; ");
    for begun in jar {
        let good = stage.key.sign(&stage.claims("ada", &begun));
        let (name, _) = begun.cookie.split_once('=').unwrap();
        let name = name.to_owned();
        let whole = Begun { cookie: all.clone(), ..begun };
        let answer = stage.finish(&whole, &good, "").await;
        assert_eq!(answer.status, 303, "{}", answer.text());
        let removed = format!("{name}=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0");
        assert!(answer.all("set-cookie").contains(&removed.as_str()), "{name}");
    }
}

/// Whoever has the keys goes on with what another began: nothing of it is kept on either.
#[tokio::test]
async fn another_gateway_with_the_same_keys_takes_the_callback() {
    let stage = Stage::new().await;
    let other = stage.gateway.another_node().await;
    let begun = stage.begin().await;
    stage.provider.exchange("code", &stage.key.sign(&stage.claims("ada", &begun)));
    let target = format!("/auth/oidc/idp/callback?code=code&state={}", begun.state);
    let request = Request::get(&target).header("cookie", &begun.cookie);
    let answer = other.anonymous().send(request).await;
    assert_eq!(answer.status, 303, "{}", answer.text());
    assert_eq!(answer.header("location"), Some("/api/after"));
    assert_eq!(stage.subject(&answer, "/api/ada").await.as_deref(), Some("ada"));
}

#[tokio::test]
async fn logins_that_never_end_lock_nobody_out() {
    let stage = Stage::new().await;
    let setup = stage.gateway.setup();
    let setup = setup.set("rate_limits.login.per_source", "\"20000/1m\"");
    let gateway = setup.set("trusted_proxies", "[\"127.0.0.0/8\"]").start().await;
    let stage = Stage { gateway, ..stage };
    let before = stage.begin().await;
    let flood = (0..4).map(|part| {
        let gateway = &stage.gateway;
        async move {
            let source = format!("203.0.{}.7", part % 2);
            let mut wire = gateway.wire().await;
            for _ in 0..5_000 {
                let request = Request::get("/auth/oidc/idp/start");
                let request = request.header("x-forwarded-for", &source);
                assert_eq!(wire.exchange(&request, HOST).await.status, 303);
            }
        }
    });
    futures_util::future::join_all(flood).await;
    let after = stage.begin().await;
    for (name, begun) in [("ada", before), ("bob", after)] {
        let good = stage.key.sign(&stage.claims(name, &begun));
        let answer = stage.finish(&begun, &good, "").await;
        assert_eq!(answer.status, 303, "{}", answer.text());
    }
}

/// oidc-client-008
#[tokio::test]
async fn many_logins_at_once_each_get_their_own_identity() {
    let stage = Arc::new(Stage::new().await);
    let mut logins = JoinSet::new();
    for number in 0..100 {
        let stage = Arc::clone(&stage);
        logins.spawn(async move {
            let name = format!("person-{number}");
            let begun = stage.begin().await;
            let id_token = stage.key.sign(&stage.claims(&name, &begun));
            let answer = stage.finish(&begun, &id_token, "").await;
            let found = stage.subject(&answer, &format!("/api/{name}")).await;
            assert_eq!(found.as_deref(), Some(name.as_str()));
        });
    }
    logins.join_all().await;
}

/// oidc-client-002
#[tokio::test]
async fn a_provider_whose_document_is_anothers_is_not_gone_to() {
    let stage = Stage::new().await;
    let issuer = stage.provider.issuer();
    for said in [format!("{issuer}/"), issuer.replace("http", "https"), "https://evil.test".into()]
    {
        stage
            .provider
            .server
            .script(move |request| crate::harness::provider::honest(request, &said, &[]));
        let answer = stage.gateway.anonymous().get("/auth/oidc/idp/start").await;
        answer.assert_problem(503, "unavailable");
    }
}

/// A callback as a browser makes it.
async fn in_a_browser(stage: &Stage, target: &str, cookie: &str, language: &str) -> Response {
    let request = Request::get(target)
        .header("accept", "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8")
        .header("accept-language", language)
        .header("cookie", cookie);
    stage.gateway.anonymous().send(request).await
}

#[tokio::test]
async fn a_refused_login_is_a_page_for_people_and_a_problem_for_programs() {
    let stage = Stage::new().await;
    for (language, heading) in [
        ("pt-BR", "Não foi possível entrar"),
        ("es", "No se pudo iniciar sesión"),
        ("en", "You could not be signed in"),
    ] {
        // Another state than the browser's, the provider's error, and a person whose name is somebody else's here.
        let begun = stage.begin().await;
        let wrong_state = "/auth/oidc/idp/callback?code=a&state=another".to_owned();
        let error = format!("/auth/oidc/idp/callback?error=access_denied&state={}", begun.state);
        let refused = stage.begin().await;
        let code = format!("code-{}", refused.state);
        let id_token = stage.key.sign(&stage.claims("root", &refused));
        stage.provider.exchange(&code, &id_token);
        let no_account = format!("/auth/oidc/idp/callback?code={code}&state={}", refused.state);
        for (target, cookie, status, code) in [
            (wrong_state, &begun.cookie, 400, "bad_request"),
            (error, &begun.cookie, 401, "invalid_credentials"),
            (no_account, &refused.cookie, 401, "invalid_credentials"),
        ] {
            let answer = in_a_browser(&stage, &target, cookie, language).await;
            let text = answer.text();
            assert_eq!(answer.status, status, "{target}: {text}");
            assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"));
            assert_eq!(answer.header("content-language"), Some(language));
            assert!(
                answer.header("content-security-policy").unwrap().starts_with("default-src 'none'")
            );
            let request_id = answer.header("x-request-id").unwrap();
            for part in [heading, code, request_id, "href=\"/login\""] {
                assert!(text.contains(part), "{part}: {text}");
            }
            let fields = answer.all("set-cookie");
            assert!(!fields.iter().any(|field| field.starts_with("__Host-guarita-session=")));
            // What was kept for this login is forgotten, as it is without a page.
            if status == 401 {
                let name = cookie.split('=').next().unwrap();
                let gone = |field: &&str| field.starts_with(name) && field.ends_with("Max-Age=0");
                assert!(fields.iter().any(gone), "{fields:?}");
            }
        }
    }
    let request =
        Request::get("/auth/oidc/idp/callback?code=a&state=b").header("accept", "application/json");
    let answer = stage.gateway.anonymous().send(request).await;
    answer.assert_problem(400, "bad_request");
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
}
