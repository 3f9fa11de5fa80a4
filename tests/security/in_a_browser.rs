//! What people do with an account, in a real browser.

use serde_json::json;

use crate::harness::authenticator::with_factors;
use crate::harness::{Gateway, Setup, Upstream, chromium, password_of};

async fn gateway(upstream: &Upstream) -> Gateway {
    with_factors(Setup::standard(&upstream.url())).set("pages.name", "\"Pedidos\"").start().await
}

async fn journey(script: bool, name: &str) {
    let upstream = Upstream::start().await;
    let gateway = gateway(&upstream).await;
    let given = json!({
        "name": name,
        "username": "alice",
        "password": password_of("alice"),
        "script": script,
    });
    chromium::run(&gateway, "journey.mjs", &given).await;
    for request in upstream.requests() {
        assert_eq!(request.one("sub").as_deref(), Some("alice"));
        assert_eq!(request.one("x-auth-source").as_deref(), Some("session"));
    }
}

#[tokio::test]
async fn a_person_signs_in_enrols_and_sees_the_sessions() {
    journey(true, "journey").await;
}

#[tokio::test]
async fn all_of_it_works_without_scripts() {
    journey(false, "plain").await;
}
