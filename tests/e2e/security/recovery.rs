//! Recovery of passwords and proofs of addresses: cases of class `recovery`. Number 009 needs
//! providers.

use serde_json::json;

use crate::harness::{Request, Setup, password_of};
use crate::recovery::{ANA, NEW, PROOF, RESET, Stage};

/// Case recovery-001: a link counts once.
#[tokio::test]
async fn recovery_001_a_used_link_is_refused() {
    let stage = Stage::new().await;
    let token = stage.recover(1).await.token();
    assert_eq!(stage.confirm(&token, NEW).await.status, 204);
    let again = stage.confirm(&token, "another password nobody would guess").await;
    again.assert_problem(400, "invalid_token");
    assert_eq!(stage.anonymous().log_in("ana", NEW).await.status, 200);
}

/// Case recovery-002: a newer link, and any new password, make earlier ones void.
#[tokio::test]
async fn recovery_002_older_links_are_void() {
    let stage = Stage::new().await;
    let (first, second) = (stage.recover(1).await.token(), stage.recover(2).await.token());
    stage.confirm(&first, NEW).await.assert_problem(400, "invalid_token");
    let set = ["user", "set-password", "--password-stdin", "--username", "ana"];
    stage.gateway.verb(&set, "set by an operator by hand").await.succeeded();
    stage.confirm(&second, NEW).await.assert_problem(400, "invalid_token");
    let third = stage.recover(3).await.token();
    assert_eq!(stage.confirm(&third, NEW).await.status, 204);
}

