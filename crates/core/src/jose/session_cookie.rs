//! The values that a browser holds: the session cookie and the CSRF token.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::opaque;
use crate::{Secret, SessionId};

/// Length of a secret of 256 bits in base64url, in bytes.
const SECRET_LENGTH: usize = 43;
/// Length of a session id as text, in bytes.
const ID_LENGTH: usize = 36;

/// The value of the session cookie: the session's id, a dot, a secret of 256 bits.
pub fn session_cookie(session: SessionId, secret: &Secret) -> Secret {
    Secret::new(format!("{session}.{}", secret.expose()))
}

/// The session id in a cookie; [`None`] if it is malformed. The secret is checked by [`digest_matches`] only.
pub fn session_of(cookie: &str) -> Option<SessionId> {
    let (id, secret) = cookie.split_at_checked(ID_LENGTH)?;
    let secret = secret.strip_prefix('.')?;
    if is_secret(secret) { SessionId::parse(id) } else { None }
}

/// Whether the stored digest is that of this cookie, compared in constant time.
pub fn digest_matches(cookie: &str, stored: &str) -> bool {
    let digest = opaque::digest(cookie);
    subtle::ConstantTimeEq::ct_eq(digest.as_bytes(), stored.as_bytes()).into()
}

/// Whether a text has the format of a generated secret: 43 characters of base64url.
pub fn is_secret(text: &str) -> bool {
    text.len() == SECRET_LENGTH
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

/// The CSRF token: HMAC-SHA-256 of the session cookie with the seed, which the browser keeps in another cookie, as
/// the key. Other sites can read neither, so they cannot compute it; an injected seed does not help without the
/// session. Without a session, the cookie is taken as empty.
pub fn csrf_token(seed: &str, session_cookie: &str) -> Secret {
    let key = hmac::Key::new(hmac::HMAC_SHA256, seed.as_bytes());
    Secret::new(URL_SAFE_NO_PAD.encode(hmac::sign(&key, session_cookie.as_bytes())))
}

/// Whether a token is that of this seed and session, compared in constant time.
pub fn csrf_matches(token: &str, seed: &str, session_cookie: &str) -> bool {
    let expected = csrf_token(seed, session_cookie);
    is_secret(seed)
        && bool::from(subtle::ConstantTimeEq::ct_eq(expected.expose().as_bytes(), token.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "01932c07-7f0c-7d5e-8a00-0123456789ab";

    #[test]
    fn a_cookie_names_its_session_and_nothing_else_does() {
        let secret = "A".repeat(SECRET_LENGTH);
        let session = SessionId::parse(ID).unwrap();
        let cookie = session_cookie(session, &Secret::new(secret.as_str()));
        assert_eq!(session_of(cookie.expose()), Some(session));
        for cookie in [
            String::new(),
            ID.to_owned(),
            format!("{ID}."),
            format!("{ID}.{secret}A"),
            format!("{ID}.{}", &secret[1..]),
            format!("{ID}-{secret}"),
            format!("{}.{secret}", ID.to_uppercase()),
            format!("{ID}.{}=", &secret[1..]),
            format!("é{}.{secret}", &ID[2..]),
        ] {
            assert_eq!(session_of(&cookie), None, "{cookie:?}");
        }
    }

    #[test]
    fn only_the_whole_cookie_has_the_digest() {
        let digest = opaque::digest("cookie");
        assert!(digest_matches("cookie", &digest));
        for (cookie, stored) in [("cookiE", &*digest), ("cookie", &digest[1..]), ("cookie", "")] {
            assert!(!digest_matches(cookie, stored));
        }
    }

    #[test]
    fn an_anti_forgery_token_hangs_on_seed_and_session() {
        let (seed, other) = ("s".repeat(SECRET_LENGTH), "t".repeat(SECRET_LENGTH));
        let token = csrf_token(&seed, "session");
        assert!(csrf_matches(token.expose(), &seed, "session"));
        assert!(!csrf_matches(token.expose(), &other, "session"));
        assert!(!csrf_matches(token.expose(), &seed, "other"));
        assert!(!csrf_matches(token.expose(), &seed, ""));
        assert!(!csrf_matches("", &seed, "session"));
        // A seed that is not of our making proves nothing, whatever it is the key of.
        assert!(!csrf_matches(csrf_token("", "session").expose(), "", "session"));
    }
}
