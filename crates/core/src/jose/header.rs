//! The header of a token (RFC 7515 section 4): it can select one of the known keys, and nothing else.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use super::algorithm::SignatureAlgorithm;
use super::{Invalid, object};

/// Maximum length of the header, in bytes of base64url.
const MAX_LENGTH: usize = 2048;
/// Maximum length of `kid`, in bytes.
const MAX_KEY_ID_LENGTH: usize = 256;

/// Rejected parameters, which select keys or change the interpretation of the token. Guarita uses configured keys
/// and one serialization only (RFC 8725 section 3.10, RFC 7797, RFC 7516).
const REFUSED: [&str; 11] =
    ["crit", "jku", "jwk", "x5u", "x5c", "b64", "zip", "enc", "cty", "epk", "p2c"];

/// The relevant header parameters.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// `alg`
    pub(super) algorithm: SignatureAlgorithm,
    /// `kid`
    pub(super) key_id: Option<String>,
    /// `typ`
    pub(super) kind: HeaderKind,
}

/// The kind of token according to `typ`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HeaderKind {
    /// An access token (RFC 9068 section 2.1).
    AccessToken,
    /// `JWT`, or no `typ`.
    Jwt,
}

impl Header {
    /// Parses the first segment of a token.
    pub(super) fn parse(segment: &str) -> Result<Self, Invalid> {
        if segment.len() > MAX_LENGTH {
            return Err(Invalid::Header);
        }
        let bytes = URL_SAFE_NO_PAD.decode(segment).map_err(|_| Invalid::Segments)?;
        let mut members = object::parse(&bytes, Invalid::Header)?;
        if REFUSED.iter().any(|name| members.contains_key(*name)) {
            return Err(Invalid::Parameter);
        }
        let kind = kind(members.get("typ"))?;
        let algorithm =
            members.get("alg").and_then(Value::as_str).and_then(SignatureAlgorithm::parse);
        Ok(Self {
            algorithm: algorithm.ok_or(Invalid::Algorithm)?,
            key_id: key_id(members.remove("kid"))?,
            kind,
        })
    }
}

/// Parses `typ`: absent, `JWT`, or that of RFC 9068 section 2.1, ignoring case.
fn kind(value: Option<&Value>) -> Result<HeaderKind, Invalid> {
    let Some(value) = value else { return Ok(HeaderKind::Jwt) };
    let name = value.as_str().ok_or(Invalid::Type)?.to_ascii_lowercase();
    match name.as_str() {
        "jwt" => Ok(HeaderKind::Jwt),
        "at+jwt" | "application/at+jwt" => Ok(HeaderKind::AccessToken),
        _ => Err(Invalid::Type),
    }
}

fn key_id(value: Option<Value>) -> Result<Option<String>, Invalid> {
    let Some(value) = value else { return Ok(None) };
    let Value::String(id) = value else { return Err(Invalid::Header) };
    if id.len() > MAX_KEY_ID_LENGTH {
        return Err(Invalid::Header);
    }
    Ok(Some(id))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Header, Invalid> {
        Header::parse(&URL_SAFE_NO_PAD.encode(json))
    }

    #[test]
    fn a_plain_header_is_read() {
        let header = read(r#"{"alg":"ES256","kid":"a","typ":"jWt","x5t":"ignored"}"#).unwrap();
        assert_eq!(
            header,
            Header {
                algorithm: SignatureAlgorithm::Es256,
                key_id: Some("a".into()),
                kind: HeaderKind::Jwt
            }
        );
        assert_eq!(read(r#"{"alg":"EdDSA"}"#).unwrap().key_id, None);
    }

    #[test]
    fn types_of_other_tokens_are_refused() {
        for accepted in ["JWT", "jwt", "at+jwt", "AT+JWT", "application/at+jwt"] {
            assert!(read(&format!(r#"{{"alg":"RS256","typ":"{accepted}"}}"#)).is_ok());
        }
        for refused in
            [r#""logout+jwt""#, r#""id""#, r#""""#, "null", "1", r#"["JWT"]"#, r#""JWT ""#]
        {
            let json = format!(r#"{{"alg":"RS256","typ":{refused}}}"#);
            assert_eq!(read(&json), Err(Invalid::Type), "{refused}");
        }
    }

    #[test]
    fn a_header_and_its_key_id_are_bounded() {
        let with_key_id =
            |length: usize| format!(r#"{{"alg":"RS256","kid":"{}"}}"#, "k".repeat(length));
        assert!(read(&with_key_id(MAX_KEY_ID_LENGTH)).is_ok());
        assert_eq!(read(&with_key_id(MAX_KEY_ID_LENGTH + 1)), Err(Invalid::Header));
        let padded = format!(r#"{{"alg":"RS256","x":"{}"}}"#, "x".repeat(1600));
        assert_eq!(read(&padded), Err(Invalid::Header));
    }
}
