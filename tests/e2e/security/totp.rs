//! Second factors: what is a factor good for that can be gone round, guessed or swapped?

use futures_util::future::join_all;
use serde_json::json;

use super::Stage;
use crate::harness::authenticator::{
    CHALLENGE, CONFIRM, DISABLE, ENROLL, complete, completion, early_in_a_step, ticket,
    with_factors,
};
use crate::harness::{
    Authenticator, Browser, Gateway, Persona, Request, Response, Setup, database, password_of,
    until,
};
use crate::introspection;

const RENEW: &str = "/auth/mfa/recovery-codes";

async fn stage() -> Stage {
    Stage::with(with_factors).await
}

/// With nothing in the way of many attempts but the factor's own lock.
fn unlimited(setup: Setup) -> Setup {
    ["login", "mfa"].iter().fold(with_factors(setup), |setup, kind| {
        setup
            .set(&format!("rate_limits.{kind}.per_source"), "\"off\"")
            .set(&format!("rate_limits.{kind}.per_account"), "\"off\"")
    })
}

async fn rows(gateway: &Gateway, statement: &str) -> Vec<String> {
    database::execute(&gateway.data().join("guarita.db"), statement).await
}

/// A fresh login of alice, up to her code.
async fn challenge(stage: &Stage, method: &str, code: &str) -> Response {
    complete(&stage.gateway, &ticket(&stage.gateway, "alice").await, method, code).await
}

#[tokio::test]
async fn totp_001_a_used_code_opens_no_second_login() {
    let stage = stage().await;
    let (_, application, _) = Authenticator::enrol(&stage.gateway, "alice").await;
    let used = application.code(0);
    assert_eq!(challenge(&stage, "totp", &used).await.status, 200);
    challenge(&stage, "totp", &used).await.assert_problem(401, "invalid_code");
    stage.gateway.audited("the replay", |it| it["event"] == "mfa.challenge.replayed").await;
    let gateway = stage.gateway.crash_and_restart().await;
    let stage = Stage { gateway, upstream: stage.upstream };
    challenge(&stage, "totp", &used).await.assert_problem(401, "invalid_code");
}

#[tokio::test]
async fn totp_002_one_code_a_hundred_times_at_two_nodes_opens_one_session() {
    let stage = Stage::with(unlimited).await;
    let other = stage.gateway.another_node().await;
    let (_, application, codes) = Authenticator::enrol(&stage.gateway, "alice").await;
    for (method, code) in [("totp", None), ("recovery_code", Some(codes[0].clone()))] {
        let mut tickets = Vec::new();
        for number in 0..100 {
            let node = if number % 2 == 0 { &stage.gateway } else { &other };
            tickets.push((node, ticket(node, "alice").await));
        }
        early_in_a_step().await;
        let code = code.unwrap_or_else(|| application.code(0));
        let attempts = tickets.iter().map(|(node, ticket)| complete(node, ticket, method, &code));
        let statuses: Vec<_> = join_all(attempts).await.iter().map(|it| it.status).collect();
        let opened = statuses.iter().filter(|status| **status == 200).count();
        assert_eq!(opened, 1, "{method}: {statuses:?}");
        assert!(statuses.iter().all(|status| matches!(status, 200 | 401 | 429)), "{statuses:?}");
    }
}

#[tokio::test]
async fn totp_003_no_older_code_counts_after_a_newer_one() {
    let stage = stage().await;
    let (_, application, _) = Authenticator::enrol(&stage.gateway, "alice").await;
    assert_eq!(challenge(&stage, "totp", &application.code(1)).await.status, 200);
    for unused in [application.code(0), application.code(-1)] {
        challenge(&stage, "totp", &unused).await.assert_problem(401, "invalid_code");
    }
}

#[tokio::test]
async fn totp_004_only_the_steps_beside_now_count() {
    let stage = stage().await;
    early_in_a_step().await;
    let alice = stage.alice().await;
    let application = Authenticator::begin(&alice).await;
    for far in [-3, -2, 2, 3] {
        let body = json!({ "code": application.code(far) });
        alice.post(CONFIRM, &body).await.assert_problem(401, "invalid_code");
    }
    application.confirm(&alice).await;
    for (steps, status) in [(-2, 401), (2, 401), (0, 200), (1, 200)] {
        let answer = challenge(&stage, "totp", &application.code(steps)).await;
        assert_eq!(answer.status, status, "{steps}: {}", answer.text());
    }
}

