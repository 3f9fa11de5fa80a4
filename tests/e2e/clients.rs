//! Clients that an operator makes beside those of the configuration.

use std::time::Instant;

use serde_json::{Value, json};

use crate::harness::cli::Outcome;
use crate::harness::database::seize;
use crate::harness::{Gateway, Setup, Upstream, canary, raw, until};
use crate::introspection::{INTROSPECT, SECRET, by, form, with_clients};

async fn started() -> (Upstream, Gateway) {
    let upstream = Upstream::start().await;
    let gateway = with_clients(Setup::standard(&upstream.url())).start().await;
    (upstream, gateway)
}

async fn try_create(gateway: &Gateway, name: &str, more: &[&str]) -> Outcome {
    let arguments = [&["client", "create", "--name", name][..], more].concat();
    gateway.verb(&arguments, "").await
}

/// Makes a secret; from here on nothing may tell it.
async fn create(gateway: &Gateway, name: &str, more: &[&str]) -> String {
    let made = try_create(gateway, name, more).await.succeeded();
    let secret = made.stdout.trim_end().to_owned();
    assert_eq!(secret.len(), 43);
    canary::keep(&secret);
    secret
}

async fn revoke(gateway: &Gateway, which: &str) -> Outcome {
    gateway.verb(&["client", "revoke", which], "").await
}

async fn listed(gateway: &Gateway, more: &[&str]) -> Vec<Value> {
    let arguments = [&["client", "list", "--json"][..], more].concat();
    let told = gateway.verb(&arguments, "").await.succeeded();
    serde_json::from_str(&told.stdout).unwrap()
}

async fn status(gateway: &Gateway, name: &str, secret: &str) -> u16 {
    let request = by(form(INTROSPECT, &[("token", "x")]), name, secret);
    gateway.anonymous().send(request).await.status
}

async fn until_status(gateway: &Gateway, name: &str, secret: &str, wanted: u16) {
    until("the client to stand otherwise", || async {
        (status(gateway, name, secret).await == wanted).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_client_counts_within_a_second_of_its_making_and_no_longer_than_one_after_its_end() {
    let (_upstream, gateway) = started().await;
    let other = gateway.another_node().await;
    let token = gateway.bearer("root").await.token.unwrap();
    // The gateway knows that there is none before it is made.
    assert_eq!(status(&gateway, "reports", "x").await, 401);
    let first = create(&gateway, "reports", &[]).await;
    let since = Instant::now();
    for node in [&gateway, &other] {
        until_status(node, "reports", &first, 200).await;
    }
    assert!(since.elapsed().as_millis() < 2_000, "{:?}", since.elapsed());
    let request = by(form(INTROSPECT, &[("token", &token)]), "reports", &first);
    assert_eq!(gateway.anonymous().send(request).await.json()["active"], json!(true));
    // In the form too, and for revocations.
    let fields = [("token", "x"), ("client_id", "reports"), ("client_secret", &*first)];
    assert_eq!(gateway.anonymous().send(form(INTROSPECT, &fields)).await.status, 200);
    assert_eq!(gateway.anonymous().send(form("/oauth2/revoke", &fields)).await.status, 200);
    // One secret gives way to the next.
    let second = create(&gateway, "reports", &["--expires-in", "90d"]).await;
    until_status(&gateway, "reports", &second, 200).await;
    let third = try_create(&gateway, "reports", &[]).await.failed(1);
    assert!(
        third.stderr.contains("two valid secrets") && third.stdout.is_empty(),
        "{}",
        third.stderr
    );
    let id = listed(&gateway, &[]).await[0]["id"].to_string();
    revoke(&gateway, &id).await.succeeded();
    let since = Instant::now();
    for node in [&gateway, &other] {
        until_status(node, "reports", &first, 401).await;
        assert_eq!(status(node, "reports", &second).await, 200);
    }
    assert!(since.elapsed().as_millis() < 2_000, "{:?}", since.elapsed());
    assert_eq!(revoke(&gateway, "reports").await.succeeded().stdout, "revoked 1 secret\n");
    for node in [&gateway, &other] {
        until_status(node, "reports", &second, 401).await;
        assert_eq!(status(node, "portal", SECRET).await, 200, "those of the configuration stay");
    }
    revoke(&gateway, "reports").await.failed(1);
    let short = create(&gateway, "short", &["--expires-in", "3s"]).await;
    until_status(&gateway, "short", &short, 200).await;
    until_status(&gateway, "short", &short, 401).await;
}

#[tokio::test]
async fn every_client_that_does_not_count_gets_the_same_answer() {
    let (_upstream, gateway) = started().await;
    let good = create(&gateway, "reports", &[]).await;
    let revoked = create(&gateway, "revoked", &[]).await;
    until_status(&gateway, "reports", &good, 200).await;
    revoke(&gateway, "revoked").await.succeeded();
    until_status(&gateway, "revoked", &revoked, 401).await;
    let mut bodies = Vec::new();
    for (name, secret) in [
        ("revoked", &*revoked),
        ("reports", &revoked),
        ("reports", SECRET),
        ("portal", &good),
        ("REPORTS", &good),
        ("nobody", &good),
        ("reports", ""),
    ] {
        let request = by(form(INTROSPECT, &[("token", "x")]), name, secret);
        let answer = gateway.anonymous().send(request).await;
        answer.assert_client_refused(401, "invalid_client", "invalid_client");
        let mut body = answer.json();
        body["requestId"] = Value::Null;
        bodies.push(body);
    }
    assert!(bodies.windows(2).all(|pair| pair[0] == pair[1]), "{bodies:?}");
}

#[tokio::test]
async fn a_client_s_secret_is_told_once_and_only_its_digest_rests() {
    let (_upstream, gateway) = started().await;
    let secret = create(&gateway, "reports", &[]).await;
    for arguments in [&["client", "list"][..], &["client", "list", "--json", "--all"]] {
        let told = gateway.verb(arguments, "").await.succeeded().output();
        assert!(told.contains("reports") && !told.contains(&secret), "{told}");
    }
    for name in ["guarita.db", "guarita.db-wal"] {
        let bytes = std::fs::read(gateway.data().join(name)).unwrap_or_default();
        assert!(raw::find(&bytes, secret.as_bytes()).is_none(), "{name} holds a secret");
    }
    for name in ["", "7", "a b", "a:b"] {
        try_create(&gateway, name, &[]).await.failed(1);
    }
    for lifetime in ["0s", "3651d"] {
        try_create(&gateway, "a", &["--expires-in", lifetime]).await.failed(1);
    }
    for which in ["nobody", "99", "a:b"] {
        revoke(&gateway, which).await.failed(1);
    }
    assert_eq!(listed(&gateway, &[]).await.len(), 1);
}

/// Case session-revocation-005, for clients.
#[tokio::test]
async fn who_cannot_know_of_a_client_refuses_and_those_of_the_configuration_are_known() {
    let (_upstream, gateway) = started().await;
    let secret = create(&gateway, "reports", &[]).await;
    until_status(&gateway, "reports", &secret, 200).await;
    let _seized = seize(&gateway).await;
    until_status(&gateway, "reports", &secret, 503).await;
    assert_eq!(status(&gateway, "portal", SECRET).await, 200);
}
