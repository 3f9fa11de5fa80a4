//! `POST /recover`, `/recover/confirm`, `/verify-email`, `/verify-email/confirm`.

use serde_json::json;

use crate::harness::{
    Gateway, Mail, Mailbox, Persona, Request, Response, Setup, Upstream, password_of, until,
};

pub(crate) const ANA: &str = "ana@example.test";
pub(crate) const RESET: &str = "Set a new password";
pub(crate) const PROOF: &str = "Confirm your e-mail address";
pub(crate) const CHANGED: &str = "Your password was changed";
pub(crate) const NEW: &str = "a new password nobody would guess";

/// Ana has an address; rates are off.
pub(crate) fn setup(upstream: &Upstream, mailbox: &Mailbox) -> Setup {
    unlimited(Setup::standard(&upstream.url())).mail(mailbox.address).user_with(
        "ana",
        Some(ANA),
        &["user"],
    )
}

pub(crate) fn unlimited(setup: Setup) -> Setup {
    ["recover", "verify_email", "login"].into_iter().fold(setup, |setup, kind| {
        setup
            .set(&format!("rate_limits.{kind}.per_source"), "\"off\"")
            .set(&format!("rate_limits.{kind}.per_account"), "\"off\"")
    })
}

pub(crate) struct Stage {
    pub(crate) upstream: Upstream,
    pub(crate) mailbox: Mailbox,
    pub(crate) gateway: Gateway,
}

impl Stage {
    pub(crate) async fn new() -> Self {
        Self::with(|setup| setup).await
    }

    pub(crate) async fn with(change: impl FnOnce(Setup) -> Setup) -> Self {
        let (upstream, mailbox) = (Upstream::start().await, Mailbox::start().await);
        let gateway = change(setup(&upstream, &mailbox)).start().await;
        Self { upstream, mailbox, gateway }
    }

    pub(crate) fn anonymous(&self) -> Persona {
        self.gateway.anonymous()
    }

    pub(crate) async fn post(&self, path: &str, body: serde_json::Value) -> Response {
        self.anonymous().post(path, &body).await
    }

    /// Asks for a link; the mail, which is the `count`th of its kind.
    pub(crate) async fn recover(&self, count: usize) -> Mail {
        let answer = self.post("/recover", json!({ "email": ANA })).await;
        assert_eq!((answer.status, answer.text().as_str()), (202, ""));
        self.mailbox.nth(count, RESET, ANA).await
    }

    pub(crate) async fn confirm(&self, token: &str, password: &str) -> Response {
        self.post("/recover/confirm", json!({ "token": token, "password": password })).await
    }

    pub(crate) async fn verify(&self, token: &str) -> Response {
        self.post("/verify-email/confirm", json!({ "token": token })).await
    }

