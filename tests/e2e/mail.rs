//! The outbox and the way to the mail server: nothing is lost, nobody is slowed, nothing is sent
//! twice.

use std::time::Instant;

use serde_json::json;

use crate::harness::mailbox::Demands;
use crate::harness::{
    Authority, Gateway, Mailbox, Setup, Switch, Upstream, cli, password_of, until,
};
use crate::recovery::{ANA, CHANGED, NEW, PROOF, RESET, Stage, setup, unlimited};

async fn with_mail_at(server: std::net::SocketAddr) -> (Upstream, Gateway) {
    with_mail_within("30s", server).await
}

/// The same with so much time for an attempt.
async fn with_mail_within(timeout: &str, server: std::net::SocketAddr) -> (Upstream, Gateway) {
    let upstream = Upstream::start().await;
    let gateway = unlimited(Setup::standard(&upstream.url()))
        .mail(server)
        .set("mail.timeout", &format!("\"{timeout}\""))
        .user_with("ana", Some(ANA), &["user"])
        .start()
        .await;
    (upstream, gateway)
}

async fn ask(gateway: &Gateway, email: &str) -> u16 {
    gateway.anonymous().post("/recover", &json!({ "email": email })).await.status
}

#[tokio::test]
async fn a_mail_server_that_is_down_loses_nothing_and_a_crash_neither() {
    let (switch, mailbox) = (Switch::off(), Mailbox::start().await);
    // What was on its way when the gateway ended is tried again a while after that.
    let (_upstream, gateway) = with_mail_within("5s", switch.address).await;
    assert_eq!(ask(&gateway, ANA).await, 202);
    until("a failed attempt", || async {
        (gateway.metric("guarita_mails_total", "failed").await > 0.0).then_some(())
    })
    .await;
    assert!(gateway.metric("guarita_outbox_mails", "").await >= 1.0);
    let gateway = gateway.crash_and_restart().await;
    switch.on(mailbox.address);
    let token = mailbox.first(RESET, ANA).await.token();
    mailbox.first(PROOF, ANA).await;
    let body = json!({ "token": token, "password": NEW });
    assert_eq!(gateway.anonymous().post("/recover/confirm", &body).await.status, 204);
    mailbox.first(CHANGED, ANA).await;
    until("an empty outbox", || async {
        (gateway.metric("guarita_outbox_mails", "").await == 0.0).then_some(())
    })
    .await;
    assert_eq!(mailbox.mails().len(), 3);
}

