//! Problem bodies (RFC 9457) and their header fields.

use std::fmt::Write as _;

use bytes::Bytes;
use http::HeaderValue;

use crate::Code;

/// The body of a problem response. It never contains a cause.
pub fn body(code: Code, request_id: &str) -> Bytes {
    let mut text = String::with_capacity(192);
    // Neither title nor code needs escaping, and a request id is well formed; writing to a String
    // cannot fail.
    let _ = write!(
        text,
        r#"{{"type":"about:blank","title":"{}","status":{},"code":"{}","requestId":"{}"}}"#,
        code.title(),
        code.status(),
        code.as_str(),
        request_id,
    );
    text.into()
}

/// `WWW-Authenticate` (RFC 6750 section 3), for codes that require a credential.
pub const fn challenge(code: Code, presented: bool) -> Option<HeaderValue> {
    match (code, presented) {
        (Code::Unauthorized, false) => Some(HeaderValue::from_static(r#"Bearer realm="guarita""#)),
        (Code::Unauthorized, true) => {
            Some(HeaderValue::from_static(r#"Bearer realm="guarita", error="invalid_token""#))
        }
        (Code::InvalidClient, _) => Some(HeaderValue::from_static(r#"Basic realm="guarita""#)),
        (Code::Forbidden, _) => {
            Some(HeaderValue::from_static(r#"Bearer realm="guarita", error="insufficient_scope""#))
        }
        (Code::SecondFactorRequired, _) => Some(HeaderValue::from_static(
            r#"Bearer realm="guarita", error="insufficient_user_authentication""#,
        )),
        // Every 401 says what would be taken (RFC 9110 section 15.5.2).
        (code, _) if code.status() == 401 => {
            Some(HeaderValue::from_static(r#"Bearer realm="guarita""#))
        }
        _ => None,
    }
}

/// `error` of a response to a client of `/oauth2` (RFC 6749 section 5.2).
#[expect(clippy::wildcard_enum_match_arm, reason = "what is left is a request that is not one")]
pub const fn client_error(code: Code) -> &'static str {
    match code {
        Code::InvalidClient => "invalid_client",
        Code::Forbidden => "unauthorized_client",
        Code::RateLimited | Code::Unavailable => "temporarily_unavailable",
        Code::Internal => "server_error",
        _ => "invalid_request",
    }
}

/// `Retry-After` in seconds, for temporary problems.
#[expect(clippy::wildcard_enum_match_arm, reason = "no other code passes by itself")]
pub const fn retry_after(code: Code) -> Option<&'static str> {
    match code {
        Code::Unavailable | Code::RateLimited => Some("1"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_json_with_code_and_request_id() {
        insta::assert_snapshot!(
            std::str::from_utf8(&body(Code::Unauthorized, "r-1")).unwrap(),
            @r#"{"type":"about:blank","title":"A valid credential is required","status":401,"code":"unauthorized","requestId":"r-1"}"#
        );
        for code in Code::ALL {
            let read: serde_json::Value = serde_json::from_slice(&body(*code, "r")).unwrap();
            assert_eq!(read["status"], code.status());
        }
    }
}
