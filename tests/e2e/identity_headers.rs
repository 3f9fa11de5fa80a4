//! What the upstream receives, as a raw socket, nginx and a WSGI server see it.

use serde_json::Value;

use crate::harness::nginx::Nginx;
use crate::harness::tokens::Genuine;
use crate::harness::wsgi::Wsgi;
use crate::harness::{Request, Setup, Upstream};

/// What a caller may try to pass off as identity, in the spellings that some server takes for one
/// and the same.
const SPOOFED: [(&str, &str); 22] = [
    ("sub", "root"),
    ("SUB", "root"),
    ("app_roles", "admin"),
    ("app-roles", "admin"),
    ("App_Roles", "admin"),
    ("x-auth-uid", "1"),
    ("X_Auth_Uid", "1"),
    ("x-auth-sid", "s"),
    ("x_auth_sid", "s"),
    ("x-auth-source", "api_key"),
    ("X-Auth_Source", "api_key"),
    ("x-auth-assertion", "a"),
    ("x_auth_assertion", "a"),
    ("x-forwarded-user", "root"),
    ("X_Forwarded_User", "root"),
    ("x-auth-request-user", "root"),
    ("x_auth_request_groups", "admin"),
    ("remote-user", "root"),
    ("remote_user", "root"),
    ("x-service-api-key", "k"),
    ("x_service_api_key", "k"),
    ("proxy", "http://evil.test"),
];

fn spoofing(mut request: Request) -> Request {
    for (name, value) in SPOOFED {
        request = request.header(name, value);
    }
    request
}