#[tokio::test]
async fn a_slow_mail_server_slows_nobody() {
    let mut mailbox = Mailbox::start().await;
    mailbox.delay(3_600).await;
    let (_upstream, gateway) = with_mail_at(mailbox.address).await;
    let begun = Instant::now();
    for _ in 0..10 {
        assert_eq!(ask(&gateway, ANA).await, 202);
    }
    gateway.bearer("ana").await;
    until("an attempt", || async { (mailbox.attempts() > 0).then_some(()) }).await;
    assert!(mailbox.mails().is_empty());
    // An hour is far off.
    assert!(begun.elapsed().as_secs() < 30, "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_rejected_mail_is_tried_a_few_times_and_one_that_is_put_off_waits() {
    let mut mailbox = Mailbox::start().await;
    mailbox.reply("550 5.1.1 <ana@example.test> is not known here").await;
    let (_upstream, gateway) = with_mail_at(mailbox.address).await;
    assert_eq!(ask(&gateway, ANA).await, 202);
    until("both mails to be given up", || async {
        (gateway.metric("guarita_mails_total", "given_up").await >= 2.0).then_some(())
    })
    .await;
    assert_eq!(mailbox.attempts(), 8);
    assert!(!gateway.log.text().contains(ANA), "the server's words are logged");
    mailbox.reply("451 4.7.1 try again").await;
    assert_eq!(ask(&gateway, ANA).await, 202);
    until("two attempts", || async { (mailbox.attempts() >= 10).then_some(()) }).await;
    mailbox.reply("").await;
    mailbox.first(RESET, ANA).await;
}

#[tokio::test]
async fn two_gateways_on_one_store_send_every_mail_once() {
    let (upstream, mailbox) = (Upstream::start().await, Mailbox::start().await);
    let mut setup = setup(&upstream, &mailbox);
    for number in 0..30 {
        let (name, email) = (format!("u{number}"), format!("u{number}@example.test"));
        setup = setup.user_with(&name, Some(&email), &[]);
    }
    let gateway = setup.start().await;
    let mut other = cli::command(gateway.directory());
    let mut other = other
        .args(["serve", "--config", "guarita.toml"])
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let requests = (0..30).map(|number| {
        let gateway = &gateway;
        async move { ask(gateway, &format!("u{number}@example.test")).await }
    });
    let statuses = futures_util::future::join_all(requests).await;
    assert!(statuses.iter().all(|status| *status == 202), "{statuses:?}");
    for number in 0..30 {
        mailbox.first(RESET, &format!("u{number}@example.test")).await;
    }
    until("an empty outbox", || async {
        (gateway.metric("guarita_outbox_mails", "").await == 0.0).then_some(())
    })
    .await;
    other.kill().await.unwrap();
    // 30 resets, 31 proofs of new accounts.
    let mails = mailbox.mails();
    assert_eq!(mails.len(), 61);
    let mut ids: Vec<_> = mails.iter().map(|mail| mail.header("message-id").unwrap()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 61);
}

#[tokio::test]
async fn mail_goes_over_tls_with_a_password_and_never_around_it() {
    let authority = Authority::new("Mail CA");
    let identity = authority.server(&["localhost"]);
    let upstream = Upstream::start().await;
    for kind in ["starttls", "tls"] {
        let demands = Demands { tls: Some((kind, &identity)), auth: Some(("gate", "s3cret word")) };
        let mailbox = Mailbox::demanding(demands).await;
        let setup = Setup::standard(&upstream.url())
            .mail(mailbox.address)
            .set("mail.server", "\"localhost\"")
            .set("mail.tls", &format!("\"{kind}\""))
            .set("mail.username", "\"gate\"")
            .set("mail.password_file", "\"mail.password\"")
            .file("mail.password", "s3cret word\n");
        let trusting = setup.clone().set("mail.ca", "\"mail-ca.pem\"");
        let trusting = trusting.file("mail-ca.pem", authority.pem());
        let gateway = trusting.user_with("ana", Some(ANA), &[]).start().await;
        assert!(mailbox.first(PROOF, ANA).await.authenticated, "{kind}");
        gateway.verb(&["doctor"], "").await.succeeded();

        let blind = setup.start().await;
        let told = blind.verb(&["doctor"], "").await.failed(1);
        assert!(told.stdout.contains("TLS"), "{}", told.output());
        let wrong = blind.setup.clone().file("mail-ca.pem", authority.pem());
        let wrong = wrong.set("mail.ca", "\"mail-ca.pem\"").file("mail.password", "another");
        wrong.write(blind.directory());
        let told = blind.verb(&["doctor"], "").await.failed(1);
        assert!(told.stdout.contains("with 535"), "{}", told.output());
        assert!(!told.output().contains("another"), "{}", told.output());
    }
}

#[tokio::test]
async fn a_password_never_goes_to_a_far_server_in_clear() {
    let upstream = Upstream::start().await;
    let gateway = Setup::standard(&upstream.url()).start().await;
    let far = gateway
        .setup
        .clone()
        .mail("192.0.2.1:25".parse().unwrap())
        .set("mail.username", "\"gate\"")
        .set("mail.password", "\"hunter2hunter2\"");
    far.write(gateway.directory());
    let refused = gateway.verb(&["check"], "").await.failed(2);
    assert!(refused.stderr.contains("mail.tls: would send the password in clear"));
    assert!(!refused.output().contains("hunter2"));
}

#[tokio::test]
async fn doctor_asks_everything_and_says_what_to_do() {
    let stage = Stage::new().await;
    let well = stage.gateway.verb(&["doctor"], "").await.succeeded();
    for part in ["configuration", "database", "clock", "mail server 127.0.0.1:", "upstream u: "] {
        assert!(well.stdout.contains(&format!("ok      {part}")), "{}", well.stdout);
    }
    stage.gateway.verb(&["doctor", "--mail-to", ANA], "").await.succeeded();
    let test = stage.mailbox.first("Test message", ANA).await;
    assert!(test.text.contains("Acme"));
    stage.gateway.verb(&["doctor", "--mail-to", "not an address"], "").await.failed(1);

    let gone = Switch::off();
    let broken = stage
        .gateway
        .setup
        .clone()
        .mail(gone.address)
        .upstream("gone", &[&format!("http://{}", gone.address)])
        .set("store.database", "\"sqlite:data/other.db\"");
    broken.write(stage.gateway.directory());
    let told = stage.gateway.verb(&["doctor"], "").await.failed(1);
    for part in ["database: it does not exist yet", "mail server", "upstream gone: "] {
        assert!(told.stdout.contains(&format!("FAILED  {part}")), "{}", told.stdout);
    }
    assert!(told.stdout.contains("ok      upstream u: "), "{}", told.stdout);
    assert!(told.stderr.contains("checks failed: 3"), "{}", told.stderr);
    assert!(!stage.gateway.data().join("other.db").exists());
}

#[tokio::test]
async fn no_log_metric_or_audit_line_has_a_token_a_password_or_a_whole_address() {
    let mut stage = Stage::with(|setup| setup.set("log.level", "\"trace\"")).await;
    let mail = stage.recover(1).await;
    let proof = stage.mailbox.first(PROOF, ANA).await;
    let weak = "ana@example.test ana";
    stage.confirm(&mail.token(), weak).await.assert_problem(422, "weak_password");
    stage.anonymous().get(&format!("/reset?token={}", mail.token())).await;
    stage.anonymous().get(&format!("/recover/confirm?token={}", mail.token())).await;
    assert_eq!(stage.confirm(&mail.token(), NEW).await.status, 204);
    stage.confirm(&mail.token(), NEW).await.assert_problem(400, "invalid_token");
    stage.verify(&mail.token()).await.assert_problem(400, "invalid_token");
    assert_eq!(stage.verify(&proof.token()).await.status, 204);
    stage.mailbox.reply("550 5.1.1 <ana@example.test>: no such person").await;
    stage.post("/recover", json!({ "email": ANA })).await;
    until("a mail to be given up", || async {
        (stage.gateway.metric("guarita_mails_total", "given_up").await > 0.0).then_some(())
    })
    .await;
    stage.gateway.audited("a failure", |line| line["event"] == "verification.failed").await;
    let metrics = stage.gateway.operations("/metrics").await.text();
    let audit: Vec<_> = stage.gateway.audit().iter().map(ToString::to_string).collect();
    let written = [stage.gateway.log.text(), metrics, audit.join("\n")].join("\n");
    let secret = |mail: &crate::harness::Mail| mail.token().split_once('.').unwrap().1.to_owned();
    let secrets =
        [ANA.into(), NEW.into(), weak.into(), password_of("ana"), secret(&mail), secret(&proof)];
    for secret in secrets {
        let place = written.find(&secret).map(|at| &written[at.saturating_sub(200)..at]);
        assert_eq!(place, None, "{secret} was written");
    }
}
