//! A keyring, claims and session states for the tests of this module.

use std::sync::Arc;
use std::time::Duration;

use crate::session::UserStatus;
use guarita_core::jose::{Algorithm, Claims, Expectations, Keyring, SigningKey};
use guarita_core::{Roles, SessionId, Subject, Timestamp, UserId};

pub(super) fn now() -> Timestamp {
    Timestamp::from_seconds(1_800_000_000)
}

pub(super) fn session() -> SessionId {
    SessionId::parse("01932c07-7f0c-7d5e-8a00-0123456789ab").unwrap()
}

pub(super) fn keyring() -> Keyring {
    let text = SigningKey::generate(Algorithm::EdDsa).unwrap();
    Keyring::new(SigningKey::parse(Algorithm::EdDsa, &text).unwrap(), Vec::new()).unwrap()
}

pub(super) fn expectations() -> Expectations {
    Expectations {
        issuer: "ms-auth".into(),
        audiences: vec!["api".into()],
        leeway: Duration::from_secs(30),
        max_length: 16 * 1024,
    }
}

/// Alice, user 7, role `reader`, for ten minutes from now.
pub(super) fn claims() -> Claims {
    Claims {
        issuer: "ms-auth".into(),
        subject: Subject::parse("alice").unwrap(),
        user: Some(UserId::new(7)),
        audience: "api".into(),
        issued_at: now(),
        not_before: now(),
        expires_at: now().plus(Duration::from_secs(600)),
        token_id: "token-1".into(),
        session: session(),
        roles: Roles::parse(["reader"]).unwrap(),
        second_factor_at: None,
    }
}

/// The user as the store has them: role `admin` since `roles_changed_at`.
pub(super) fn user(id: i64, roles_changed_at: Timestamp) -> Arc<UserStatus> {
    Arc::new(UserStatus {
        user: UserId::new(id),
        roles: Roles::parse(["admin"]).unwrap(),
        roles_changed_at,
        second_factor_required: false,
    })
}