#[tokio::test]
async fn totp_005_wrong_codes_lock_the_factor_for_right_ones_too() {
    let stage = Stage::with(unlimited).await;
    let other = stage.gateway.another_node().await;
    let (_, application, codes) = Authenticator::enrol(&stage.gateway, "alice").await;
    // Over logins, nodes and methods.
    for number in 0..5 {
        let node = if number % 2 == 0 { &stage.gateway } else { &other };
        let (method, wrong) = match number % 3 {
            0 => ("recovery_code", "nonsense".to_owned()),
            _ => ("totp", application.wrong()),
        };
        let answer = complete(node, &ticket(node, "alice").await, method, &wrong).await;
        answer.assert_problem(401, "invalid_code");
    }
    for node in [&stage.gateway, &other] {
        for (method, right) in [("totp", application.code(0)), ("recovery_code", codes[0].clone())]
        {
            let answer = complete(node, &ticket(node, "alice").await, method, &right).await;
            answer.assert_problem(429, "locked");
            assert!(answer.header("retry-after").unwrap().parse::<u64>().unwrap() > 240);
        }
    }
    stage.gateway.audited("the lock", |it| it["event"] == "mfa.challenge.locked").await;
}

/// NIST SP 800-63B-4 section 3.2.2: at most 100 failures in a row, ever.
#[tokio::test]
async fn totp_005_a_hundred_wrong_codes_in_a_row_are_the_last() {
    let stage = Stage::with(|setup| unlimited(setup).set("lockout.failures", "100")).await;
    let (_, application, _) = Authenticator::enrol(&stage.gateway, "alice").await;
    for _ in 0..20 {
        let ticket = ticket(&stage.gateway, "alice").await;
        for _ in 0..5 {
            let answer = complete(&stage.gateway, &ticket, "recovery_code", "nonsense").await;
            answer.assert_problem(401, "invalid_code");
        }
    }
    let locked = challenge(&stage, "totp", &application.code(0)).await;
    locked.assert_problem(429, "locked");
    assert_eq!(locked.header("retry-after"), Some("86400"), "what anybody is told at most");
    // The operator helps.
    stage.gateway.verb(&["user", "reset-mfa", "--username", "alice"], "").await.succeeded();
    stage.alice().await;
}

#[tokio::test]
async fn totp_006_the_right_password_forgives_no_wrong_codes() {
    let stage = stage().await;
    let (_, application, _) = Authenticator::enrol(&stage.gateway, "alice").await;
    let first = ticket(&stage.gateway, "alice").await;
    for _ in 0..4 {
        let answer = complete(&stage.gateway, &first, "totp", &application.wrong()).await;
        answer.assert_problem(401, "invalid_code");
    }
    let second = ticket(&stage.gateway, "alice").await;
    let fifth = complete(&stage.gateway, &second, "totp", &application.wrong()).await;
    fifth.assert_problem(401, "invalid_code");
    for code in [application.wrong(), application.code(0)] {
        complete(&stage.gateway, &second, "totp", &code).await.assert_problem(429, "locked");
    }
    // A ticket has five attempts, whatever came of them.
    for _ in 0..2 {
        complete(&stage.gateway, &second, "totp", "000000").await.assert_problem(429, "locked");
    }
    complete(&stage.gateway, &second, "totp", "000000")
        .await
        .assert_problem(401, "invalid_mfa_token");
}

#[tokio::test]
async fn totp_007_half_a_login_opens_nothing() {
    let stage = stage().await;
    Authenticator::enrol(&stage.gateway, "alice").await;
    let half = ticket(&stage.gateway, "alice").await;
    let bearer = stage.anonymous().with_token(&half);
    for path in ["/api/x", "/admin/x", "/auth/sessions", "/auth/oidc/x/start"] {
        assert_eq!(bearer.get(path).await.status, 401, "{path}");
    }
    let account = bearer.get("/account").await;
    assert_eq!(account.header("location"), Some("/login?return_to=/account"));
    let body = json!({
        "refreshToken": half,
        "token": half,
        "code": "000000",
        "password": "x",
        "currentPassword": "x",
        "newPassword": "y",
    });
    for path in [
        "/auth/refresh",
        "/auth/mfa/totp/enroll",
        "/auth/mfa/totp/confirm",
        "/auth/mfa/totp/disable",
        "/auth/mfa/recovery-codes",
        "/auth/password",
    ] {
        let answer = bearer.post(path, &body).await;
        assert_eq!(answer.status, 401, "{path}: {}", answer.text());
    }
    let question = introspection::form(introspection::INTROSPECT, &[("token", &half)]);
    let refused = bearer.send(question).await;
    refused.assert_client_refused(401, "invalid_client", "invalid_client");
    for cookie in ["__Host-guarita-session", "__Host-session", "sid"] {
        let request = Request::get("/api/x").header("cookie", &format!("{cookie}={half}"));
        assert_eq!(stage.anonymous().send(request).await.status, 401, "{cookie}");
    }
    stage.assert_nothing_forwarded("half a login");
}

