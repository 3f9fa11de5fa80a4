//! Methods that may go on.

use super::malformed::Malformed;

/// Longest method, in octets.
pub(super) const MAX_METHOD: usize = 32;

/// Registered methods are upper case, and methods are compared exactly: `get` would match no route
/// that says `GET`, and be `GET` to a lenient upstream. CONNECT opens a tunnel, TRACE and TRACK answer with the
/// credentials of the request, and PRI begins HTTP/2: none of them goes on.
pub(super) fn check(method: &[u8]) -> Result<(), Malformed> {
    let is_letter = |octet: &u8| matches!(octet, b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_');
    if method.is_empty() || method.len() > MAX_METHOD || !method.iter().all(is_letter) {
        return Err(Malformed::Method);
    }
    if matches!(method, b"CONNECT" | b"TRACE" | b"TRACK" | b"PRI") {
        return Err(Malformed::MethodNotForwarded);
    }
    Ok(())
}
