//! The wire format of Guarita's access tokens.

use jsonwebtoken::Header;
use serde::Serialize;

use super::{Claims, KeyFault, SigningKey};
use crate::Secret;

/// The payload. `app_roles` is always present, even if empty.
#[derive(Serialize)]
struct Payload<'a> {
    iss: &'a str,
    sub: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    uid: Option<i64>,
    aud: &'a str,
    iat: i64,
    nbf: i64,
    exp: i64,
    jti: &'a str,
    sid: String,
    app_roles: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    amr: Option<[&'a str; 3]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    auth_time: Option<i64>,
}

/// Signs the claims. `typ` is `JWT`, which every consumer accepts, and not the `at+jwt` of RFC 9068;
/// [`super::Keyring::verify`] accepts both.
pub(super) fn sign(key: &SigningKey, claims: &Claims) -> Result<Secret, KeyFault> {
    let mut header = Header::new(key.algorithm().jose());
    header.kid = Some(key.id().into());
    let payload = Payload {
        iss: &claims.issuer,
        sub: claims.subject.as_str(),
        uid: claims.user.map(crate::UserId::get),
        aud: &claims.audience,
        iat: claims.issued_at.seconds(),
        nbf: claims.not_before.seconds(),
        exp: claims.expires_at.seconds(),
        jti: &claims.token_id,
        sid: claims.session.to_string(),
        app_roles: claims.roles.iter().collect(),
        amr: claims.second_factor_at.map(|_| ["pwd", "otp", "mfa"]),
        auth_time: claims.second_factor_at.map(crate::Timestamp::seconds),
    };
    jsonwebtoken::encode(&header, &payload, &key.encoding)
        .map(Secret::new)
        .map_err(|_| KeyFault::Cryptography)
}