#[tokio::test]
async fn totp_008_a_session_alone_changes_no_factor() {
    let stage = Stage::with(|setup| with_factors(setup).set("mfa.recent_login", "\"0s\"")).await;
    early_in_a_step().await;
    let alice = stage.alice().await;
    alice.post(ENROLL, &json!({})).await.assert_problem(403, "reauthentication_required");
    let coded = alice.post(ENROLL, &json!({ "code": "000000" })).await;
    coded.assert_problem(403, "reauthentication_required");
    let wrong = json!({ "password": "wrong password, long enough" });
    alice.post(ENROLL, &wrong).await.assert_problem(401, "invalid_credentials");
    let long = json!({ "password": "x".repeat(1_025) });
    alice.post(ENROLL, &long).await.assert_problem(401, "invalid_credentials");
    let begun = alice.post(ENROLL, &json!({ "password": password_of("alice") })).await;
    assert_eq!(begun.status, 200, "{}", begun.text());
    let application = Authenticator::of(&begun);
    application.confirm(&alice).await;
    stage.gateway.audited("the refusal", |it| it["event"] == "mfa.enroll.refused").await;

    for path in [ENROLL, DISABLE, RENEW] {
        let refused = alice.post(path, &json!({})).await;
        refused.assert_problem(403, "reauthentication_required");
        let wrong = json!({ "code": application.wrong() });
        let refused = alice.post(path, &wrong).await;
        assert!(matches!(refused.status, 401 | 403), "{path}: {}", refused.text());
    }
    let both = json!({ "password": password_of("alice") });
    alice.post(ENROLL, &both).await.assert_problem(409, "mfa_active");
    assert_eq!(alice.post(DISABLE, &json!({ "code": application.code(0) })).await.status, 204);
}

/// A stolen session cannot find the password out at the enrolment: wrong ones lock as at a login.
#[tokio::test]
async fn totp_008_wrong_passwords_at_the_enrolment_lock_the_account() {
    let stage = stage().await;
    let alice = stage.alice().await;
    let wrong = json!({ "password": "wrong password, long enough" });
    for _ in 0..5 {
        alice.post(ENROLL, &wrong).await.assert_problem(401, "invalid_credentials");
    }
    let right = json!({ "password": password_of("alice") });
    let locked = alice.post(ENROLL, &right).await;
    locked.assert_problem(429, "locked");
    assert!(locked.header("retry-after").is_some());
    let elsewhere = stage.anonymous().log_in("alice", &password_of("alice")).await;
    elsewhere.assert_problem(429, "locked");
}

#[tokio::test]
async fn totp_008_other_recovery_codes_take_a_code_and_void_the_old_ones() {
    let stage = stage().await;
    let (alice, application, old) = Authenticator::enrol(&stage.gateway, "alice").await;
    let renewed = alice.post(RENEW, &json!({ "code": application.code(0) })).await;
    assert_eq!(renewed.status, 200, "{}", renewed.text());
    assert_eq!(renewed.header("cache-control"), Some("no-store"));
    let new: Vec<String> = serde_json::from_value(renewed.json()["recoveryCodes"].clone()).unwrap();
    assert_eq!(new.len(), 10);
    challenge(&stage, "recovery_code", &old[0]).await.assert_problem(401, "invalid_code");
    assert_eq!(challenge(&stage, "recovery_code", &new[0]).await.status, 200);
    // Whoever lost the telephone can still be rid of the factor.
    let spare = json!({ "method": "recovery_code", "code": new[1] });
    assert_eq!(alice.post(DISABLE, &spare).await.status, 204);
    stage.alice().await;
}