#[tokio::test]
async fn an_authenticated_request_carries_exactly_the_identity() {
    let upstream = Upstream::start().await;
    let gateway = Setup::standard(&upstream.url()).user("both", &["user", "admin"]).start().await;
    let both = gateway.bearer("both").await;
    let request = spoofing(Request::get("/api/x?a=1"))
        .header("x-forwarded-for", "10.0.0.1")
        .header("x-harmless", "stays");
    assert_eq!(both.at("app.example.test:8443").send(request).await.status, 200);

    let seen = upstream.only();
    let claims = Genuine::of(&both).claims;
    assert_eq!(seen.target(), "/api/x?a=1");
    assert_eq!(seen.folded("sub"), ["both"]);
    assert_eq!(seen.folded("app_roles"), ["admin,user"]);
    assert_eq!(seen.folded("x-auth-uid"), [claims["uid"].to_string()]);
    assert_eq!(seen.folded("x-auth-sid"), [both.sid.clone().unwrap()]);
    assert_eq!(seen.folded("x-auth-source"), ["bearer"]);
    assert_eq!(seen.folded("x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(seen.folded("x-harmless"), ["stays"]);
    assert_eq!(seen.folded("host"), ["app.example.test:8443"]);
    for gone in [
        "x-auth-assertion",
        "x-forwarded-user",
        "x-auth-request-user",
        "x-auth-request-groups",
        "remote-user",
        "x-service-api-key",
        "proxy",
        "authorization",
    ] {
        assert!(seen.folded(gone).is_empty(), "{gone}: {}", seen.text());
    }
}

#[tokio::test]
async fn a_public_route_carries_no_identity_of_the_caller_s_own_making() {
    let upstream = Upstream::start().await;
    let gateway = Setup::standard(&upstream.url()).start().await;
    assert_eq!(gateway.anonymous().send(spoofing(Request::get("/public/x"))).await.status, 200);
    let seen = upstream.only();
    for (name, _) in SPOOFED {
        assert!(seen.folded(name).is_empty(), "{name}: {}", seen.text());
    }
}

#[tokio::test]
async fn a_bad_credential_on_a_public_route_is_an_anonymous_request() {
    let upstream = Upstream::start().await;
    let gateway = Setup::standard(&upstream.url()).start().await;
    let request = spoofing(Request::get("/public/x").bearer("not.a.token"));
    assert_eq!(gateway.anonymous().send(request).await.status, 200);
    let seen = upstream.only();
    for (name, _) in SPOOFED {
        assert!(seen.folded(name).is_empty(), "{name}: {}", seen.text());
    }
    assert!(seen.all("authorization").is_empty());
}

#[tokio::test]
async fn a_known_caller_is_named_on_a_public_route_too() {
    let upstream = Upstream::start().await;
    let gateway = Setup::standard(&upstream.url()).start().await;
    let alice = gateway.bearer("alice").await;
    assert_eq!(alice.get("/public/x").await.status, 200);
    assert_eq!(upstream.only().one("sub").as_deref(), Some("alice"));
}

#[tokio::test]
async fn nginx_behind_the_gateway_reads_exactly_the_identity() {
    let nginx = Nginx::start().await;
    let gateway = Setup::standard(&nginx.url()).start().await;
    let alice = gateway.bearer("alice").await;
    assert_eq!(alice.send(spoofing(Request::get("/api/%61?b=%2e"))).await.status, 200);
    assert_eq!(gateway.anonymous().send(spoofing(Request::get("/public/y"))).await.status, 200);

    let seen = nginx.received(2).await;
    let claims = Genuine::of(&alice).claims;
    let (authenticated, public) = (&seen[0], &seen[1]);
    assert_eq!(authenticated["target"], "/api/a?b=%2e");
    assert_eq!(authenticated["sub"], "alice");
    assert_eq!(authenticated["app_roles"], "user");
    assert_eq!(authenticated["x_auth_uid"], claims["uid"].to_string());
    assert_eq!(authenticated["x_auth_sid"].as_str(), alice.sid.as_deref());
    assert_eq!(authenticated["x_auth_source"], "bearer");
    assert_eq!(authenticated["host"], "app.example.test");
    assert_eq!(authenticated["x_forwarded_proto"], "https");
    assert_eq!(authenticated["x_forwarded_for"], "127.0.0.1");
    assert_eq!(public["target"], "/public/y");
    for request in [authenticated, public] {
        assert_eq!(request["x_request_id"].as_str().map(str::len), Some(36), "{request}");
        for gone in
            ["authorization", "x_auth_assertion", "x_forwarded_user", "remote_user", "forwarded"]
        {
            assert_eq!(request[gone], "", "{gone}: {request}");
        }
    }
    for gone in ["sub", "app_roles", "x_auth_uid", "x_auth_sid", "x_auth_source"] {
        assert_eq!(public[gone], "", "{gone}: {public}");
    }
}

#[tokio::test]
async fn a_wsgi_server_behind_the_gateway_reads_exactly_the_identity() {
    let wsgi = Wsgi::start().await;
    let gateway = Setup::standard(&wsgi.url()).start().await;
    let alice = gateway.bearer("alice").await;
    let authenticated = alice.send(spoofing(Request::get("/api/%61?b=%2e"))).await.json();
    let public = gateway.anonymous().send(spoofing(Request::get("/public/y"))).await.json();

    let claims = Genuine::of(&alice).claims;
    assert_eq!(authenticated["PATH_INFO"], "/api/a");
    assert_eq!(authenticated["QUERY_STRING"], "b=%2e");
    assert_eq!(authenticated["HTTP_SUB"], "alice");
    assert_eq!(authenticated["HTTP_APP_ROLES"], "user");
    assert_eq!(authenticated["HTTP_X_AUTH_UID"], claims["uid"].to_string());
    assert_eq!(authenticated["HTTP_HOST"], "app.example.test");
    assert_eq!(authenticated["HTTP_X_FORWARDED_PROTO"], "https");
    assert_eq!(authenticated["HTTP_X_FORWARDED_FOR"], "127.0.0.1");
    assert_eq!(authenticated["HTTP_X_AUTH_SID"].as_str(), alice.sid.as_deref());
    assert_eq!(authenticated["HTTP_X_AUTH_SOURCE"], "bearer");
    for request in [&authenticated, &public] {
        assert_eq!(request["HTTP_X_REQUEST_ID"].as_str().map(str::len), Some(36), "{request}");
        for gone in [
            "HTTP_AUTHORIZATION",
            "HTTP_X_AUTH_ASSERTION",
            "HTTP_X_FORWARDED_USER",
            "HTTP_REMOTE_USER",
            "HTTP_PROXY",
            "HTTP_X_SERVICE_API_KEY",
        ] {
            assert_eq!(request[gone], Value::Null, "{gone}: {request}");
        }
    }
    for gone in
        ["HTTP_SUB", "HTTP_APP_ROLES", "HTTP_X_AUTH_UID", "HTTP_X_AUTH_SID", "HTTP_X_AUTH_SOURCE"]
    {
        assert_eq!(public[gone], Value::Null, "{gone}: {public}");
    }
}

#[tokio::test]
async fn the_request_id_is_the_caller_s_where_it_is_well_formed_else_a_fresh_one() {
    let upstream = Upstream::start().await;
    let gateway = Setup::standard(&upstream.url()).start().await;
    let anonymous = gateway.anonymous();
    let ask = |id: &str| Request::get("/public/x").header("x-request-id", id);

    let kept = anonymous.send(ask("caller-1.a_B")).await;
    assert_eq!(kept.header("x-request-id"), Some("caller-1.a_B"));
    assert_eq!(upstream.last().one("x-request-id").as_deref(), Some("caller-1.a_B"));
    for odd in ["a b", "", "<script>", &"x".repeat(200)] {
        let answer = anonymous.send(ask(odd)).await;
        let id = answer.header("x-request-id").unwrap();
        assert_eq!((id.len(), id.as_bytes()[14]), (36, b'7'), "{id} is no UUIDv7");
        assert_eq!(upstream.last().one("x-request-id").as_deref(), Some(id));
    }
    let refused = anonymous.send(Request::get("/api/x").header("x-request-id", "caller-2")).await;
    assert_eq!(refused.json()["requestId"], "caller-2");
}

#[tokio::test]
async fn the_caller_s_credential_goes_along_only_where_the_route_says_so() {
    let upstream = Upstream::start().await;
    let gateway = Setup::standard(&upstream.url())
        .route("path = \"/along/{*rest}\"\nforward_credentials = true")
        .start()
        .await;
    let alice = gateway.bearer("alice").await;
    assert_eq!(alice.get("/api/x").await.status, 200);
    assert_eq!(upstream.last().one("authorization"), None);
    assert_eq!(alice.get("/along/x").await.status, 200);
    let expected = format!("Bearer {}", alice.token.clone().unwrap());
    assert_eq!(upstream.last().one("authorization"), Some(expected));
}

#[tokio::test]
async fn names_come_from_a_preset_or_one_by_one_and_the_old_ones_stay_closed() {
    let upstream = Upstream::start().await;
    let mut gateway = Setup::standard(&upstream.url())
        .set("identity_headers.preset", "\"x-auth-request\"")
        .set("identity_headers.session", "\"X-Session\"")
        .start()
        .await;
    let alice = gateway.bearer("alice").await;
    let spoofed = spoofing(Request::get("/api/x")).header("x_session", "s");
    assert_eq!(alice.send(spoofed.clone()).await.status, 200);
    let seen = upstream.last();
    assert_eq!(seen.folded("x-auth-request-user"), ["alice"]);
    assert_eq!(seen.folded("x-auth-request-groups"), ["user"]);
    assert_eq!(seen.folded("x-session"), [alice.sid.clone().unwrap()]);
    assert!(seen.folded("sub").is_empty(), "{}", seen.text());
    assert!(seen.folded("app_roles").is_empty(), "{}", seen.text());

    let setup = gateway.setup.clone().set("identity_headers.preset", "\"remote-user\"");
    assert!(gateway.reload(setup).await);
    assert_eq!(alice.send(spoofed).await.status, 200);
    let seen = upstream.last();
    assert_eq!(seen.folded("remote-user"), ["alice"]);
    assert_eq!(seen.folded("remote-groups"), ["user"]);
    assert!(seen.folded("x-auth-request-user").is_empty(), "{}", seen.text());
}

/// Under each preset: what arrives, and that no spelling of any name of another gateway does.
#[tokio::test]
async fn every_preset_says_who_is_calling_and_lets_nobody_else_say_it() {
    const NAMES: [&str; 24] = [
        "x-forwarded-user",
        "x-forwarded-groups",
        "x-forwarded-email",
        "x-forwarded-preferred-username",
        "x-forwarded-access-token",
        "x-auth-request-user",
        "x-auth-request-groups",
        "x-auth-request-email",
        "x-auth-request-preferred-username",
        "remote-user",
        "remote-groups",
        "remote-email",
        "remote-name",
        "x-pomerium-claim-sub",
        "x-pomerium-claim-groups",
        "x-pomerium-claim-sid",
        "x-pomerium-claim-email",
        "x-pomerium-jwt-assertion",
        "cf-access-jwt-assertion",
        "cf-access-authenticated-user-email",
        "x-goog-authenticated-user-email",
        "x-goog-authenticated-user-id",
        "x-goog-iap-jwt-assertion",
        "x-auth-assertion",
    ];
    let upstream = Upstream::start().await;
    let mut gateway = Setup::standard(&upstream.url())
        // Its keys of assertions are in files.
        .on_file()
        .set("assertion.enabled", "true")
        .user("both", &["user", "admin"])
        .start()
        .await;
    let both = gateway.bearer("both").await;
    let sid = both.sid.clone().unwrap();
    let spoofed = |target: &str| {
        NAMES.iter().fold(spoofing(Request::get(target)), |request, name| {
            request
                .header(name, "mallory")
                .header(&name.replace('-', "_"), "mallory")
                .header(&name.to_ascii_uppercase().replacen('-', ".", 1), "mallory")
        })
    };
    for (preset, expected, assertion) in [
        (
            "oauth2-proxy",
            vec![("x-forwarded-user", "both"), ("x-forwarded-groups", "admin,user")],
            "",
        ),
        (
            "x-auth-request",
            vec![("x-auth-request-user", "both"), ("x-auth-request-groups", "admin,user")],
            "",
        ),
        ("authelia", vec![("remote-user", "both"), ("remote-groups", "admin,user")], ""),
        (
            "pomerium",
            vec![
                ("x-pomerium-claim-sub", "both"),
                ("x-pomerium-claim-groups", "admin,user"),
                ("x-pomerium-claim-sid", &sid),
            ],
            "x-pomerium-jwt-assertion",
        ),
        (
            "cloudflare-access",
            vec![("sub", "both"), ("app_roles", "admin,user")],
            "cf-access-jwt-assertion",
        ),
        (
            "google-iap",
            vec![
                ("x-goog-authenticated-user-id", "accounts.google.com:both"),
                ("app_roles", "admin,user"),
            ],
            "x-goog-iap-jwt-assertion",
        ),
    ] {
        let setup = gateway.setup.clone().set("identity_headers.preset", &format!("\"{preset}\""));
        assert!(gateway.reload(setup).await, "{preset}");
        assert_eq!(both.send(spoofed("/api/x")).await.status, 200);
        let seen = upstream.last();
        assert!(!seen.text().contains("mallory"), "{preset}: {}", seen.text());
        for (name, value) in &expected {
            assert_eq!(seen.folded(name), [*value], "{preset}");
        }
        let assertion = if assertion.is_empty() { "x-auth-assertion" } else { assertion };
        assert!(seen.one(assertion).is_some_and(|it| it.starts_with("eyJ")), "{preset}");
        for name in NAMES {
            let written = expected.iter().any(|(it, _)| *it == name) || name == assertion;
            assert_eq!(seen.folded(name).len(), usize::from(written), "{preset}: {name}");
        }
        assert_eq!(gateway.anonymous().send(spoofed("/public/x")).await.status, 200);
        let seen = upstream.last();
        assert!(!seen.text().contains("mallory"), "{preset}: {}", seen.text());
        assert!(NAMES.iter().all(|name| seen.folded(name).is_empty()), "{}", seen.text());
    }
}
