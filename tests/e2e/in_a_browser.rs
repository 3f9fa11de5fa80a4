//! What people do with an account, in a real browser.

use serde_json::json;

use crate::harness::authenticator::with_factors;
use crate::harness::{Answer, Setup, Upstream, chromium, password_of};
use crate::recovery::{ANA, CHANGED, NEW, PROOF, RESET, Stage};

async fn stage() -> Stage {
    Stage::with(|setup| {
        let setup = with_factors(setup).set("pages.name", "\"Pedidos\"");
        setup
            .set("rate_limits.mfa.per_source", "\"off\"")
            .set("rate_limits.mfa.per_account", "\"off\"")
    })
    .await
}

/// The link in the first mail of a kind.
async fn link(stage: &Stage, kind: &str) -> String {
    let subject = match kind {
        "reset" => RESET,
        "verification" => PROOF,
        other => panic!("no mail is called {other}"),
    };
    stage.mailbox.first(subject, ANA).await.link().to_owned()
}

async fn journey(script: bool, name: &str) {
    let stage = stage().await;
    let given = json!({
        "name": name,
        "username": "ana",
        "email": ANA,
        "password": password_of("ana"),
        "next": NEW,
        "script": script,
    });
    chromium::run(&stage.gateway, "journey.mjs", &given, async |kind| link(&stage, kind).await)
        .await;
    for request in stage.upstream.requests() {
        assert_eq!(request.one("sub").as_deref(), Some("ana"));
        assert_eq!(request.one("x-auth-source").as_deref(), Some("session"));
    }
    stage.mailbox.first(CHANGED, ANA).await;
}

#[tokio::test]
async fn a_person_signs_in_enrols_recovers_and_finds_all_sessions_gone() {
    journey(true, "journey").await;
}

#[tokio::test]
async fn all_of_it_works_without_scripts() {
    journey(false, "plain").await;
}

/// A page opens WebSockets by a ticket and by its cookie, and hears why they end.
#[tokio::test]
async fn a_page_hears_that_its_session_ended() {
    let upstream = Upstream::answering(|request| match request.target().as_str() {
        "/api/ws" => Answer::WebSocket,
        _ => {
            let html = ("content-type".to_owned(), "text/html".to_owned());
            Answer::Reply(200, vec![html], b"<!doctype html><title>A page</title>".to_vec())
        }
    })
    .await;
    let gateway = Setup::standard(&upstream.url()).start().await;
    let given = json!({ "username": "alice", "password": password_of("alice") });
    chromium::run(&gateway, "websockets.mjs", &given, async |_| String::new()).await;
    let sockets = upstream.requests().into_iter().filter(|it| it.target() == "/api/ws");
    assert!(sockets.clone().all(|it| it.one("x-auth-source").as_deref() == Some("session")));
    assert_eq!(sockets.count(), 2);
}

/// Every page in one language, in these colour schemes: what they are made of knows no language.
async fn look(locale: &str, schemes: &[&str]) {
    let stage = stage().await;
    let given = json!({
        "username": "ana",
        "email": ANA,
        "password": password_of("ana"),
        "locale": locale,
        "schemes": schemes,
    });
    chromium::run(&stage.gateway, "pages.mjs", &given, async |kind| link(&stage, kind).await).await;
}

#[tokio::test]
async fn axe_finds_nothing_on_any_page_in_portuguese() {
    look("pt-BR", &["light"]).await;
}

#[tokio::test]
async fn axe_finds_nothing_on_any_page_in_spanish() {
    look("es-ES", &["dark"]).await;
}

#[tokio::test]
async fn axe_finds_nothing_on_any_page_in_english() {
    look("en-US", &["light", "dark"]).await;
}