#[tokio::test]
async fn totp_009_a_pending_factor_belongs_to_its_session_and_is_no_factor_yet() {
    let stage = stage().await;
    early_in_a_step().await;
    let (victim, attacker) = (stage.alice().await, stage.alice().await);
    let mine = Authenticator::begin(&victim).await;
    let theirs = Authenticator::begin(&attacker).await;
    // Begun anew elsewhere: neither session's code confirms what the other holds.
    for application in [&mine, &theirs] {
        let body = json!({ "code": application.code(0) });
        victim.post(CONFIRM, &body).await.assert_problem(409, "mfa_not_enrolled");
    }
    stage.alice().await;
    // A foreign site can begin nothing.
    let forged = Request::post(ENROLL)
        .header("origin", "https://evil.test")
        .header("sec-fetch-site", "cross-site")
        .json(&json!({}));
    let cookie = Browser::signed_in(&stage.gateway, "alice").await;
    for answer in [stage.anonymous().send(forged.clone()).await, cookie.send(forged).await] {
        answer.assert_problem(403, "csrf_failed");
    }

    let mine = Authenticator::begin(&victim).await;
    mine.confirm(&victim).await;
    // The old factor is kept, whatever is begun after.
    for body in [json!({}), json!({ "password": password_of("alice") })] {
        let refused = attacker.post(ENROLL, &body).await;
        assert!(matches!(refused.status, 403 | 409), "{}", refused.text());
    }
    let body = json!({ "code": theirs.code(0) });
    assert!(matches!(attacker.post(CONFIRM, &body).await.status, 401 | 409));
    challenge(&stage, "totp", &theirs.code(0)).await.assert_problem(401, "invalid_code");
    assert_eq!(challenge(&stage, "totp", &mine.code(0)).await.status, 200);
}

#[tokio::test]
async fn totp_010_a_recovery_code_is_no_weaker_than_the_factor() {
    let stage = Stage::with(unlimited).await;
    let (_, _, codes) = Authenticator::enrol(&stage.gateway, "alice").await;
    let (_, _, others) = Authenticator::enrol(&stage.gateway, "root").await;
    // As a person types it, once.
    let typed = format!(" {} ", codes[0].to_uppercase());
    assert_eq!(challenge(&stage, "recovery_code", &typed).await.status, 200);
    for code in [codes[0].as_str(), &others[0], "", &"x".repeat(65), &codes[1][1..]] {
        let ticket = ticket(&stage.gateway, "alice").await;
        let answer = complete(&stage.gateway, &ticket, "recovery_code", code).await;
        answer.assert_problem(401, "invalid_code");
    }
    // Five failures: the codes that are left are locked with the factor.
    challenge(&stage, "recovery_code", &codes[2]).await.assert_problem(429, "locked");
    // The other's code was not used up by it.
    let ticket = ticket(&stage.gateway, "root").await;
    assert_eq!(complete(&stage.gateway, &ticket, "recovery_code", &others[0]).await.status, 200);
    let dump = rows(&stage.gateway, "SELECT * FROM recovery_codes").await.join("\n");
    for code in codes.iter().chain(&others) {
        // At least 112 bits, or hashed slowly (ASVS 6.5.2): 24 letters of base32.
        assert!(code.chars().filter(char::is_ascii_alphanumeric).count() >= 23, "{}", code.len());
        assert!(!dump.contains(code.as_str()));
    }
}

