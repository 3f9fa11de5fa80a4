//! Opaque tokens: the client holds the secret, the database only its SHA-256.

use aws_lc_rs::digest::{SHA256, digest as hash};
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::Secret;

/// SHA-256 of the token in base64url without padding.
pub fn digest(token: &str) -> String {
    URL_SAFE_NO_PAD.encode(hash(&SHA256, token.as_bytes()))
}

/// The successor of `token`: HMAC-SHA-256 of the seed with the token as the key, in base64url without padding. It
/// takes both to compute it: the holder does not have the seed, and the database does not have the token.
pub fn successor(token: &str, seed: &str) -> Secret {
    let key = hmac::Key::new(hmac::HMAC_SHA256, token.as_bytes());
    Secret::new(URL_SAFE_NO_PAD.encode(hmac::sign(&key, seed.as_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_successor_hangs_on_token_and_seed() {
        let of = |token, seed| successor(token, seed).expose().to_owned();
        // RFC 4231 section 4.3.
        assert_eq!(
            of("Jefe", "what do ya want for nothing?"),
            "W9zBRr9gdU5qBCQmCJV1x1oAPwidJzmDnexYuWTsOEM"
        );
        assert_eq!(of("token", "seed").len(), 43);
        assert_ne!(of("token", "seed"), of("token", "other"));
        assert_ne!(of("token", "seed"), of("other", "seed"));
    }

    #[test]
    fn a_digest_is_the_sha_256_of_the_text_in_base64url() {
        // FIPS 180-2 appendix B.1.
        assert_eq!(digest("abc"), "ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0");
        assert_eq!(digest("").len(), 43);
    }
}