    /// Waits until nothing waits in the outbox.
    pub(crate) async fn settled(&self) {
        let file = self.gateway.data().join("guarita.db");
        until("an empty outbox", || async {
            let waiting = "SELECT COUNT(*) FROM outbox WHERE user_id <> 0";
            let rows = crate::harness::database::execute(&file, waiting).await;
            (rows == ["0"]).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn a_mailed_link_sets_a_new_password_and_ends_every_session_before_the_answer() {
    let stage = Stage::with(|setup| setup.set("lockout.failures", "3")).await;
    let (one, two) = (stage.gateway.bearer("ana").await, stage.gateway.bearer("ana").await);
    for _ in 0..4 {
        stage.anonymous().log_in("ana", "wrong password, long enough").await;
    }
    stage.anonymous().log_in("ana", &password_of("ana")).await.assert_problem(429, "locked");
    let mail = stage.recover(1).await;
    assert_eq!(mail.link(), format!("https://app.example.test/reset?token={}", mail.token()));
    assert!(mail.text.contains("30 minutes") && mail.text.contains("Acme"), "{}", mail.text);
    assert!(mail.html.contains(&mail.token()));
    assert_eq!(mail.from, "no-reply@gateway.test");
    let stored = stage.gateway.data().join("guarita.db");
    let secret = mail.token().split_once('.').unwrap().1.to_owned();
    for file in std::fs::read_dir(stored.parent().unwrap()).unwrap() {
        let file = file.unwrap().path();
        if file.is_file() {
            let bytes = std::fs::read(&file).unwrap();
            let found = crate::harness::raw::find(&bytes, secret.as_bytes());
            assert!(found.is_none(), "the secret rests in {}", file.display());
        }
    }

    let answer = stage.confirm(&mail.token(), NEW).await;
    assert_eq!((answer.status, answer.text().as_str()), (204, ""));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    for session in [&one, &two] {
        session.get("/api/x").await.assert_problem(401, "unauthorized");
        assert_eq!(session.refresh().await.status, 401);
    }
    assert_eq!(stage.upstream.count(), 0);
    let old = stage.anonymous().log_in("ana", &password_of("ana")).await;
    old.assert_problem(401, "invalid_credentials");
    assert_eq!(stage.anonymous().log_in("ana", NEW).await.status, 200);
    let notice = stage.mailbox.first(CHANGED, ANA).await;
    assert!(!notice.text.contains("http"), "{}", notice.text);
    for event in ["recovery.requested", "recovery.completed"] {
        let line = stage.gateway.audited(event, |line| line["event"] == event).await;
        assert!(line["userId"].as_str().unwrap().starts_with("***"), "{line}");
    }
}

#[tokio::test]
async fn fifty_parallel_confirmations_of_one_link_set_one_password() {
    let stage = Stage::new().await;
    let token = stage.recover(1).await.token();
    let proof = stage.mailbox.first(PROOF, ANA).await.token();
    let confirmations = (0..50).map(|number| {
        let body = json!({ "token": token, "password": format!("{NEW} {number}") });
        let anonymous = stage.anonymous();
        async move { anonymous.post("/recover/confirm", &body).await.status }
    });
    let mut statuses = futures_util::future::join_all(confirmations).await;
    statuses.sort_unstable();
    assert_eq!((statuses[0], statuses[1]), (204, 400), "{statuses:?}");
    assert!(statuses[1..].iter().all(|status| *status == 400), "{statuses:?}");
    let confirmations = (0..50).map(|_| async { stage.verify(&proof).await.status });
    let mut statuses = futures_util::future::join_all(confirmations).await;
    statuses.sort_unstable();
    assert_eq!(statuses[0], 204, "{statuses:?}");
    assert!(statuses[1..].iter().all(|status| *status == 400), "{statuses:?}");
}

#[tokio::test]
async fn a_weak_password_is_refused_and_the_link_stays_good() {
    let list = format!("{}\n", "ABF7AAD6438836DBE526AA231ABDE2D0EEF74D42");
    let stage = Stage::with(|setup| {
        setup.file("breached.txt", list).set("passwords.breached_file", "\"breached.txt\"")
    })
    .await;
    let token = stage.recover(1).await.token();
    let long = "x".repeat(1_025);
    for weak in [
        "short",
        "aaaaaaaaaaaaaaaaaaaa",
        "ana@example.test1",
        "correct horse battery staple",
        &long,
    ] {
        stage.confirm(&token, weak).await.assert_problem(422, "weak_password");
    }
    let body = json!({ "token": token, "password": "x".repeat(1 << 20) });
    let mut wire = stage.gateway.wire().await;
    let request = Request::post("/recover/confirm").json(&body).header("connection", "close");
    drop(wire.try_send(request.bytes("app.example.test")).await);
    if let Some(answer) = wire.answer().await {
        assert_eq!(answer.status, 413, "{}", answer.text());
    }
    assert_eq!(stage.confirm(&token, NEW).await.status, 204);
    let create = ["user", "create", "--password-stdin", "--username", "bob"];
    let refused = stage.gateway.verb(&create, "correct horse battery staple").await.failed(1);
    assert!(refused.stderr.contains("breach"), "{}", refused.stderr);
}

#[tokio::test]
async fn logins_stay_shut_until_the_address_is_proven() {
    let stage = Stage::with(|setup| {
        setup
            .environment("AUTH_REQUIRE_VERIFIED_EMAIL", "Yes")
            .environment("EMAIL_VERIFICATION_URL", "https://portal.test/proof?lang=pt")
    })
    .await;
    let answer = stage.anonymous().log_in("ana", &password_of("ana")).await;
    answer.assert_problem(403, "email_unverified");
    let answer = stage.anonymous().log_in("ana", "wrong password, long enough").await;
    answer.assert_problem(401, "invalid_credentials");
    let first = stage.mailbox.first(PROOF, ANA).await;
    assert!(
        first.link().starts_with("https://portal.test/proof?lang=pt&token="),
        "{}",
        first.link()
    );

    assert_eq!(stage.post("/verify-email", json!({ "email": ANA })).await.status, 202);
    let second = stage.mailbox.nth(2, PROOF, ANA).await;
    stage.verify(&first.token()).await.assert_problem(400, "invalid_token");
    assert_eq!(stage.verify(&second.token()).await.status, 204);
    stage.verify(&second.token()).await.assert_problem(400, "invalid_token");
    stage.gateway.bearer("ana").await;
    stage.gateway.audited("the proof", |line| line["event"] == "verification.completed").await;

    // Whoever has no address has nothing to prove it with: an operator vouches.
    let refused = stage.anonymous().log_in("alice", &password_of("alice")).await;
    refused.assert_problem(403, "email_unverified");
    stage.gateway.verb(&["user", "verify", "--username", "alice"], "").await.succeeded();
    stage.gateway.bearer("alice").await;

    // Who is proven gets no further mail, and the same answer.
    assert_eq!(stage.post("/verify-email", json!({ "email": ANA })).await.status, 202);
    stage.settled().await;
    let proofs = stage.mailbox.mails().iter().filter(|mail| mail.subject() == PROOF).count();
    assert_eq!(proofs, 2);
}

#[tokio::test]
async fn mails_speak_the_language_of_the_caller() {
    let stage = Stage::with(|setup| setup.set("mail.language", "\"es\"")).await;
    stage.mailbox.first("Confirme su correo electrónico", ANA).await;
    for (accepted, subject) in [
        ("pt-BR,pt;q=0.9", "Defina uma nova senha"),
        ("es-MX", "Elija una contraseña nueva"),
        ("fr, en;q=0.5", RESET),
    ] {
        let request = Request::post("/recover").header("accept-language", accepted);
        let answer = stage.anonymous().send(request.json(&json!({ "email": ANA }))).await;
        assert_eq!(answer.status, 202);
        let mail = stage.mailbox.first(subject, ANA).await;
        assert!(mail.html.contains("<html lang=") && mail.html.contains("color-scheme"));
        assert_eq!(mail.header("auto-submitted"), Some("auto-generated"));
    }
    assert_eq!(stage.post("/recover", json!({ "email": ANA })).await.status, 202);
    stage.mailbox.nth(2, "Elija una contraseña nueva", ANA).await;
}

#[tokio::test]
async fn too_many_links_are_refused_by_source_and_by_address() {
    let stage = Stage::with(|setup| {
        setup
            .set("rate_limits.recover.per_account", "\"2/1h\"")
            .set("rate_limits.verify_email.per_source", "\"3/1h\"")
    })
    .await;
    for email in [ANA, "nobody@example.test"] {
        for spelling in [email.to_owned(), email.to_uppercase()] {
            let answer = stage.post("/recover", json!({ "email": spelling })).await;
            assert_eq!(answer.status, 202, "{spelling}");
        }
        let refused = stage.post("/recover", json!({ "email": email })).await;
        refused.assert_problem(429, "rate_limited");
        assert!(refused.header("retry-after").is_some());
    }
    for number in 0..3 {
        let email = format!("a{number}@example.test");
        assert_eq!(stage.post("/verify-email", json!({ "email": email })).await.status, 202);
    }
    stage.verify("x").await.assert_problem(429, "rate_limited");
}

#[tokio::test]
async fn without_a_mail_server_the_answer_is_the_same_and_it_is_said_at_the_start() {
    let upstream = Upstream::start().await;
    let gateway = unlimited(Setup::standard(&upstream.url()))
        .user_with("ana", Some(ANA), &["user"])
        .start()
        .await;
    for path in ["/recover", "/verify-email"] {
        for email in [ANA, "nobody@example.test", ""] {
            let answer = gateway.anonymous().post(path, &json!({ "email": email })).await;
            assert_eq!(answer.status, 202);
        }
    }
    let said = gateway.log.events().iter().filter(|event| event["event"] == "mail.none").count();
    assert_eq!(said, 1);
    let checked = gateway.verb(&["check"], "").await.succeeded();
    assert!(checked.stderr.contains("mail.server is not set"), "{}", checked.stderr);
    assert!(!gateway.data().join("outbox.key").exists());
}