#[tokio::test]
async fn totp_011_the_seed_is_long_encrypted_shown_once_and_told_nobody() {
    let stage = stage().await;
    early_in_a_step().await;
    let alice = stage.alice().await;
    let first = alice.post(ENROLL, &json!({})).await;
    assert_eq!(first.header("cache-control"), Some("no-store"));
    let answer = alice.post(ENROLL, &json!({})).await;
    let application = Authenticator::of(&answer);
    assert_ne!(application.secret, Authenticator::of(&first).secret, "never shown again");
    assert!(application.seed().len() * 8 >= 160);
    let shown = answer.json();
    let (uri, picture) = (shown["otpauthUri"].as_str().unwrap(), shown["qrSvg"].as_str().unwrap());
    assert!(uri.starts_with("otpauth://totp/ms-auth:alice?") && uri.contains(&application.secret));
    // The picture is drawn here, and loads nothing.
    assert!(picture.contains("<svg") && !picture.contains("href") && !picture.contains("<image"));
    application.confirm(&alice).await;
    for method in ["GET", "HEAD", "PUT"] {
        let answer = alice.send(Request::new(method, ENROLL)).await;
        assert_eq!(answer.status, 405, "{method}: {}", answer.text());
    }
    let hexadecimal: String = application.seed().iter().map(|byte| format!("{byte:02x}")).collect();
    let bytes = application.seed();
    for entry in std::fs::read_dir(stage.gateway.data()).unwrap().flatten() {
        let content = std::fs::read(entry.path()).unwrap_or_default();
        for form in [bytes.as_slice(), application.secret.as_bytes(), hexadecimal.as_bytes()] {
            let found = crate::harness::raw::find(&content, form);
            assert!(found.is_none(), "{}", entry.path().display());
        }
    }
    let told = format!("{}{:?}", stage.gateway.log.text(), stage.gateway.audit());
    assert!(!told.contains(&application.secret) && !told.contains("otpauth"));
}

/// With a second factor demanded of administrators.
async fn demanding() -> Stage {
    Stage::with(|setup| with_factors(setup).set("mfa.required_roles", "[\"admin\"]")).await
}

/// Reaches its enrolment and nothing else.
async fn assert_half_proven(stage: &Stage, caller: &Persona) {
    let refused = "insufficient_user_authentication";
    let before = stage.upstream.count();
    for path in ["/admin/x", "/api/x", "/nowhere", "/auth/nowhere", "/oauth2/userinfo"] {
        caller.get(path).await.assert_problem(403, refused);
    }
    for path in [DISABLE, RENEW, "/auth/logout-all", "/auth/ws-ticket", "/auth/password"] {
        let body = json!({
            "code": "000000",
            "path": "/api/x",
            "currentPassword": "x",
            "newPassword": "y",
        });
        let answer = caller.post(path, &body).await;
        if path == "/auth/logout-all" {
            assert!(matches!(answer.status, 400 | 403), "{}", answer.text());
        } else {
            answer.assert_problem(403, refused);
        }
    }
    caller.send(Request::post("/auth/logout-all").body("")).await.assert_problem(403, refused);
    let own = format!("/auth/sessions/{}", caller.sid.as_deref().unwrap_or("x"));
    caller.send(Request::new("DELETE", &own)).await.assert_problem(403, refused);
    assert_eq!(stage.upstream.count(), before);
    assert_eq!(caller.get("/auth/sessions").await.status, 200);
    // Where nobody is asked, it goes on as nobody.
    assert_eq!(caller.get("/public/x").await.status, 200);
    let forwarded = stage.upstream.requests().pop().unwrap();
    for name in ["sub", "app_roles", "x-auth-sid", "x-auth-uid", "authorization"] {
        assert!(forwarded.all(name).is_empty(), "{name}: {}", forwarded.text());
    }
}

#[tokio::test]
async fn totp_012_who_must_have_a_factor_reaches_its_enrolment_and_nothing_else() {
    let stage = demanding().await;
    early_in_a_step().await;
    let answer = stage.anonymous().log_in("root", &password_of("root")).await;
    assert_eq!(answer.json()["mfaEnrollmentRequired"], true, "{}", answer.text());
    let root = stage.anonymous().holding(&answer.json());
    assert_half_proven(&stage, &root).await;
    // Others that verify its token learn of no role.
    let claims = crate::harness::tokens::Genuine::of(&root).claims;
    assert!(claims.get("app_roles").is_none_or(|roles| *roles == json!([])), "{claims}");
    assert_eq!(claims.get("amr"), None);
    // No other way in, nor on.
    let body = json!({ "username": "root", "password": password_of("root") });
    for path in ["/auth/token", "/api/auth/token"] {
        let token = stage.anonymous().post(path, &body).await.json();
        let bearer = stage.anonymous().with_token(token["access_token"].as_str().unwrap());
        assert_half_proven(&stage, &bearer).await;
    }
    let refreshed = root.refresh().await;
    assert_eq!(refreshed.json()["mfaEnrollmentRequired"], true, "{}", refreshed.text());
    let root = root.holding(&refreshed.json());
    assert_half_proven(&stage, &root).await;
    // To begin is not enough, nor is a wrong code.
    let application = Authenticator::begin(&root).await;
    let wrong = json!({ "code": application.wrong() });
    root.post(CONFIRM, &wrong).await.assert_problem(401, "invalid_code");
    assert_half_proven(&stage, &root).await;
    // Users without the role are not asked.
    let alice = stage.anonymous().log_in("alice", &password_of("alice")).await;
    assert_eq!(alice.json().get("mfaEnrollmentRequired"), None);
    assert_eq!(stage.anonymous().holding(&alice.json()).get("/api/x").await.status, 200);
    // It can be left.
    assert_eq!(root.log_out().await.status, 204);
    assert_eq!(root.get("/auth/sessions").await.status, 401);
}

