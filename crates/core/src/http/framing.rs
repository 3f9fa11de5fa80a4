//! Header fields that determine the framing of a message and the connection.

use http::{HeaderMap, HeaderName, Version, header};

use super::authority::Authority;
use super::bytes;
use super::error::HeadError;

/// Maximum number of options in all `Connection` fields of a request.
const MAX_CONNECTION_OPTIONS: usize = 9;

/// End-to-end fields that `Connection` must not name (RFC 9110 section 7.6.1): naming them would make an
/// intermediary drop what the next one needs.
const NOT_OPTIONS: [&str; 11] = [
    "authorization",
    "cache-control",
    "content-encoding",
    "content-length",
    "content-type",
    "cookie",
    "host",
    "transfer-encoding",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
];

/// The framing of the body (RFC 9112 section 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// No body.
    None,
    /// `Content-Length`, in bytes.
    Length(u64),
    /// Chunked.
    Chunked,
}

/// The framing fields of an HTTP/1 head.
#[derive(Debug, Default)]
pub(super) struct Fields {
    host: bool,
    length: Option<u64>,
    pub(super) chunked: bool,
    pub(super) expects_continue: bool,
    pub(super) close: bool,
    pub(super) keep_alive: bool,
    options: usize,
    upgrade_option: bool,
    upgrades: usize,
    websocket: bool,
}

impl Fields {
    /// Evaluates one field; `value` is trimmed.
    pub(super) fn take(&mut self, name: &[u8], value: &[u8]) -> Result<(), HeadError> {
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"host") => self.take_host(value),
            6 if name.eq_ignore_ascii_case(b"expect") => self.take_expectation(value),
            7 if name.eq_ignore_ascii_case(b"upgrade") => {
                self.upgrades += 1;
                self.websocket = value.eq_ignore_ascii_case(b"websocket");
                Ok(())
            }
            10 if name.eq_ignore_ascii_case(b"connection") => self.take_connection(value),
            14 if name.eq_ignore_ascii_case(b"content-length") => self.take_length(value),
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => self.take_coding(value),
            _ => Ok(()),
        }
    }

    /// The framing of the body.
    pub(super) fn framing(&self) -> Result<Framing, HeadError> {
        match (self.chunked, self.length) {
            (true, Some(_)) => Err(HeadError::TwoFramings),
            (true, None) => Ok(Framing::Chunked),
            (false, Some(length)) => Ok(Framing::Length(length)),
            (false, None) => Ok(Framing::None),
        }
    }

    /// Whether there is exactly one `Upgrade: websocket`, and `Connection` has `upgrade`.
    pub(super) const fn asks_for_websocket(&self) -> bool {
        self.upgrade_option && self.upgrades == 1 && self.websocket
    }

    /// Whether there was a `Host`; [`Self::take`] rejects a second one.
    pub(super) const fn has_host(&self) -> bool {
        self.host
    }

    fn take_host(&mut self, value: &[u8]) -> Result<(), HeadError> {
        if self.host || Authority::parse(value).is_none() {
            return Err(HeadError::Host);
        }
        self.host = true;
        Ok(())
    }

    fn take_expectation(&mut self, value: &[u8]) -> Result<(), HeadError> {
        if self.expects_continue || !value.eq_ignore_ascii_case(b"100-continue") {
            return Err(HeadError::Expectation);
        }
        self.expects_continue = true;
        Ok(())
    }

    fn take_length(&mut self, value: &[u8]) -> Result<(), HeadError> {
        if self.length.is_some() {
            return Err(HeadError::ContentLength);
        }
        self.length = Some(parse_length(value).ok_or(HeadError::ContentLength)?);
        Ok(())
    }

    fn take_coding(&mut self, value: &[u8]) -> Result<(), HeadError> {
        if self.chunked || !value.eq_ignore_ascii_case(b"chunked") {
            return Err(HeadError::TransferEncoding);
        }
        self.chunked = true;
        Ok(())
    }

    fn take_connection(&mut self, value: &[u8]) -> Result<(), HeadError> {
        for option in value.split(|octet| *octet == b',').map(bytes::trim) {
            if option.is_empty() {
                continue;
            }
            self.options += 1;
            if self.options > MAX_CONNECTION_OPTIONS || !bytes::are_token(option) {
                return Err(HeadError::Connection);
            }
            if option.eq_ignore_ascii_case(b"close") {
                self.close = true;
            } else if option.eq_ignore_ascii_case(b"keep-alive") {
                self.keep_alive = true;
            } else if option.eq_ignore_ascii_case(b"upgrade") {
                self.upgrade_option = true;
            } else if NOT_OPTIONS.iter().any(|name| option.eq_ignore_ascii_case(name.as_bytes())) {
                return Err(HeadError::Connection);
            }
        }
        Ok(())
    }
}

