//! Methods that are forwarded.

use super::error::HeadError;

/// Maximum length of a method, in bytes.
pub(super) const MAX_METHOD: usize = 32;

/// Registered methods are upper case, and methods are compared exactly: `get` would not match a route
/// with `GET`, but would be `GET` to a lenient upstream. CONNECT opens a tunnel, TRACE and TRACK reflect the
/// credentials of the request, and PRI begins HTTP/2: none of them is forwarded.
pub(super) fn check(method: &[u8]) -> Result<(), HeadError> {
    let is_letter = |octet: &u8| matches!(octet, b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_');
    if method.is_empty() || method.len() > MAX_METHOD || !method.iter().all(is_letter) {
        return Err(HeadError::Method);
    }
    if matches!(method, b"CONNECT" | b"TRACE" | b"TRACK" | b"PRI") {
        return Err(HeadError::MethodNotForwarded);
    }
    Ok(())
}
