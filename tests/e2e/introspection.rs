//! Clients ask what a token says and end sessions by it: `/oauth2/introspect`, `/oauth2/revoke`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::harness::certificates::{Authority, Client};
use crate::harness::{Gateway, Request, Response, Setup, Upstream};

/// Long enough to be a secret.
pub(crate) const SECRET: &str = "the-secret-of-a-client-0123456789abcdef";
const OTHER: &str = "another-secret-of-a-client-0123456789ab";

pub(crate) const INTROSPECT: &str = "/oauth2/introspect";
const REVOKE: &str = "/oauth2/revoke";

/// A form to an endpoint.
pub(crate) fn form(path: &str, fields: &[(&str, &str)]) -> Request {
    encoded(path, &serde_urlencoded::to_string(fields).unwrap())
}

/// The same, already encoded.
pub(crate) fn encoded(path: &str, text: &str) -> Request {
    Request::post(path).header("content-type", "application/x-www-form-urlencoded").body(text)
}

/// With `Authorization: Basic`.
pub(crate) fn by(request: Request, id: &str, secret: &str) -> Request {
    let encoded = STANDARD.encode(format!("{id}:{secret}"));
    request.header("authorization", &format!("Basic {encoded}"))
}

/// What the client `portal` hears of a token.
pub(crate) async fn ask(gateway: &Gateway, token: &str) -> Response {
    let request = by(form(INTROSPECT, &[("token", token)]), "portal", SECRET);
    gateway.anonymous().send(request).await
}

/// Two clients from the environment.
pub(crate) fn with_clients(setup: Setup) -> Setup {
    setup.environment("INTROSPECTION_CLIENTS", &format!("portal:{SECRET}, jobs:{OTHER}"))
}

fn configured(setup: Setup, clients: &str, names: &str) -> Setup {
    setup
        .set("introspection.clients", &format!("[{clients}]"))
        .set("introspection.mtls_allowed_cns", &format!("[{names}]"))
}

fn client(id: &str, secret: &str) -> String {
    format!("{{ id = \"{id}\", secret = \"{secret}\" }}")
}

async fn started() -> (Upstream, Gateway) {
    let upstream = Upstream::start().await;
    let gateway = with_clients(Setup::standard(&upstream.url())).start().await;
    (upstream, gateway)
}