/// Checks the decoded fields of an HTTP/2 request: no connection-specific field (RFC 9113 section
/// 8.2.2), at most one well-formed `Content-Length`, no expectation but `100-continue`. `Host` is compared
/// with `:authority` in [`super::CanonicalRequest`]. HTTP/1 requests pass: they were checked by
/// [`super::head::inspect`].
pub fn inspect_fields(headers: &HeaderMap, version: Version) -> Result<(), HeadError> {
    const FORBIDDEN: [HeaderName; 6] = [
        header::CONNECTION,
        header::TRANSFER_ENCODING,
        header::UPGRADE,
        HeaderName::from_static("keep-alive"),
        HeaderName::from_static("proxy-connection"),
        HeaderName::from_static("http2-settings"),
    ];
    if version < Version::HTTP_2 {
        return Ok(());
    }
    if FORBIDDEN.iter().any(|name| headers.contains_key(name)) {
        return Err(HeadError::ConnectionSpecific);
    }
    if headers.get_all(header::TE).iter().any(|value| value != "trailers") {
        return Err(HeadError::ConnectionSpecific);
    }
    let mut fields = Fields::default();
    for name in [header::CONTENT_LENGTH, header::EXPECT, header::HOST] {
        for value in headers.get_all(&name) {
            fields.take(name.as_str().as_bytes(), bytes::trim(value.as_bytes()))?;
        }
    }
    Ok(())
}

fn parse_length(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || (digits.len() > 1 && digits.first() == Some(&b'0')) {
        return None;
    }
    digits.iter().try_fold(0_u64, |length, digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        length.checked_mul(10)?.checked_add(digit)
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_length_has_one_spelling() {
        assert_eq!(parse_length(b"0"), Some(0));
        assert_eq!(parse_length(b"18446744073709551615"), Some(u64::MAX));
        for text in [
            "",
            "+5",
            "-1",
            "5, 5",
            "5 5",
            "0x5",
            "5\u{b}",
            "05",
            "05;",
            "00",
            "18446744073709551616",
        ] {
            assert_eq!(parse_length(text.as_bytes()), None, "{text:?}");
        }
    }

    fn refused_in_http2(fields: &[(&'static str, &'static str)]) -> Option<HeadError> {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_static(value));
        }
        assert_eq!(inspect_fields(&headers, Version::HTTP_11), Ok(()));
        inspect_fields(&headers, Version::HTTP_2).err()
    }

    /// hop-by-hop-005, hop-by-hop-006
    #[test]
    fn http2_has_no_connection_specific_fields() {
        for field in [
            ("connection", "sub"),
            ("proxy-connection", "keep-alive"),
            ("keep-alive", "timeout=5"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("http2-settings", "AAMAAABk"),
            ("te", "chunked"),
            ("te", "trailers, deflate"),
        ] {
            assert_eq!(
                refused_in_http2(&[field]),
                Some(HeadError::ConnectionSpecific),
                "{field:?}"
            );
        }
        assert_eq!(refused_in_http2(&[("te", "trailers"), ("content-length", "5")]), None);
    }

    #[test]
    fn http2_fields_are_as_strict_as_those_of_http1() {
        let length = ("content-length", "5");
        assert_eq!(refused_in_http2(&[length, length]), Some(HeadError::ContentLength));
        assert_eq!(refused_in_http2(&[("content-length", "+5")]), Some(HeadError::ContentLength));
        assert_eq!(refused_in_http2(&[("expect", "200-ok")]), Some(HeadError::Expectation));
        let host = ("host", "a.test");
        assert_eq!(refused_in_http2(&[host, host]), Some(HeadError::Host));
    }
}