#[tokio::test]
async fn totp_012_a_session_counts_from_its_confirmed_code_on() {
    let stage = demanding().await;
    let old = stage.root().await;
    let (root, application, _) = Authenticator::enrol(&stage.gateway, "root").await;
    assert_eq!(root.get("/admin/x").await.status, 200, "the same token, with its roles");
    let forwarded = stage.upstream.requests().pop().unwrap();
    assert_eq!(forwarded.all("app_roles"), ["admin"]);
    let root = root.holding(&root.refresh().await.json());
    assert_eq!(root.get("/admin/x").await.status, 200);
    let claims = crate::harness::tokens::Genuine::of(&root).claims;
    assert_eq!(claims["amr"], json!(["pwd", "otp", "mfa"]));
    assert_eq!(claims["app_roles"], json!(["admin"]));
    // Another session of hers has not proven it, and cannot now.
    let refused = old.get("/admin/x").await;
    refused.assert_problem(403, "insufficient_user_authentication");
    let body = json!({ "password": password_of("root") });
    old.post(ENROLL, &body).await.assert_problem(409, "mfa_active");
    let ticket = ticket(&stage.gateway, "root").await;
    let pair = complete(&stage.gateway, &ticket, "totp", &application.code(0)).await;
    assert_eq!(pair.json().get("mfaEnrollmentRequired"), None, "{}", pair.text());
    assert_eq!(stage.anonymous().holding(&pair.json()).get("/admin/x").await.status, 200);
}

#[tokio::test]
async fn totp_012_a_role_or_a_demand_that_comes_later_holds_at_once_on_every_node() {
    let stage = demanding().await;
    let other = stage.gateway.another_node().await;
    let alice = stage.alice().await;
    let there = other.anonymous().like(&alice);
    assert_eq!((alice.get("/api/x").await.status, there.get("/api/x").await.status), (200, 200));
    let becomes = async |status: u16| {
        for caller in [&alice, &there] {
            until("the demand to hold", || async {
                (caller.get("/api/x").await.status == status).then_some(())
            })
            .await;
        }
    };
    stage
        .gateway
        .verb(&["user", "grant", "--username", "alice", "--role", "admin"], "")
        .await
        .succeeded();
    becomes(403).await;
    assert_half_proven(&stage, &alice).await;
    stage
        .gateway
        .verb(&["user", "revoke", "--username", "alice", "--role", "admin"], "")
        .await
        .succeeded();
    becomes(200).await;
    stage.gateway.verb(&["user", "require-mfa", "alice", "on"], "").await.succeeded();
    becomes(403).await;
    assert_half_proven(&stage, &alice).await;
    let shown = stage.gateway.verb(&["user", "show", "--username", "alice", "--json"], "").await;
    assert!(shown.stdout.contains("\"mfaRequired\":true"), "{}", shown.stdout);
    // What was issued meanwhile names no roles, and has them again with the demand's end.
    let restricted = alice.holding(&alice.refresh().await.json());
    stage.gateway.verb(&["user", "require-mfa", "alice", "off"], "").await.succeeded();
    becomes(200).await;
    until("the roles", || async {
        restricted.get("/api/x").await;
        let forwarded = stage.upstream.requests().pop()?;
        (forwarded.all("app_roles") == ["user"]).then_some(())
    })
    .await;
    stage.gateway.verb(&["user", "require-mfa", "nobody", "on"], "").await.failed(1);
    stage.gateway.verb(&["user", "require-mfa", "alice", "maybe"], "").await.failed(2);
}

