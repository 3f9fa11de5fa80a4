//! Public keys as JWK (RFC 7517, RFC 8037) and their thumbprints (RFC 7638).

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::algorithm::SignatureAlgorithm;

/// The members of a JWK that define the key; base64url as required by RFC 7518.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Jwk {
    /// RFC 7518 section 6.3.1
    Rsa {
        /// Modulus.
        n: String,
        /// Exponent.
        e: String,
    },
    /// RFC 7518 section 6.2.1
    Ec {
        /// P-256 or P-384.
        curve: &'static str,
        /// Coordinate.
        x: String,
        /// Coordinate.
        y: String,
    },
    /// Ed25519, RFC 8037 section 2
    Ed {
        /// The key.
        x: String,
    },
}

impl Jwk {
    /// SHA-256 of the required members in lexicographic order (RFC 7638 section 3), in base64url.
    pub(super) fn thumbprint(&self) -> String {
        // The values are base64url: nothing to escape.
        let canonical = match self {
            Self::Rsa { n, e } => format!(r#"{{"e":"{e}","kty":"RSA","n":"{n}"}}"#),
            Self::Ec { curve, x, y } => {
                format!(r#"{{"crv":"{curve}","kty":"EC","x":"{x}","y":"{y}"}}"#)
            }
            Self::Ed { x } => format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#),
        };
        URL_SAFE_NO_PAD.encode(digest(&SHA256, canonical.as_bytes()))
    }

    /// One entry of a JWK Set.
    pub(super) fn to_json(&self, id: &str, algorithm: SignatureAlgorithm) -> Value {
        let algorithm = algorithm.as_str();
        match self {
            Self::Rsa { n, e } => {
                json!({"kty": "RSA", "n": n, "e": e, "kid": id, "alg": algorithm, "use": "sig"})
            }
            Self::Ec { curve, x, y } => json!({
                "kty": "EC", "crv": curve, "x": x, "y": y, "kid": id, "alg": algorithm, "use": "sig"
            }),
            Self::Ed { x } => json!({
                "kty": "OKP", "crv": "Ed25519", "x": x, "kid": id, "alg": algorithm, "use": "sig"
            }),
        }
    }
}

/// The id of an HMAC secret: 128 bits of a hash of a hash, with domain separation, so that it can be published
/// without revealing anything about the secret.
pub(super) fn secret_id(secret: &[u8]) -> String {
    let mut inner = b"guarita HS256 secret\0".to_vec();
    inner.extend_from_slice(secret);
    let inner = zeroize::Zeroizing::new(inner);
    let mut outer = b"guarita HS256 key id\0".to_vec();
    outer.extend_from_slice(digest(&SHA256, &inner).as_ref());
    let hash = digest(&SHA256, &outer);
    URL_SAFE_NO_PAD.encode(hash.as_ref().get(..16).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thumbprints_are_those_of_the_rfcs() {
        // RFC 7638 section 3.1.
        let rsa = Jwk::Rsa {
            n: "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw".into(),
            e: "AQAB".into(),
        };
        assert_eq!(rsa.thumbprint(), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
        // RFC 8037 appendix A.3.
        let ed = Jwk::Ed { x: "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo".into() };
        assert_eq!(ed.thumbprint(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    }

    #[test]
    fn a_secrets_id_is_no_plain_hash_of_it() {
        let secret = b"0123456789abcdef0123456789abcdef";
        let plain = URL_SAFE_NO_PAD.encode(digest(&SHA256, secret));
        let id = secret_id(secret);
        assert_eq!(id.len(), 22);
        assert!(!plain.starts_with(&id));
        assert_ne!(id, secret_id(b"0123456789abcdef0123456789abcdeg"));
    }
}
