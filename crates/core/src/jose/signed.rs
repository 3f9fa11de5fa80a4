//! A token before its claims are verified: size, three segments, header, and then the payload, if the signature
//! is valid.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::header::Header;
use super::object::{self, Members};
use super::{Invalid, VerifyingKey};

/// A token whose header was read.
pub(super) struct Signed<'a> {
    pub(super) header: Header,
    segments: Segments<'a>,
}

impl<'a> Signed<'a> {
    /// Checks size, format and header, in this order.
    pub(super) fn parse(token: &'a str, max_length: usize) -> Result<Self, Invalid> {
        if token.len() > max_length {
            return Err(Invalid::TooLong);
        }
        let segments = Segments::split(token)?;
        Ok(Self { header: Header::parse(segments.header)?, segments })
    }

    /// The payload, if the signature is valid for the key; unsigned claims are never read.
    pub(super) fn payload(&self, key: &VerifyingKey) -> Result<Members, Invalid> {
        if !key.verify(self.segments.message.as_bytes(), self.segments.signature) {
            return Err(Invalid::Signature);
        }
        self.unproven_payload()
    }

    /// The unverified payload, only to select the issuer that verifies it.
    pub(super) fn unproven_payload(&self) -> Result<Members, Invalid> {
        let payload =
            URL_SAFE_NO_PAD.decode(self.segments.payload).map_err(|_| Invalid::Segments)?;
        object::parse(&payload, Invalid::Payload)
    }
}

/// The parts of a compact serialization (RFC 7515 section 7.1).
struct Segments<'a> {
    header: &'a str,
    payload: &'a str,
    signature: &'a str,
    /// The signed part: header, dot and payload.
    message: &'a str,
}

impl<'a> Segments<'a> {
    fn split(token: &'a str) -> Result<Self, Invalid> {
        let clean = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        if !token.bytes().all(clean) {
            return Err(Invalid::Segments);
        }
        let (message, signature) = token.rsplit_once('.').ok_or(Invalid::Segments)?;
        let (header, payload) = message.split_once('.').ok_or(Invalid::Segments)?;
        let empty = header.is_empty() || payload.is_empty() || signature.is_empty();
        if empty || payload.contains('.') {
            return Err(Invalid::Segments);
        }
        Ok(Self { header, payload, signature, message })
    }
}
