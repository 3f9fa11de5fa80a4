//! Class jwks-dos: what it may cost to look at a token or at a key. Cases jwks-dos-001, -002, -003 and
//! -008 are in `providers`, jwks-dos-007 beside the sets of keys.

use std::sync::Arc;

use serde_json::json;
use tokio::task::JoinSet;

use super::Stage;
use crate::harness::provider::{Key, Provider};
use crate::harness::tokens::encode;
use crate::harness::{Persona, Request};

/// Tokens are judged while their keys, and the configuration beside them, change all the time.
#[tokio::test]
async fn jwks_dos_004_keys_and_configuration_change_under_tokens_in_flight() {
    // Of one name, so that only the issuer tells them apart.
    let keys = [Key::new("k"), Key::new("k")];
    let one = Provider::start(&[&keys[0]]).await;
    let other = Provider::start(&[&keys[1]]).await;
    let quick = "keys_refresh = \"1s\"\nkeys_cooldown = \"100ms\"";
    let tables = (one.table(quick), other.table(quick).replace("\"idp\"", "\"other\""));
    let mut stage = Stage::with(|setup| setup.table(&tables.0).table(&tables.1)).await;
    let tokens = [keys[0].sign(&one.claims("ada")), keys[1].sign(&other.claims("bob"))];
    // Signed by the other's key.
    let forged = [keys[1].sign(&one.claims("eve")), keys[0].sign(&other.claims("eve"))];
    let callers: Vec<Persona> =
        tokens.iter().chain(&forged).map(|token| stage.anonymous().with_token(token)).collect();
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let mut asking = JoinSet::new();
    for (position, caller) in callers.into_iter().enumerate() {
        let stopped = stopped.clone();
        asking.spawn(async move {
            let expected = if position < 2 { 200 } else { 401 };
            let mut asked = 0;
            while !*stopped.borrow() || asked < 20 {
                assert_eq!(caller.get("/api/x").await.status, expected, "{position}");
                asked += 1;
            }
        });
    }
    let spare = Arc::new(Key::new("spare"));
    for round in 0..6 {
        one.publish(&[&keys[0], &spare]);
        other.publish(&[&keys[1]]);
        let setup = stage.gateway.setup().set("limits.header_count", &(90 + round).to_string());
        assert!(stage.gateway.reload(setup).await);
        one.publish(&[&keys[0]]);
    }
    stop.send(true).unwrap();
    asking.join_all().await;
}

#[tokio::test]
async fn jwks_dos_005_a_token_is_bounded_before_anything_looks_at_it() {
    let stage = Stage::new().await;
    for token in [".".repeat(8_193), ".".repeat(30_000), format!("{}.a.b", "h".repeat(20_000))] {
        stage.refuses_token("many dots", &token).await;
    }
    let long = "x".repeat(64 << 10);
    let request = Request::get("/api/x").bearer(&long);
    let answer = stage.anonymous().send(request).await;
    assert_eq!(answer.status, 431);
    stage.assert_nothing_forwarded("64 KiB of a token");
}

#[tokio::test]
async fn jwks_dos_006_nothing_is_derived_or_inflated() {
    let stage = Stage::new().await;
    let part = encode("x".repeat(16));
    for header in [
        json!({"alg": "PBES2-HS256+A128KW", "enc": "A128GCM", "p2c": 2_147_483_647, "p2s": part}),
        json!({"alg": "dir", "enc": "A256GCM", "zip": "DEF"}),
        json!({"alg": "RSA-OAEP", "enc": "A256GCM"}),
        json!({"alg": "RS256", "zip": "DEF"}),
    ] {
        let header = encode(header.to_string());
        // Five parts of an encrypted token, and three of a signed one.
        let encrypted = format!("{header}.{part}.{part}.{part}.{part}");
        stage.refuses_token("an encrypted token", &encrypted).await;
        stage.refuses_token("its header", &format!("{header}.{part}.{part}")).await;
    }
}