#[tokio::test]
async fn totp_012_a_reload_demands_it_of_running_sessions() {
    let mut stage = stage().await;
    let root = stage.root().await;
    assert_eq!(root.get("/admin/x").await.status, 200);
    let setup = stage.gateway.setup.clone().set("mfa.required_roles", "[\"admin\"]");
    assert!(stage.gateway.reload(setup).await);
    assert_half_proven(&stage, &root).await;
    let setup = stage.gateway.setup.clone().unset("mfa.required_roles");
    assert!(stage.gateway.reload(setup).await);
    assert_eq!(root.get("/admin/x").await.status, 200);
}

#[tokio::test]
async fn totp_013_every_way_to_log_in_asks_for_the_same_factor() {
    let stage = Stage::with(|setup| with_factors(setup).set("lockout.failures", "100")).await;
    let (alice, application, _) = Authenticator::enrol(&stage.gateway, "alice").await;
    assert_eq!(alice.log_out().await.status, 204);
    assert_eq!(alice.refresh().await.status, 401);
    let password = password_of("alice");
    let code = application.code(0);
    let mut tickets = Vec::new();
    for path in ["/auth/login", "/auth/token", "/api/auth/token"] {
        let body = json!({ "username": "alice", "password": password });
        let request = Request::post(path).header("x-otp", &code).json(&body);
        let answer = stage.anonymous().send(request).await;
        answer.assert_problem(401, "mfa_required");
        tickets.push(answer.json()["mfaToken"].as_str().unwrap().to_owned());
        for joined in [format!("{password}{code}"), format!("{password},{code}")] {
            let body = json!({ "username": "alice", "password": joined });
            let refused = stage.anonymous().post(path, &body).await;
            refused.assert_problem(401, "invalid_credentials");
        }
    }
    use base64::Engine as _;
    let basic = base64::engine::general_purpose::STANDARD.encode(format!("alice:{password}"));
    let request = Request::get("/api/x").header("authorization", &format!("Basic {basic}"));
    assert_eq!(stage.anonymous().send(request.header("x-otp", &code)).await.status, 401);
    stage.assert_nothing_forwarded("another way in");
    // One store of used codes for all.
    let mut statuses = Vec::new();
    for ticket in &tickets {
        statuses.push(complete(&stage.gateway, ticket, "totp", &code).await.status);
    }
    assert_eq!(statuses, [200, 401, 401]);
}

#[tokio::test]
async fn totp_014_names_of_one_account_share_one_counter() {
    let stage = Stage::with(|setup| {
        with_factors(setup).user_with("carol", Some("carol@corp.test"), &["user"])
    })
    .await;
    let (_, application, _) = Authenticator::enrol(&stage.gateway, "carol").await;
    let names = [("username", "CAROL"), ("username", "carol"), ("email", "Carol@Corp.Test")];
    for (member, name) in names.iter().cycle().take(5) {
        let body = json!({ *member: name, "password": password_of("carol") });
        let answer = stage.anonymous().post("/auth/login", &body).await;
        answer.assert_problem(401, "mfa_required");
        let answer = answer.json();
        let body = completion(answer["mfaToken"].as_str().unwrap(), "totp", &application.wrong());
        stage.anonymous().post(CHALLENGE, &body).await.assert_problem(401, "invalid_code");
    }
    for (member, name) in names {
        let body = json!({ member: name, "password": password_of("carol") });
        let answer = stage.anonymous().post("/auth/login", &body).await.json();
        let body = completion(answer["mfaToken"].as_str().unwrap(), "totp", &application.code(0));
        stage.anonymous().post(CHALLENGE, &body).await.assert_problem(429, "locked");
    }
    // Passwords are counted in the same way; a name with a space is nobody's, and opens nothing.
    let wrong = "wrong password, long enough";
    let spellings = [
        ("username", "ALICE"),
        ("username", "alice"),
        ("username", "alice "),
        ("username", "Alice"),
    ];
    let mut refused = 0;
    for (member, name) in spellings.iter().cycle().take(12) {
        let body = json!({ *member: name, "password": wrong });
        let answer = stage.anonymous().post("/auth/login", &body).await;
        assert!(matches!(answer.status, 401 | 429), "{}", answer.text());
        refused += u32::from(answer.status == 401 && *name != "alice ");
    }
    assert_eq!(refused, 5);
    stage.anonymous().log_in("alice", &password_of("alice")).await.assert_problem(429, "locked");
}
