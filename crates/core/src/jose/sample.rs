//! Keys and tokens for the tests of this module; forged ones are built byte by byte.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::{Algorithm, Claims, Expectations, Keyring, SigningKey};
use crate::{Roles, Secret, SessionId, Subject, Timestamp, UserId};

pub(super) const NOW: i64 = 1_800_000_000;
pub(super) const SESSION: &str = "01932c07-7f0c-7d5e-8a00-0123456789ab";

pub(super) fn now() -> Timestamp {
    Timestamp::from_seconds(NOW)
}

pub(super) fn expectations() -> Expectations {
    Expectations {
        issuer: "https://idp.test".into(),
        audiences: vec!["api".into()],
        leeway: Duration::from_secs(30),
        max_length: 16 * 1024,
    }
}

pub(super) fn claims() -> Claims {
    Claims {
        issuer: "https://idp.test".into(),
        subject: Subject::parse("alice").unwrap(),
        user: Some(UserId::new(7)),
        audience: "api".into(),
        issued_at: now(),
        not_before: now(),
        expires_at: now().plus(Duration::from_secs(600)),
        token_id: "token-1".into(),
        session: SessionId::parse(SESSION).unwrap(),
        roles: Roles::parse(["user"]).unwrap(),
        second_factor_at: None,
    }
}

/// The payload of [`claims`] as JSON, to be bent.
pub(super) fn payload() -> Value {
    json!({
        "iss": "https://idp.test", "sub": "alice", "uid": 7, "aud": "api", "iat": NOW, "nbf": NOW,
        "exp": NOW + 600, "jti": "token-1", "sid": SESSION, "app_roles": ["user"],
    })
}

pub(super) fn signing_key(algorithm: Algorithm) -> SigningKey {
    SigningKey::parse(algorithm, &SigningKey::generate(algorithm).unwrap()).unwrap()
}

/// A keyring of one fresh key, and the key once more for forging.
pub(super) fn keyring(algorithm: Algorithm) -> (Keyring, SigningKey) {
    let text = SigningKey::generate(algorithm).unwrap();
    let signing = SigningKey::parse(algorithm, &text).unwrap();
    let again = SigningKey::parse(algorithm, &text).unwrap();
    (Keyring::new(signing, Vec::new()).unwrap(), again)
}

/// A signature with the key, whatever the header says.
pub(super) fn sign(key: &SigningKey, header: &str, payload: &str) -> String {
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
    let algorithm = key.algorithm().jose();
    let signature =
        jsonwebtoken::crypto::sign(message.as_bytes(), &key.encoding, algorithm).unwrap();
    format!("{message}.{signature}")
}

/// HMAC-SHA-256 with any bytes as the key.
pub(super) fn sign_hmac(secret: &[u8], header: &str, payload: &str) -> String {
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, secret);
    let signature = aws_lc_rs::hmac::sign(&key, message.as_bytes());
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// A well-formed header for the key.
pub(super) fn header(key: &SigningKey) -> Value {
    json!({"alg": key.algorithm().as_str(), "kid": key.id(), "typ": "JWT"})
}

pub(super) fn secret(text: &str) -> Secret {
    Secret::new(text)
}