/// Case recovery-003: CVE-2023-7028. One mail at most, and only to the stored address.
#[tokio::test]
async fn recovery_003_no_second_address_gets_the_mail() {
    let stage = Stage::with(|setup| setup.user_with("eve", Some("eve@evil.test"), &[])).await;
    let bodies = [
        json!({ "email": [ANA, "eve@evil.test"] }).to_string(),
        json!({ "email": { "0": ANA, "1": "eve@evil.test" } }).to_string(),
        format!(r#"{{"email":"{ANA}","email":"eve@evil.test"}}"#),
        format!("email={ANA}&email=eve@evil.test"),
        json!({ "email": format!("{ANA},eve@evil.test") }).to_string(),
        json!({ "email": format!("{ANA};eve@evil.test") }).to_string(),
        json!({ "email": format!("{ANA} eve@evil.test") }).to_string(),
        json!({ "email": format!("{ANA}%0acc:eve@evil.test") }).to_string(),
        json!({ "email": format!("{ANA}\ncc:eve@evil.test") }).to_string(),
        json!({ "email": format!("{ANA}\r\nBcc: eve@evil.test") }).to_string(),
        json!({ "email": format!("{ANA}\0") }).to_string(),
        json!({ "email": format!("<{ANA}>, eve@evil.test") }).to_string(),
    ];
    for body in &bodies {
        for path in ["/recover", "/verify-email"] {
            for kind in ["application/json", "application/x-www-form-urlencoded"] {
                let request = Request::post(path).header("content-type", kind);
                let answer = stage.anonymous().send(request.body(body.as_str())).await;
                assert!(
                    matches!(answer.status, 202 | 400 | 403 | 415),
                    "{body}: {}",
                    answer.status
                );
            }
        }
    }
    stage.settled().await;
    stage.recover(1).await;
    let resets = |to: &str| {
        stage
            .mailbox
            .mails()
            .iter()
            .filter(|mail| mail.subject() == RESET && mail.to == [to])
            .count()
    };
    assert_eq!((resets(ANA), resets("eve@evil.test")), (1, 0));
    assert!(stage.mailbox.mails().iter().all(|mail| mail.to.len() == 1));
}

/// Case recovery-004: CVE-2019-19844. Look-alikes reach nobody, or the stored address.
#[tokio::test]
async fn recovery_004_the_mail_goes_to_the_stored_address() {
    let stage = Stage::with(|setup| {
        setup.user_with("mike", Some("mike@example.test"), &[]).user_with(
            "fiona",
            Some("fiona@example.test"),
            &[],
        )
    })
    .await;
    for typed in [
        "mıke@example.test",
        "mi\u{212a}e@example.test",
        "MIKE@EXAMPLE.TEST",
        "ﬁona@example.test",
        "ｍｉｋｅ@example.test",
        "mike@еxample.test",
        "mike@example.test\u{200b}",
        "mik\u{0435}@example.test",
    ] {
        let answer = stage.post("/recover", json!({ "email": typed })).await;
        assert_eq!(answer.status, 202, "{typed}");
    }
    stage.mailbox.first(RESET, "mike@example.test").await;
    stage.mailbox.first(RESET, "fiona@example.test").await;
    stage.settled().await;
    let known = [ANA, "mike@example.test", "fiona@example.test"];
    for mail in stage.mailbox.mails() {
        assert!(known.contains(&mail.to[0].as_str()), "{:?}", mail.to);
        assert!(mail.raw.is_ascii());
    }
}

/// Case recovery-005: a token counts for what it was made for.
#[tokio::test]
async fn recovery_005_a_token_of_another_purpose_is_refused() {
    let stage = Stage::new().await;
    let reset = stage.recover(1).await.token();
    let proof = stage.mailbox.first(PROOF, ANA).await.token();
    stage.confirm(&proof, NEW).await.assert_problem(400, "invalid_token");
    stage.verify(&reset).await.assert_problem(400, "invalid_token");
    for token in [&reset, &proof] {
        let anonymous = stage.anonymous();
        anonymous.with_token(token).get("/api/x").await.assert_problem(401, "unauthorized");
        let body = json!({ "refreshToken": token });
        assert_eq!(anonymous.post("/auth/refresh", &body).await.status, 401);
        let body = json!({ "mfaToken": token, "method": "totp", "code": "123456" });
        assert_eq!(anonymous.post("/auth/mfa/challenge", &body).await.status, 401);
    }
    assert_eq!(stage.upstream.count(), 0);
    assert_eq!(stage.confirm(&reset, NEW).await.status, 204);
    assert_eq!(stage.verify(&proof).await.status, 204);
}

/// Case recovery-006: who looks at a link (a scanner of mails) does not use it up.
#[tokio::test]
async fn recovery_006_a_get_consumes_nothing() {
    let stage = Stage::new().await;
    let (reset, proof) = (stage.recover(1).await, stage.mailbox.first(PROOF, ANA).await);
    for mail in [&reset, &proof] {
        let target = mail.link().strip_prefix("https://app.example.test").unwrap();
        for method in ["GET", "HEAD", "GET"] {
            let looked = stage.anonymous().send(Request::new(method, target)).await;
            assert!(looked.status < 500, "{target}: {}", looked.status);
        }
    }
    for path in ["/recover/confirm", "/verify-email/confirm"] {
        let target = format!("{path}?token={}&password={}", reset.token(), "x".repeat(20));
        let looked = stage.anonymous().get(&target).await;
        assert!((400..500).contains(&looked.status), "{path}: {}", looked.status);
    }
    assert_eq!(stage.confirm(&reset.token(), NEW).await.status, 204);
    assert_eq!(stage.verify(&proof.token()).await.status, 204);
    assert!(!stage.gateway.log.text().contains(&reset.token()));
    assert_eq!(stage.upstream.count(), 0);
}

/// Case recovery-007: CVE-2026-37982. A link enrols no factor, used or not, and removes none.
#[tokio::test]
async fn recovery_007_a_link_is_no_way_to_a_factor() {
    let stage = Stage::with(|setup| {
        setup.environment("TOTP_ENC_KEY", "a key of more than thirty-two characters")
    })
    .await;
    let token = stage.recover(1).await.token();
    for step in ["unused", "used"] {
        let caller = stage.anonymous().with_token(&token);
        for path in ["enroll", "confirm", "disable"] {
            let body = json!({ "code": "123456" });
            let answer = caller.post(&format!("/auth/mfa/totp/{path}"), &body).await;
            assert_eq!(answer.status, 401, "{step} {path}");
        }
        let status = stage.confirm(&token, NEW).await.status;
        assert_eq!(status, if step == "unused" { 204 } else { 400 });
    }
}

/// Case recovery-008: nothing that anybody types gets into a header or is evaluated.
#[tokio::test]
async fn recovery_008_no_text_is_a_header_or_a_template() {
    let hostile = "{{7*7}}<img src=x onerror=alert(1)>${7*7}";
    let stage = Stage::with(|setup| setup.user_with(hostile, Some("ivy@example.test"), &[])).await;
    let typed = [
        "ivy@example.test\r\nBcc: eve@evil.test",
        "\"ivy\r\nX-Evil: 1\"@example.test",
        "{{7*7}}@example.test",
        "<script>@example.test",
        "=?utf-8?q?ivy=40example.test?=",
        "ivy@example.test\r\n.\r\nMAIL FROM:<eve@evil.test>",
    ];
    for email in typed {
        for path in ["/recover", "/verify-email"] {
            assert_eq!(stage.post(path, json!({ "email": email })).await.status, 202, "{email}");
        }
    }
    let request = Request::post("/recover")
        .header("accept-language", "es\"><b>{{7*7}}")
        .header("x-forwarded-host", "evil.test")
        .header("host", "app.example.test");
    let answer =
        stage.anonymous().send(request.json(&json!({ "email": "ivy@example.test" }))).await;
    assert_eq!(answer.status, 202);
    let mail = stage.mailbox.first(RESET, "ivy@example.test").await;
    stage.settled().await;
    for mail in stage.mailbox.mails() {
        for wrong in ["Bcc", "X-Evil", "{{", "49", "<img", "onerror", "evil.test", hostile] {
            let body = format!("{}{}", mail.text, mail.html).replace(&mail.token(), "");
            assert!(!body.contains(wrong), "{wrong}: {body}");
        }
        let names: Vec<_> = mail.headers().iter().map(|(name, _)| name.to_lowercase()).collect();
        let known = [
            "from",
            "to",
            "subject",
            "message-id",
            "auto-submitted",
            "mime-version",
            "date",
            "content-type",
        ];
        assert!(names.iter().all(|name| known.contains(&name.as_str())), "{names:?}");
        assert_eq!(mail.from, "no-reply@gateway.test");
    }
    assert!(mail.link().starts_with("https://app.example.test/reset?token="), "{}", mail.link());
}

/// Case recovery-010: CVE-2025-64717. A disabled account gets the same answer, no mail, no way back.
#[tokio::test]
async fn recovery_010_a_disabled_account_stays_disabled() {
    let stage =
        Stage::with(|setup: Setup| setup.user_with("joe", Some("joe@example.test"), &[])).await;
    let proof = stage.mailbox.first(PROOF, "joe@example.test").await.token();
    let body = json!({ "email": "joe@example.test" });
    assert_eq!(stage.post("/recover", body.clone()).await.status, 202);
    let before = stage.mailbox.first(RESET, "joe@example.test").await.token();
    stage.gateway.verb(&["user", "disable", "--username", "joe"], "").await.succeeded();
    stage.confirm(&before, NEW).await.assert_problem(400, "invalid_token");
    stage.verify(&proof).await.assert_problem(400, "invalid_token");
    let count = stage.mailbox.mails().len();
    for path in ["/recover", "/verify-email"] {
        let (known, unknown) = (
            stage.post(path, body.clone()).await,
            stage.post(path, json!({ "email": "nobody@example.test" })).await,
        );
        let seen = |answer: &crate::harness::Response| {
            let names = answer.headers.iter().map(|(name, _)| name.to_ascii_lowercase());
            (answer.status, answer.text(), names.collect::<Vec<_>>())
        };
        assert_eq!(seen(&known), seen(&unknown));
        assert_eq!(known.status, 202);
    }
    stage.settled().await;
    stage.recover(1).await;
    assert_eq!(stage.mailbox.mails().len(), count + 1);
    for password in [NEW.to_owned(), password_of("joe")] {
        assert_eq!(stage.anonymous().log_in("joe", &password).await.status, 401);
    }
}

/// Case recovery-011: tokens have 256 random bits, and guesses have a rate.
#[tokio::test]
async fn recovery_011_a_token_cannot_be_guessed() {
    let stage = Stage::with(|setup| setup.set("rate_limits.recover.per_source", "\"20/1h\"")).await;
    let (one, two) = (stage.recover(1).await.token(), stage.recover(2).await.token());
    for token in [&one, &two] {
        let (id, secret) = token.split_once('.').unwrap();
        assert_eq!((id.len(), secret.len()), (36, 43), "a UUID and 256 bits");
    }
    assert_ne!(one, two);
    let (id, secret) = two.split_once('.').unwrap();
    let mut last = secret.to_owned();
    let changed = if last.pop() == Some('A') { 'B' } else { 'A' };
    let guesses = [
        format!("{id}.{last}{changed}"),
        format!("{id}.{last}"),
        format!("{id}.{}", secret.to_lowercase()),
        format!("{id}."),
        id.to_owned(),
        format!("{}.{secret}", id.to_uppercase()),
        format!("00000000-0000-4000-8000-000000000000.{secret}"),
        format!("{id}.{secret}\n"),
        format!("{id}.{secret}.{secret}"),
        format!("{id}%.{secret}"),
        String::new(),
        "x".repeat(10_000),
    ];
    for guess in &guesses {
        stage.confirm(guess, NEW).await.assert_problem(400, "invalid_token");
    }
    for wrong in [json!(null), json!(1), json!([two]), json!({ "token": two })] {
        let body = json!({ "token": wrong, "password": NEW });
        let answer = stage.post("/recover/confirm", body).await;
        assert!(matches!(answer.status, 400), "{}", answer.text());
    }
    let mut statuses = Vec::new();
    for _ in 0..10 {
        statuses.push(stage.confirm("x", NEW).await.status);
    }
    assert!(statuses.contains(&429), "{statuses:?}");
}

/// How well the time of an answer tells a known address from an unknown one. A benchmark: it prints,
/// and asserts nothing of time.
#[tokio::test]
#[ignore = "a benchmark of 2,000 requests: prints, asserts nothing"]
async fn recovery_of_known_and_unknown_addresses_takes_the_same_time() {
    let stage = Stage::with(|setup| {
        setup.set("passwords.memory", "\"19MiB\"").set("passwords.iterations", "2")
    })
    .await;
    let mut times = [Vec::new(), Vec::new()];
    for round in 0..1_000 {
        let unknown = format!("nob{}@example.test", round % 7);
        for (kind, email) in [(0, ANA), (1, unknown.as_str())] {
            let request = Request::post("/recover").json(&json!({ "email": email }));
            let mut wire = stage.gateway.wire().await;
            let begun = std::time::Instant::now();
            let answer = wire.exchange(&request, "app.example.test").await;
            times[kind].push(begun.elapsed());
            assert_eq!(answer.status, 202);
        }
    }
    super::enumeration_timing::print(times);
}
