//! `x-request-id`: the client's if it is well formed, else a new one.

use http::{HeaderMap, HeaderName, HeaderValue};

/// The header's name.
pub const HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// Longest request id accepted from a client, in bytes.
pub const MAX_LENGTH: usize = 128;

/// Whether a client's request id is accepted: 1 to 128 bytes of `A-Z a-z 0-9 - _ .`.
pub fn is_well_formed(value: &[u8]) -> bool {
    let fits = |octet: &u8| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_' | b'.');
    (1..=MAX_LENGTH).contains(&value.len()) && value.iter().all(fits)
}

/// The client's request id, if there is exactly one field and it is well formed. Read it before headers
/// are stripped, and write it or a new one afterwards.
pub fn find(headers: &HeaderMap) -> Option<&HeaderValue> {
    let mut fields = headers.get_all(HEADER).iter();
    let field = fields.next()?;
    (fields.next().is_none() && is_well_formed(field.as_bytes())).then_some(field)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_that_could_break_a_log_is_not_taken() {
        assert!(is_well_formed(b"01932c07-7f0c-7d5e-8a00-0123456789ab"));
        assert!(is_well_formed(b"A_b.9"));
        assert!(is_well_formed(&[b'a'; MAX_LENGTH]));
        assert!(!is_well_formed(&[b'a'; MAX_LENGTH + 1]));
        for value in ["", " ", "a b", "a,b", "a\tb", "a\"b", "{}", "é", "a\nb", "$(x)", "a/b"] {
            assert!(!is_well_formed(value.as_bytes()), "{value:?}");
        }
    }

    #[test]
    fn two_ids_are_none() {
        let mut headers = HeaderMap::new();
        assert_eq!(find(&headers), None);
        headers.append(HEADER, HeaderValue::from_static("a"));
        assert_eq!(find(&headers), Some(&HeaderValue::from_static("a")));
        headers.append(HEADER, HeaderValue::from_static("a"));
        assert_eq!(find(&headers), None);
    }
}
