//! `POST /auth/mfa/*`.

use serde_json::json;

use crate::harness::authenticator::{CHALLENGE, completion as answer, ticket, with_factors};
use crate::harness::{Authenticator, Gateway, Persona, Setup, Upstream, password_of, until};

fn setup(upstream: &Upstream) -> Setup {
    with_factors(Setup::standard(&upstream.url()))
}

/// Enrols alice with the code of the step before now; her application and the recovery codes.
async fn enrol(gateway: &Gateway) -> (Persona, Authenticator, Vec<String>) {
    Authenticator::enrol(gateway, "alice").await
}

/// totp-001, totp-003, totp-007, totp-013
#[tokio::test]
async fn no_token_comes_before_the_code_and_a_code_counts_once() {
    let upstream = Upstream::start().await;
    let gateway = setup(&upstream).start().await;
    let (alice, application, _) = enrol(&gateway).await;
    assert_eq!(alice.log_out().await.status, 204);
    let anonymous = gateway.anonymous();
    let body = json!({ "username": "alice", "password": password_of("alice") });
    anonymous.post("/auth/token", &body).await.assert_problem(401, "mfa_required");

    let first = ticket(&gateway, "alice").await;
    anonymous.with_token(&first).get("/api/x").await.assert_problem(401, "unauthorized");
    let refresh = json!({ "refreshToken": first });
    assert_eq!(anonymous.post("/auth/refresh", &refresh).await.status, 401);
    let used = application.code(0);
    let pair = anonymous.post(CHALLENGE, &answer(&first, "totp", &used)).await;
    assert_eq!(pair.status, 200, "{}", pair.text());
    let alice = anonymous.holding(&pair.json());
    assert_eq!(alice.get("/api/x").await.status, 200);
    let claims = crate::harness::tokens::Genuine::of(&alice).claims;
    assert_eq!(claims["amr"], json!(["pwd", "otp", "mfa"]));
    let refreshed = anonymous.holding(&alice.refresh().await.json());
    let later = crate::harness::tokens::Genuine::of(&refreshed).claims;
    assert_eq!((&later["amr"], &later["auth_time"]), (&claims["amr"], &claims["auth_time"]));

    let again = anonymous.post(CHALLENGE, &answer(&first, "totp", &application.code(1))).await;
    again.assert_problem(401, "invalid_mfa_token");
    let second = ticket(&gateway, "alice").await;
    for old in [used, application.code(-1)] {
        let replayed = anonymous.post(CHALLENGE, &answer(&second, "totp", &old)).await;
        replayed.assert_problem(401, "invalid_code");
    }
    gateway.audited("the replay", |line| line["event"] == "mfa.challenge.replayed").await;
}

/// totp-002, totp-010
#[tokio::test]
async fn one_code_from_twenty_connections_opens_one_session() {
    let upstream = Upstream::start().await;
    let gateway = setup(&upstream).start().await;
    let (_, application, codes) = enrol(&gateway).await;
    for (method, code) in [("totp", application.code(0)), ("recovery_code", codes[0].clone())] {
        let mut tickets = Vec::new();
        for _ in 0..20 {
            tickets.push(ticket(&gateway, "alice").await);
        }
        let anonymous = gateway.anonymous();
        let attempts = tickets.into_iter().map(|ticket| {
            let (anonymous, body) = (anonymous.clone(), answer(&ticket, method, &code));
            async move { anonymous.post(CHALLENGE, &body).await.status }
        });
        let statuses = futures_util::future::join_all(attempts).await;
        let opened = statuses.iter().filter(|status| **status == 200).count();
        assert_eq!(opened, 1, "{method}: {statuses:?}");
    }
}

