//! Opaque tokens: the caller holds the secret, the store only its SHA-256.

use aws_lc_rs::digest::{SHA256, digest as hash};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// SHA-256 of the token in base64url without padding (contract section 6).
pub fn digest(token: &str) -> String {
    URL_SAFE_NO_PAD.encode(hash(&SHA256, token.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_the_sha_256_of_the_text_in_base64url() {
        // FIPS 180-2 appendix B.1.
        assert_eq!(digest("abc"), "ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0");
        assert_eq!(digest("").len(), 43);
    }
}