#[tokio::test]
async fn a_token_tells_a_client_what_it_says_and_the_roles_in_force() {
    let (_upstream, gateway) = started().await;
    let root = gateway.bearer("root").await;
    let token = root.token.clone().unwrap();
    let answer = ask(&gateway, &token).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let said = answer.json();
    assert_eq!(said["active"], json!(true));
    assert_eq!(said["token_type"], json!("Bearer"));
    assert_eq!((&said["sub"], &said["username"]), (&json!("root"), &json!("root")));
    assert_eq!(said["app_roles"], json!(["admin"]));
    assert_eq!(said["sid"], json!(root.sid));
    let claims = crate::harness::tokens::Genuine::of(&root).claims;
    for name in ["iss", "aud", "exp", "iat", "nbf", "jti", "uid"] {
        assert_eq!(said[name], claims[name], "{name}");
    }
    // In the body counts what counts in the header.
    let fields = [("token", token.as_str()), ("client_id", "jobs"), ("client_secret", OTHER)];
    let other = gateway.anonymous().send(form(INTROSPECT, &fields)).await;
    assert_eq!(other.json(), said);
    gateway.verb(&["user", "grant", "--username", "root", "--role", "Jobs"], "").await.succeeded();
    crate::harness::until("the new role", || async {
        let roles = ask(&gateway, &token).await.json()["app_roles"].clone();
        (roles == json!(["Jobs", "admin"])).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_session_that_ended_makes_its_token_inactive_with_the_next_request() {
    let (_upstream, gateway) = started().await;
    let alice = gateway.bearer("alice").await;
    let token = alice.token.clone().unwrap();
    assert_eq!(ask(&gateway, &token).await.json()["active"], json!(true));
    assert_eq!(alice.log_out().await.status, 204);
    assert_eq!(ask(&gateway, &token).await.text(), r#"{"active":false}"#);
}

#[tokio::test]
async fn a_client_ends_a_session_by_either_token_and_hears_200_of_an_unknown_one() {
    let (_upstream, gateway) = started().await;
    let revoke = async |token: &str, secret: &str| {
        gateway.anonymous().send(by(form(REVOKE, &[("token", token)]), "portal", secret)).await
    };
    for by_refresh_token in [false, true] {
        let alice = gateway.bearer("alice").await;
        let token =
            if by_refresh_token { alice.refresh_token.clone() } else { alice.token.clone() };
        let token = token.unwrap();
        revoke(&token, "x").await.assert_client_refused(401, "invalid_client", "invalid_client");
        assert_eq!(alice.get("/api/x").await.status, 200);
        assert_eq!(revoke(&token, SECRET).await.status, 200);
        assert_eq!(alice.get("/api/x").await.status, 401);
        alice.refresh().await.assert_problem(401, "invalid_refresh_token");
        assert_eq!(revoke(&token, SECRET).await.status, 200);
    }
    for unknown in ["x", "a.b.c"] {
        assert_eq!(revoke(unknown, SECRET).await.status, 200);
    }
    gateway.audited("a revocation", |line| line["event"] == "auth.token.revoked").await;
}

#[tokio::test]
async fn refusals_are_alike_and_written_down_without_a_secret() {
    let (_upstream, gateway) = started().await;
    let token = gateway.bearer("root").await.token.unwrap();
    let mut bodies = Vec::new();
    for (id, secret) in
        [("portal", "wrong"), ("portal", OTHER), ("nobody", SECRET), ("", ""), ("PORTAL", SECRET)]
    {
        let request = by(form(INTROSPECT, &[("token", &token)]), id, secret);
        let answer = gateway.anonymous().send(request).await;
        answer.assert_client_refused(401, "invalid_client", "invalid_client");
        assert_eq!(answer.header("www-authenticate"), Some("Basic realm=\"guarita\""));
        let mut body = answer.json();
        body.as_object_mut().unwrap().remove("requestId");
        bodies.push(body);
    }
    assert!(bodies.windows(2).all(|pair| pair[0] == pair[1]), "{bodies:?}");
    let line = gateway.audited("a refusal", |line| line["event"] == "auth.client.refused").await;
    assert!(!line.to_string().contains("portal") && !line.to_string().contains("wrong"), "{line}");
}

/// Somebody whose certificate the listener verified.
async fn certified(
    gateway: &Gateway,
    clients: &Authority,
    name: &str,
    request: Request,
) -> Response {
    let tls = gateway.tls().identity(&clients.client(&Client::named(name)));
    gateway.anonymous().over(tls).send(request).await
}

#[tokio::test]
async fn a_certificate_counts_by_its_verified_name_and_never_by_a_header() {
    let upstream = Upstream::start().await;
    let clients = Authority::new("Clients");
    let gateway = Setup::standard(&upstream.url())
        .client_auth("optional", &clients)
        .environment("INTROSPECTION_MTLS_ALLOWED_CNS", "gateway,portal")
        .start()
        .await;
    let token = gateway.bearer("root").await.token.unwrap();
    let asked = || form(INTROSPECT, &[("token", &token)]);
    let allowed = certified(&gateway, &clients, "gateway", asked()).await;
    assert_eq!((allowed.status, &allowed.json()["active"]), (200, &json!(true)));
    certified(&gateway, &clients, "alice", asked()).await.assert_client_refused(
        403,
        "forbidden",
        "unauthorized_client",
    );
    for name in ["x-ssl-client-cn", "x-client-cn", "ssl-client-s-dn", "x-forwarded-client-cert"] {
        let forged = asked().header(name, "CN=gateway");
        gateway.anonymous().send(forged.clone()).await.assert_client_refused(
            401,
            "invalid_client",
            "invalid_client",
        );
        certified(&gateway, &clients, "alice", forged).await.assert_client_refused(
            403,
            "forbidden",
            "unauthorized_client",
        );
    }
    // A secret that does not count is not mended by a certificate that does.
    let wrong = by(asked(), "gateway", "x");
    certified(&gateway, &clients, "gateway", wrong).await.assert_client_refused(
        401,
        "invalid_client",
        "invalid_client",
    );
}

#[tokio::test]
async fn both_lists_change_while_it_runs_and_a_secret_gives_way_to_the_next() {
    let upstream = Upstream::start().await;
    let clients = Authority::new("Clients");
    let base = || Setup::standard(&upstream.url()).client_auth("optional", &clients);
    let mut gateway = configured(base(), &client("portal", SECRET), "\"gateway\"").start().await;
    let token = gateway.bearer("root").await.token.unwrap();
    let asked = || form(INTROSPECT, &[("token", &token)]);
    let status = async |gateway: &Gateway, secret: &str| {
        gateway.anonymous().send(by(asked(), "portal", secret)).await.status
    };
    let named =
        async |gateway: &Gateway| certified(gateway, &clients, "gateway", asked()).await.status;
    assert_eq!((status(&gateway, SECRET).await, named(&gateway).await), (200, 200));
    let both =
        format!("{{ id = \"portal\", secret = \"{OTHER}\", further_secret = \"{SECRET}\" }}");
    let standing = gateway.setup.clone();
    let again = |clients: &str, names: &str| configured(standing.clone(), clients, names);
    assert!(gateway.reload(again(&both, "")).await);
    assert_eq!((status(&gateway, SECRET).await, status(&gateway, OTHER).await), (200, 200));
    assert_eq!(named(&gateway).await, 403);
    assert!(gateway.reload(again(&client("portal", OTHER), "")).await);
    assert_eq!((status(&gateway, SECRET).await, status(&gateway, OTHER).await), (401, 200));
    assert!(!gateway.reload(again("{ id = \"portal\" }", "")).await);
    assert_eq!(status(&gateway, OTHER).await, 200);
    assert!(gateway.reload(again("", "")).await);
    assert_eq!(status(&gateway, OTHER).await, 401);
}

#[tokio::test]
async fn a_client_that_asks_too_often_is_told_when_to_come_again() {
    let upstream = Upstream::start().await;
    let gateway = with_clients(Setup::standard(&upstream.url()))
        .table("[rate_limits.introspection]\nper_source = \"off\"\nper_account = \"3/1h\"")
        .start()
        .await;
    for _ in 0..3 {
        assert_eq!(ask(&gateway, "x").await.status, 200);
    }
    let answer = ask(&gateway, "x").await;
    answer.assert_client_refused(429, "rate_limited", "temporarily_unavailable");
    assert!(answer.header("retry-after").is_some());
    let request = by(form(INTROSPECT, &[("token", "x")]), "jobs", OTHER);
    assert_eq!(gateway.anonymous().send(request).await.status, 200);
}

#[tokio::test]
async fn strangers_are_counted_by_where_they_come_from() {
    let upstream = Upstream::start().await;
    let gateway = with_clients(Setup::standard(&upstream.url()))
        .table("[rate_limits.introspection]\nper_source = \"3/1h\"")
        .start()
        .await;
    let stranger = async || {
        let request = by(form(INTROSPECT, &[("token", "x")]), "nobody", "x");
        gateway.anonymous().send(request).await
    };
    for _ in 0..3 {
        stranger().await.assert_client_refused(401, "invalid_client", "invalid_client");
    }
    stranger().await.assert_client_refused(429, "rate_limited", "temporarily_unavailable");
}

#[tokio::test]
async fn the_metadata_names_what_is_there() {
    let (_upstream, gateway) = started().await;
    let token = gateway.bearer("root").await.token.unwrap();
    let get = async |path: &str| gateway.anonymous().get(path).await;
    let metadata = get("/.well-known/openid-configuration").await;
    assert_eq!(metadata.status, 200);
    let told = metadata.json();
    assert_eq!(get("/.well-known/oauth-authorization-server").await.json(), told);
    assert_eq!(told["issuer"], json!("ms-auth"));
    let path = |name: &str| {
        let url: http::Uri = told[name].as_str().unwrap().parse().unwrap();
        url.path().to_owned()
    };
    assert_eq!(get(&path("jwks_uri")).await.json()["keys"].as_array().unwrap().len(), 1);
    for name in ["introspection_endpoint", "revocation_endpoint"] {
        let request = by(form(&path(name), &[("token", &token)]), "portal", SECRET);
        assert_eq!(gateway.anonymous().send(request).await.status, 200, "{name}");
    }
}

/// Everything that an introspection is asked about and must not tell.
pub(crate) async fn inactive(gateway: &Gateway, what: &str, token: &str) {
    let answer = ask(gateway, token).await;
    assert_eq!((answer.status, answer.text().as_str()), (200, r#"{"active":false}"#), "{what}");
}
