//! `x-request-id`: the caller's if well formed, else a fresh one.

/// Longest request id taken from a caller, in bytes.
pub const MAX_LENGTH: usize = 128;

/// Whether a caller's request id may be taken over: 1 to 128 bytes of `A-Z a-z 0-9 - _ .`.
pub fn is_well_formed(value: &[u8]) -> bool {
    (1..=MAX_LENGTH).contains(&value.len())
        && value
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::is_well_formed;

    #[test]
    fn an_id_cannot_carry_anything_else() {
        assert!(is_well_formed(b"01932c07-7f0c_7d5e.x"));
        for id in [&b""[..], b"a b", b"a\"b", b"a\nb", b"\xff", &[b'a'; 129]] {
            assert!(!is_well_formed(id));
        }
    }
}
