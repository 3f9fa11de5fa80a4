//! Login through a provider in a browser, and its tokens beside it.

use serde_json::{Value, json};

use crate::harness::oidc::RealProvider;
use crate::harness::{Request, Setup, Upstream, chromium};

/// People of both providers.
fn people() -> Value {
    json!({
        "ada": {"roles": ["metrics-admins"]},
        "guarita": {"roles": ["metrics-admins"]},
    })
}

#[tokio::test]
async fn okta_and_entra_differ_in_three_keys_and_end_in_the_same_roles() {
    let okta = RealProvider::start("okta", "api://okta", &people()).await;
    let entra = RealProvider::start("entra", "api://entra", &people()).await;
    let upstream = Upstream::start().await;
    let map = "{ metrics-admins = \"Metrics.Admin\", Everyone = \"Metrics.Reader\" }";
    let setup = Setup::standard(&upstream.url())
        .table(&okta.table(map))
        .table(&entra.table("{ metrics-admins = \"Metrics.Admin\" }"))
        .set("mode", "\"external\"");
    let gateway = setup.start().await;
    // The same name at two providers is not the same person: the second is refused an account.
    for (provider, roles) in [(&okta, "Metrics.Admin,Metrics.Reader"), (&entra, "Metrics.Admin")] {
        let token = provider.access_token().await;
        let answer = gateway.anonymous().with_token(&token).get("/api/token").await;
        if provider.name == "entra" {
            assert_eq!(answer.status, 401);
            continue;
        }
        assert_eq!(answer.status, 200, "{} {}", provider.name, answer.text());
        assert_eq!(upstream.last().one("app_roles").as_deref(), Some(roles));
    }
}

#[tokio::test]
async fn a_person_logs_in_through_a_provider_in_a_browser() {
    for (shape, roles) in [("okta", "Metrics.Admin,Metrics.Reader"), ("entra", "Metrics.Admin")] {
        let provider = RealProvider::start(shape, "api://orders", &people()).await;
        let upstream = Upstream::start().await;
        let map = "{ metrics-admins = \"Metrics.Admin\", Everyone = \"Metrics.Reader\" }";
        let setup = Setup::standard(&upstream.url()).table(&provider.table(map));
        let gateway = setup.start().await;
        let token = provider.access_token().await;
        let answer = gateway.anonymous().with_token(&token).get("/api/token").await;
        assert_eq!(answer.status, 200, "{shape} {}", answer.text());
        assert_eq!(upstream.last().one("app_roles").as_deref(), Some(roles));
        upstream.forget();
        let label = format!("Continue with {}", shape.to_uppercase());
        let given = json!({"username": "ada", "providers": [{"name": shape, "label": label}]});
        chromium::run(&gateway, "provider_login.mjs", &given, async |_| String::new()).await;
        let requests = upstream.requests();
        assert_eq!(requests.len(), 2);
        for request in requests {
            assert_eq!(request.one("sub").as_deref(), Some("ada"));
            assert_eq!(request.one("app_roles").as_deref(), Some(roles), "{shape}");
            assert_eq!(request.one("x-auth-source").as_deref(), Some("session"));
        }
        let linked = |line: &Value| line["event"] == "auth.provider.linked";
        gateway.audited("the link", linked).await;
    }
}

/// oidc-client-010
#[tokio::test]
async fn what_the_provider_is_asked_comes_from_the_configuration_alone() {
    let provider = RealProvider::start("okta", "api://okta", &people()).await;
    let upstream = Upstream::start().await;
    let gateway = Setup::standard(&upstream.url()).table(&provider.table("{}")).start().await;
    let anonymous = gateway.anonymous();
    let target = "/auth/oidc/okta/start?scope=admin&prompt=none&redirect_uri=https://evil.test&state=x&return_to=https://evil.test";
    let answer = anonymous.get(target).await;
    assert_eq!(answer.status, 303, "{}", answer.text());
    let location = answer.header("location").unwrap();
    assert!(location.starts_with(&format!("{}/auth?", provider.issuer)), "{location}");
    assert!(!location.contains("evil") && !location.contains("admin"), "{location}");
    assert!(!location.contains("prompt") && !location.contains("state=x&"), "{location}");
    for part in ["code_challenge_method=S256", "nonce=", "state=", "response_type=code"] {
        assert!(location.contains(part), "{part} {location}");
    }
    let cookie = answer.header("set-cookie").unwrap();
    let (name, _) = cookie.split_once('=').unwrap();
    assert!(name.starts_with("__Host-guarita-provider-"), "{cookie}");
    assert!(cookie.ends_with("; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=600"), "{cookie}");
    for (target, status) in [
        ("/auth/oidc/unknown/start", 401),
        ("/auth/oidc/okta/callback", 400),
        ("/auth/oidc/okta/callback?code=a&state=b", 400),
        ("/auth/oidc/okta/callback?error=access_denied", 400),
    ] {
        assert_eq!(anonymous.get(target).await.status, status, "{target}");
    }
    // The state without the browser that began, and with one that made something up.
    let state = location.split("state=").nth(1).unwrap().split('&').next().unwrap();
    let callback = format!("/auth/oidc/okta/callback?code=a&state={state}");
    assert_eq!(anonymous.get(&callback).await.status, 400);
    let other = format!("{name}=9999999999.{}", "x".repeat(200));
    let request = Request::get(&callback).header("cookie", &other);
    assert_eq!(anonymous.send(request).await.status, 400);
}
