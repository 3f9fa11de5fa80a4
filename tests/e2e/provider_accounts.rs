//! Accounts of ours behind the tokens of a provider.

use serde_json::json;

use crate::harness::provider::{Key, Provider};
use crate::harness::{Gateway, Setup, Upstream};

async fn start(key: &Key, more: &str) -> (Provider, Upstream, Gateway) {
    let provider = Provider::start(&[key]).await;
    let upstream = Upstream::start().await;
    let setup = Setup::standard(&upstream.url()).table(&provider.table(more));
    (provider, upstream, setup.start().await)
}

async fn status(gateway: &Gateway, token: &str) -> u16 {
    gateway.anonymous().with_token(token).get("/api/x").await.status
}

#[tokio::test]
async fn a_session_of_a_provider_is_ours_to_end() {
    let key = Key::new("k1");
    let more =
        "users = \"create\"\ndefault_roles = [\"reader\"]\nsubject_from = \"preferred_username\"";
    let (provider, upstream, gateway) = start(&key, more).await;
    let token = |session: &str, jti: &str| {
        let mut claims = provider.claims("8d2f5b0e-1111-4222-8333-444455556666");
        claims["preferred_username"] = json!("ada");
        claims["sid"] = json!(session);
        claims["jti"] = json!(jti);
        key.sign(&claims)
    };
    assert_eq!(status(&gateway, &token("1", "a")).await, 200);
    let request = upstream.only();
    assert_eq!(request.one("sub").as_deref(), Some("ada"));
    // Its own roles, where the token names none.
    assert_eq!(request.one("app_roles").as_deref(), Some("reader"));
    assert_eq!(request.one("x-auth-source").as_deref(), Some("bearer"));
    assert!(request.one("x-auth-uid").is_some() && request.one("x-auth-sid").is_some());
    let linked = |line: &serde_json::Value| line["event"] == "auth.provider.linked";
    let line = gateway.audited("the link", linked).await;
    assert_eq!(line["reason"], json!("created"));
    // Every token of one session has one sid.
    assert_eq!(status(&gateway, &token("1", "b")).await, 200);
    assert_eq!(status(&gateway, &token("2", "c")).await, 200);
    let sids: Vec<_> = upstream.requests().iter().map(|it| it.one("x-auth-sid").unwrap()).collect();
    assert!(sids[0] == sids[1] && sids[1] != sids[2], "{sids:?}");
    // The person ends one of them here, and all of its tokens with it.
    let ada = gateway.anonymous().with_token(&token("1", "a"));
    let listed = ada.get("/auth/sessions").await.json();
    assert_eq!(listed["sessions"].as_array().unwrap().len(), 2);
    assert_eq!(ada.log_out().await.status, 204);
    for (session, jti, expected) in [("1", "a", 401), ("1", "new", 401), ("2", "c", 200)] {
        assert_eq!(status(&gateway, &token(session, jti)).await, expected, "{session} {jti}");
    }
    // A grant holds with the next request, a disabled account is refused at once.
    let grant = ["user", "grant", "--username", "ada", "--role", "admin"];
    gateway.verb(&grant, "").await.succeeded();
    crate::harness::until("the role", || async {
        let admin = gateway.anonymous().with_token(&token("2", "c")).get("/admin/x").await;
        (admin.status == 200).then_some(())
    })
    .await;
    gateway.verb(&["user", "disable", "--username", "ada"], "").await.succeeded();
    crate::harness::until("the end", || async {
        (status(&gateway, &token("2", "c")).await == 401).then_some(())
    })
    .await;
    assert_eq!(status(&gateway, &token("3", "d")).await, 401);
}

/// oidc-client-007: who a person is, two issuers cannot say alike.
#[tokio::test]
async fn an_unknown_subject_is_refused_and_no_address_opens_an_account() {
    let key = Key::new("k1");
    let (provider, upstream, gateway) = start(&key, "users = \"linked\"").await;
    for verified in [true, false] {
        let mut claims = provider.claims("s-1");
        claims["email"] = json!("root@example.test");
        claims["email_verified"] = json!(verified);
        claims["preferred_username"] = json!("root");
        assert_eq!(status(&gateway, &key.sign(&claims)).await, 401);
    }
    assert_eq!(upstream.count(), 0);
}

/// Case recovery-009: an account that somebody made before with the address of another, who never proved it, is not
/// the account of the one who comes from the provider with that address.
#[tokio::test]
async fn recovery_009_a_provider_login_is_not_merged_into_an_unproven_account() {
    let key = Key::new("k1");
    let provider = Provider::start(&[&key]).await;
    let upstream = Upstream::start().await;
    let more = "users = \"create\"\nlink_by = [\"email\"]\ndefault_roles = [\"reader\"]";
    let setup = Setup::standard(&upstream.url())
        .user_with("mallory", Some("victim@example.test"), &["user"])
        .table(&provider.table(more));
    let gateway = setup.start().await;
    let mut claims = provider.claims("victim");
    claims["email"] = json!("victim@example.test");
    claims["email_verified"] = json!(true);
    let victim = gateway.anonymous().with_token(&key.sign(&claims));
    assert_eq!(victim.get("/api/x").await.status, 200);
    let theirs = upstream.last();
    assert_eq!(theirs.one("sub").as_deref(), Some("victim"));
    let mallory = gateway.bearer("mallory").await;
    assert_eq!(mallory.get("/api/x").await.status, 200);
    let other = upstream.last();
    assert_eq!(other.one("sub").as_deref(), Some("mallory"));
    assert_ne!(theirs.one("x-auth-uid"), other.one("x-auth-uid"), "two people in one account");
    // What mallory's password opens lists nothing of the victim's, and ends nothing of it.
    let listed = mallory.get("/auth/sessions").await.json();
    assert_eq!(listed["sessions"].as_array().unwrap().len(), 1);
    let all = mallory.send(crate::harness::Request::post("/auth/logout-all").body("")).await;
    assert_eq!(all.status, 204);
    assert_eq!(victim.get("/api/x").await.status, 200);
}
