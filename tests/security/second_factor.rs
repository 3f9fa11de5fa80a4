//! `POST /auth/mfa/*`: contract section 6.

use serde_json::{Value, json};

use crate::harness::{Gateway, Persona, Setup, Upstream, password_of, until};

const KEY: &str = "a key of more than thirty-two characters";

fn totp(secret: &str) -> totp_rs::TOTP {
    let secret = totp_rs::Secret::Encoded(secret.into()).to_bytes().unwrap();
    totp_rs::TOTP::new_unchecked(totp_rs::Algorithm::SHA1, 6, 0, 30, secret, None, String::new())
}

/// The code of the step that is `steps` from now.
fn code(secret: &str, steps: i64) -> String {
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    totp(secret).generate(now.checked_add_signed(steps * 30).unwrap())
}

fn setup(upstream: &Upstream) -> Setup {
    Setup::standard(&upstream.url()).environment("TOTP_ENC_KEY", KEY)
}

/// Waits for a step that has time enough left for a test: codes are made here and read there.
async fn early_in_a_step() {
    until("a step that began lately", || async {
        let second = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs() % 30;
        (second < 18).then_some(())
    })
    .await;
}

/// Enrols alice with the code of the step before now; the secret and the recovery codes.
async fn enrol(gateway: &Gateway) -> (Persona, String, Vec<String>) {
    early_in_a_step().await;
    let alice = gateway.bearer("alice").await;
    let enrolment = alice.post("/auth/mfa/totp/enroll", &json!({})).await;
    assert_eq!(enrolment.status, 200, "{}", enrolment.text());
    let secret = enrolment.json()["secret"].as_str().unwrap().to_owned();
    assert!(enrolment.json()["qrSvg"].as_str().unwrap().contains("<svg"));
    let body = json!({ "code": code(&secret, -1) });
    let confirmed = alice.post("/auth/mfa/totp/confirm", &body).await;
    assert_eq!(confirmed.status, 200, "{}", confirmed.text());
    let codes: Vec<String> =
        serde_json::from_value(confirmed.json()["recoveryCodes"].clone()).unwrap();
    assert_eq!(codes.len(), 10);
    (alice, secret, codes)
}

async fn ticket(gateway: &Gateway) -> String {
    let answer = gateway.anonymous().log_in("alice", &password_of("alice")).await;
    answer.assert_problem(401, "mfa_required");
    assert_eq!(answer.json()["methods"], json!(["totp", "recovery_code"]));
    answer.json()["mfaToken"].as_str().unwrap().to_owned()
}

fn answer(ticket: &str, method: &str, code: &str) -> Value {
    json!({ "mfaToken": ticket, "method": method, "code": code })
}

const CHALLENGE: &str = "/auth/mfa/challenge";

/// totp-001, totp-003, totp-007, totp-013
#[tokio::test]
async fn no_token_comes_before_the_code_and_a_code_counts_once() {
    let upstream = Upstream::start().await;
    let gateway = setup(&upstream).start().await;
    let (alice, secret, _) = enrol(&gateway).await;
    assert_eq!(alice.log_out().await.status, 204);
    let anonymous = gateway.anonymous();
    let body = json!({ "username": "alice", "password": password_of("alice") });
    anonymous.post("/auth/token", &body).await.assert_problem(401, "mfa_required");

    let first = ticket(&gateway).await;
    anonymous.with_token(&first).get("/api/x").await.assert_problem(401, "unauthorized");
    let refresh = json!({ "refreshToken": first });
    assert_eq!(anonymous.post("/auth/refresh", &refresh).await.status, 401);
    let used = code(&secret, 0);
    let pair = anonymous.post(CHALLENGE, &answer(&first, "totp", &used)).await;
    assert_eq!(pair.status, 200, "{}", pair.text());
    let alice = anonymous.holding(&pair.json());
    assert_eq!(alice.get("/api/x").await.status, 200);
    let claims = crate::harness::tokens::Genuine::of(&alice).claims;
    assert_eq!(claims["amr"], json!(["pwd", "otp", "mfa"]));
    let refreshed = anonymous.holding(&alice.refresh().await.json());
    let later = crate::harness::tokens::Genuine::of(&refreshed).claims;
    assert_eq!((&later["amr"], &later["auth_time"]), (&claims["amr"], &claims["auth_time"]));

    let again = anonymous.post(CHALLENGE, &answer(&first, "totp", &code(&secret, 1))).await;
    again.assert_problem(401, "invalid_mfa_token");
    let second = ticket(&gateway).await;
    for old in [used, code(&secret, -1)] {
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
    let (_, secret, codes) = enrol(&gateway).await;
    for (method, code) in [("totp", code(&secret, 0)), ("recovery_code", codes[0].clone())] {
        let mut tickets = Vec::new();
        for _ in 0..20 {
            tickets.push(ticket(&gateway).await);
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
    let (_, secret, _) = enrol(&gateway).await;
    let anonymous = gateway.anonymous();
    for _ in 0..5 {
        let body = answer(&ticket(&gateway).await, "recovery_code", "wrong");
        anonymous.post(CHALLENGE, &body).await.assert_problem(401, "invalid_code");
    }
    let body = answer(&ticket(&gateway).await, "totp", &code(&secret, 0));
    anonymous.post(CHALLENGE, &body).await.assert_problem(429, "locked");
}

/// totp-009
#[tokio::test]
async fn a_factor_outlives_a_restart_and_only_its_session_confirms_it() {
    let upstream = Upstream::start().await;
    let gateway = setup(&upstream).start().await;
    let other = gateway.bearer("alice").await;
    assert_eq!(other.post("/auth/mfa/totp/enroll", &json!({})).await.status, 200);
    let (alice, secret, _) = enrol(&gateway).await;
    let refused = other.post("/auth/mfa/totp/enroll", &json!({})).await;
    refused.assert_problem(409, "mfa_active");
    let gateway = gateway.crash_and_restart().await;
    ticket(&gateway).await;
    let alice = gateway.anonymous().like(&alice);
    let body = json!({ "code": code(&secret, 0) });
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
    ticket(&gateway).await;
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
    let (alice, secret, _) = enrol(&gateway).await;
    let refused = alice.get("/vault/x").await;
    refused.assert_problem(403, "insufficient_user_authentication");
    let challenge = refused.header("www-authenticate").unwrap();
    assert!(challenge.contains("error=\"insufficient_user_authentication\""), "{challenge}");
    assert_eq!(upstream.count(), 0);
    let body = answer(&ticket(&gateway).await, "totp", &code(&secret, 0));
    let pair = gateway.anonymous().post(CHALLENGE, &body).await;
    let proven = gateway.anonymous().holding(&pair.json());
    assert_eq!(proven.get("/vault/x").await.status, 200);
    let refreshed = proven.holding(&proven.refresh().await.json());
    assert_eq!(refreshed.get("/vault/x").await.status, 200);
}