/// totp-005, totp-006
#[tokio::test]
async fn wrong_codes_lock_the_factor_over_all_logins() {
    let upstream = Upstream::start().await;
    let gateway = setup(&upstream).start().await;
    let (_, application, _) = enrol(&gateway).await;
    let anonymous = gateway.anonymous();
    for _ in 0..5 {
        let body = answer(&ticket(&gateway, "alice").await, "recovery_code", "wrong");
        anonymous.post(CHALLENGE, &body).await.assert_problem(401, "invalid_code");
    }
    let body = answer(&ticket(&gateway, "alice").await, "totp", &application.code(0));
    anonymous.post(CHALLENGE, &body).await.assert_problem(429, "locked");
}

/// totp-009
#[tokio::test]
async fn a_factor_outlives_a_restart_and_only_its_session_confirms_it() {
    let upstream = Upstream::start().await;
    let gateway = setup(&upstream).start().await;
    let other = gateway.bearer("alice").await;
    assert_eq!(other.post("/auth/mfa/totp/enroll", &json!({})).await.status, 200);
    let (alice, application, _) = enrol(&gateway).await;
    let body = json!({ "password": password_of("alice") });
    let refused = other.post("/auth/mfa/totp/enroll", &body).await;
    refused.assert_problem(409, "mfa_active");
    let gateway = gateway.crash_and_restart().await;
    ticket(&gateway, "alice").await;
    let alice = gateway.anonymous().like(&alice);
    let body = json!({ "code": application.code(0) });
    assert_eq!(alice.post("/auth/mfa/totp/disable", &body).await.status, 204);
    gateway.bearer("alice").await;
}

#[tokio::test]
async fn without_a_key_no_factor_is_enrolled() {
    let upstream = Upstream::start().await;
    let gateway = Setup::standard(&upstream.url()).start().await;
    let alice = gateway.bearer("alice").await;
    let refused = alice.post("/auth/mfa/totp/enroll", &json!({})).await;
    refused.assert_problem(503, "mfa_unavailable");
    let anonymous = gateway.anonymous().post("/auth/mfa/totp/enroll", &json!({})).await;
    anonymous.assert_problem(401, "unauthorized");
}

#[tokio::test]
async fn an_operator_removes_a_lost_factor_and_its_sessions() {
    let upstream = Upstream::start().await;
    let gateway = setup(&upstream).start().await;
    let (alice, _, _) = enrol(&gateway).await;
    ticket(&gateway, "alice").await;
    gateway.verb(&["user", "reset-mfa", "--username", "alice"], "").await.succeeded();
    until("the session to end", || async {
        (alice.get("/api/x").await.status == 401).then_some(())
    })
    .await;
    assert_eq!(alice.refresh().await.status, 401);
    assert_eq!(gateway.bearer("alice").await.get("/api/x").await.status, 200);
}

/// RFC 9470: the same account passes once it has proven its second factor.
#[tokio::test]
async fn a_route_can_ask_for_a_second_factor() {
    let upstream = Upstream::start().await;
    let gateway = setup(&upstream)
        .route("path = \"/vault/{*rest}\"\nupstream = \"u\"\nallow = { mfa = true }")
        .start()
        .await;
    assert_eq!(gateway.anonymous().get("/vault/x").await.status, 401);
    let refused = gateway.bearer("alice").await.get("/vault/x").await;
    refused.assert_problem(403, "insufficient_user_authentication");
    let challenge = refused.header("www-authenticate").unwrap();
    assert!(challenge.contains("error=\"insufficient_user_authentication\""), "{challenge}");
    assert_eq!(upstream.count(), 0);
    let (alice, application, _) = enrol(&gateway).await;
    assert_eq!(alice.get("/vault/x").await.status, 200, "its code was proven in this session");
    let body = answer(&ticket(&gateway, "alice").await, "totp", &application.code(0));
    let pair = gateway.anonymous().post(CHALLENGE, &body).await;
    let proven = gateway.anonymous().holding(&pair.json());
    assert_eq!(proven.get("/vault/x").await.status, 200);
    let refreshed = proven.holding(&proven.refresh().await.json());
    assert_eq!(refreshed.get("/vault/x").await.status, 200);
}
