//! The raw head of an HTTP/1 message, checked before any parser normalises it away (RFC 9112).
//!
//! A gateway and its upstream must read the same bytes in the same way. What two parsers could read
//! differently is refused here, whatever the parser behind would make of it.

use http::{HeaderMap, header};

use crate::model::Code;

/// How large a head may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadLimits {
    /// Bytes in all, with the final blank line.
    pub bytes: usize,
    /// Header fields.
    pub fields: usize,
    /// Bytes of the request target.
    pub target: usize,
}

/// How the body is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// There is none.
    None,
    /// `Content-Length`, in bytes.
    Length(u64),
    /// `Transfer-Encoding: chunked`.
    Chunked,
}

/// What the head says about the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The body's framing.
    pub framing: Framing,
    /// The caller wants another protocol after the answer (`Upgrade`).
    pub upgrade: bool,
}

/// Why a head is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// A line does not end in CR LF, or a CR stands alone.
    #[error("a line that does not end in CR LF")]
    LineEnding,
    /// Not `METHOD SP target SP HTTP/1.x`.
    #[error("a malformed request line")]
    RequestLine,
    /// CONNECT or TRACE.
    #[error("a method that is not forwarded")]
    Method,
    /// Not HTTP/1.0 or HTTP/1.1.
    #[error("a version that is not spoken here")]
    Version,
    /// A target that is neither origin-form nor absolute-form, or has bytes no URI has.
    #[error("a malformed request target")]
    Target,
    /// A target longer than the bound.
    #[error("a request target that is too long")]
    TargetTooLong,
    /// A field with a bad name, white space before the colon, folding, or a control character.
    #[error("a malformed header field")]
    Field,
    /// More fields or bytes than the bound.
    #[error("too many header fields")]
    TooLarge,
    /// No `Host`, two, or one that is no authority.
    #[error("a missing, repeated or malformed Host")]
    Host,
    /// Repeated, listed, signed or overflowing `Content-Length`.
    #[error("a malformed Content-Length")]
    Length,
    /// A transfer coding other than exactly `chunked`, or with HTTP/1.0.
    #[error("a transfer coding that is not exactly chunked")]
    TransferCoding,
    /// Both `Content-Length` and `Transfer-Encoding`.
    #[error("both Content-Length and Transfer-Encoding")]
    LengthAndCoding,
    /// `Expect` other than `100-continue`.
    #[error("an expectation that cannot be met")]
    Expectation,
    /// A field that HTTP/2 forbids (RFC 9113 section 8.2.2).
    #[error("a connection-specific field in HTTP/2")]
    ConnectionField,
}

impl Malformed {
    /// The refusal's code.
    pub const fn code(self) -> Code {
        match self {
            Self::Method => Code::NotImplemented,
            Self::Version => Code::VersionNotSupported,
            Self::TargetTooLong => Code::TargetTooLong,
            Self::TooLarge => Code::HeadersTooLarge,
            Self::Expectation => Code::ExpectationFailed,
            Self::LineEnding
            | Self::RequestLine
            | Self::Target
            | Self::Field
            | Self::Host
            | Self::Length
            | Self::TransferCoding
            | Self::LengthAndCoding
            | Self::ConnectionField => Code::BadRequest,
        }
    }
}

/// The index just past the blank line that ends the head, if it is there already. `searched` bytes
/// were searched before.
///
/// # Errors
/// A bare LF is refused at once: waiting for a CR LF after it could wait for ever.
pub fn find_end(buffer: &[u8], searched: usize) -> Result<Option<usize>, Malformed> {
    let mut from = searched.saturating_sub(3);
    while let Some(found) = buffer.get(from..).and_then(|rest| find_byte(rest, b'\n')) {
        let line_end = from + found;
        let before = buffer.get(..line_end).unwrap_or_default();
        if !before.ends_with(b"\r") {
            return Err(Malformed::LineEnding);
        }
        if before.ends_with(b"\r\n\r") {
            return Ok(Some(line_end + 1));
        }
        if before == b"\r" {
            return Err(Malformed::RequestLine);
        }
        from = line_end + 1;
    }
    Ok(None)
}

fn find_byte(bytes: &[u8], wanted: u8) -> Option<usize> {
    memchr::memchr(wanted, bytes)
}

/// Inspects a whole head, blank line included.
pub fn inspect(head: &[u8], limits: &HeadLimits) -> Result<Head, Malformed> {
    if head.len() > limits.bytes {
        return Err(Malformed::TooLarge);
    }
    let mut lines = Lines(head);
    let version = request_line(lines.next().ok_or(Malformed::RequestLine)??, limits)?;
    let mut fields = Fields::default();
    for (count, line) in lines.enumerate() {
        let line = line?;
        if line.is_empty() {
            break;
        }
        if count >= limits.fields {
            return Err(Malformed::TooLarge);
        }
        fields.take(line)?;
    }
    fields.conclude(version)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Minor {
    Zero,
    One,
}

/// Lines without their CR LF.
struct Lines<'a>(&'a [u8]);

impl<'a> Iterator for Lines<'a> {
    type Item = Result<&'a [u8], Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        let end = find_byte(self.0, b'\n')?;
        let (line, rest) = self.0.split_at_checked(end)?;
        self.0 = rest.get(1..).unwrap_or_default();
        Some(line.strip_suffix(b"\r").ok_or(Malformed::LineEnding))
    }
}

fn request_line(line: &[u8], limits: &HeadLimits) -> Result<Minor, Malformed> {
    let mut parts = line.split(|byte| *byte == b' ');
    let (Some(method), Some(target), Some(version), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(Malformed::RequestLine);
    };
    if method.is_empty() || !method.iter().all(|byte| is_token(*byte)) {
        return Err(Malformed::RequestLine);
    }
    // A lower-case spelling could be another method to us than to the upstream.
    if method.iter().any(u8::is_ascii_lowercase) {
        return Err(Malformed::RequestLine);
    }
    if method == b"CONNECT" || method == b"TRACE" || method == b"TRACK" {
        return Err(Malformed::Method);
    }
    let version = match version {
        b"HTTP/1.1" => Minor::One,
        b"HTTP/1.0" => Minor::Zero,
        version if version.starts_with(b"HTTP/") => return Err(Malformed::Version),
        _ => return Err(Malformed::RequestLine),
    };
    if target.len() > limits.target {
        return Err(Malformed::TargetTooLong);
    }
    let formed = target.starts_with(b"/")
        || starts_ignoring_case(target, b"http://")
        || starts_ignoring_case(target, b"https://");
    if !formed || !target.iter().all(u8::is_ascii_graphic) {
        return Err(Malformed::Target);
    }
    Ok(version)
}

fn starts_ignoring_case(bytes: &[u8], prefix: &[u8]) -> bool {
    bytes.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

/// What the fields that decide say, gathered in one pass.
#[derive(Default)]
struct Fields {
    host: bool,
    length: Option<u64>,
    chunked: bool,
    upgrade: bool,
}

impl Fields {
    fn take(&mut self, line: &[u8]) -> Result<(), Malformed> {
        let colon = find_byte(line, b':').ok_or(Malformed::Field)?;
        let (name, rest) = line.split_at_checked(colon).ok_or(Malformed::Field)?;
        let value = rest.get(1..).unwrap_or_default().trim_ascii();
        // Also refuses folded lines and white space before the colon.
        if name.is_empty() || !name.iter().all(|byte| TOKEN[usize::from(*byte)]) {
            return Err(Malformed::Field);
        }
        // Without a short cut, so that many bytes are looked at in one step.
        if value.iter().fold(false, |found, byte| found | is_control(*byte)) {
            return Err(Malformed::Field);
        }
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"host") => self.host(value),
            6 if name.eq_ignore_ascii_case(b"expect") => expectation(value),
            7 if name.eq_ignore_ascii_case(b"upgrade") => {
                self.upgrade = true;
                Ok(())
            }
            14 if is_folded(name, b"content-length") => self.length(name, value),
            17 if is_folded(name, b"transfer-encoding") => self.coding(name, value),
            _ => Ok(()),
        }
    }

    fn host(&mut self, value: &[u8]) -> Result<(), Malformed> {
        if self.host || value.is_empty() || !value.iter().all(|byte| is_authority(*byte)) {
            return Err(Malformed::Host);
        }
        self.host = true;
        Ok(())
    }

    fn length(&mut self, name: &[u8], value: &[u8]) -> Result<(), Malformed> {
        let digits = !value.is_empty() && value.len() <= 19 && value.iter().all(u8::is_ascii_digit);
        if self.length.is_some() || !digits || name.contains(&b'_') {
            return Err(Malformed::Length);
        }
        let number = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
        self.length = Some(number.ok_or(Malformed::Length)?);
        Ok(())
    }

    fn coding(&mut self, name: &[u8], value: &[u8]) -> Result<(), Malformed> {
        if self.chunked || name.contains(&b'_') || !value.eq_ignore_ascii_case(b"chunked") {
            return Err(Malformed::TransferCoding);
        }
        self.chunked = true;
        Ok(())
    }

    fn conclude(self, version: Minor) -> Result<Head, Malformed> {
        if !self.host {
            return Err(Malformed::Host);
        }
        if self.chunked && version == Minor::Zero {
            return Err(Malformed::TransferCoding);
        }
        let framing = match (self.length, self.chunked) {
            (Some(_), true) => return Err(Malformed::LengthAndCoding),
            (None, true) => Framing::Chunked,
            (None | Some(0), false) => Framing::None,
            (Some(length), false) => Framing::Length(length),
        };
        Ok(Head { framing, upgrade: self.upgrade })
    }
}

fn expectation(value: &[u8]) -> Result<(), Malformed> {
    if value.eq_ignore_ascii_case(b"100-continue") { Ok(()) } else { Err(Malformed::Expectation) }
}

/// Whether the name is `wanted` once `_` counts as `-`: servers that hand headers to CGI or WSGI
/// take both for one.
fn is_folded(name: &[u8], wanted: &[u8]) -> bool {
    name.iter().zip(wanted).all(|(byte, wanted)| {
        let byte = if *byte == b'_' { b'-' } else { byte.to_ascii_lowercase() };
        byte == *wanted
    })
}

/// [`is_token`] for every byte.
static TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0_u8;
    loop {
        table[byte as usize] = is_token(byte);
        if byte == u8::MAX {
            break table;
        }
        byte += 1;
    }
};

const fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}

const fn is_control(byte: u8) -> bool {
    (byte < b' ' && byte != b'\t') || byte == 0x7f
}

const fn is_authority(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b':' | b'[' | b']')
}

/// Inspects the fields of an HTTP/2 request (RFC 9113 section 8.2.2), which arrive parsed.
pub fn inspect_fields(headers: &HeaderMap) -> Result<(), Malformed> {
    const FORBIDDEN: [header::HeaderName; 3] =
        [header::CONNECTION, header::TRANSFER_ENCODING, header::UPGRADE];
    let forbidden = FORBIDDEN.iter().any(|name| headers.contains_key(name))
        || headers.contains_key("keep-alive")
        || headers.contains_key("proxy-connection");
    let te = headers.get_all(header::TE).iter().all(|value| value == "trailers");
    if forbidden || !te {
        return Err(Malformed::ConnectionField);
    }
    if headers.get_all(header::CONTENT_LENGTH).iter().count() > 1 {
        return Err(Malformed::Length);
    }
    if headers.keys().any(|name| {
        let name = name.as_str().as_bytes();
        (name.len() == 14 && name != b"content-length" && is_folded(name, b"content-length"))
            || (name.len() == 17 && is_folded(name, b"transfer-encoding"))
    }) {
        return Err(Malformed::Field);
    }
    headers.get_all(header::EXPECT).iter().try_for_each(|value| expectation(value.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: HeadLimits = HeadLimits { bytes: 4096, fields: 10, target: 100 };

    fn judge(text: &str) -> Result<Head, Malformed> {
        inspect(text.as_bytes(), &LIMITS)
    }

    #[test]
    fn a_plain_request_passes() {
        let head =
            judge("GET /a?b=c HTTP/1.1\r\nHost: a.test:8443\r\nAccept: */*\r\n\r\n").unwrap();
        assert_eq!(head, Head { framing: Framing::None, upgrade: false });
        let head = judge("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 12\r\n\r\n").unwrap();
        assert_eq!(head.framing, Framing::Length(12));
        let head = judge("POST / HTTP/1.1\r\nhost: a\r\nTransfer-Encoding: Chunked\r\n\r\n");
        assert_eq!(head.unwrap().framing, Framing::Chunked);
    }

    #[test]
    fn what_two_parsers_could_read_differently_is_refused() {
        use Malformed as M;
        for (expected, fields) in [
            (M::LengthAndCoding, "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n"),
            (M::Length, "Content-Length: 3\r\nContent-Length: 3\r\n"),
            (M::Length, "Content-Length: 3\r\nContent-Length: 4\r\n"),
            (M::Length, "Content-Length: 3, 3\r\n"),
            (M::Length, "Content-Length: +3\r\n"),
            (M::Length, "Content-Length: -3\r\n"),
            (M::Length, "Content-Length: 0x3\r\n"),
            (M::Length, "Content-Length:\r\n"),
            (M::Length, "Content-Length: 99999999999999999999\r\n"),
            (M::Length, "Content_Length: 3\r\n"),
            (M::TransferCoding, "Transfer-Encoding: gzip, chunked\r\n"),
            (M::TransferCoding, "Transfer-Encoding: chunked, chunked\r\n"),
            (M::TransferCoding, "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
            (M::TransferCoding, "Transfer-Encoding: identity\r\n"),
            (M::TransferCoding, "Transfer-Encoding: xchunked\r\n"),
            (M::TransferCoding, "Transfer_Encoding: chunked\r\n"),
            (M::Field, "Transfer-Encoding : chunked\r\n"),
            (M::Field, "X: a\r\n folded\r\n"),
            (M::Field, " X: a\r\n"),
            (M::Field, "X: a\0b\r\n"),
            (M::Field, "X: a\rb\r\n"),
            (M::Field, "no colon\r\n"),
            (M::Field, ": nameless\r\n"),
            (M::Field, "X\u{e9}: a\r\n"),
            (M::LineEnding, "X: a\nY: b\r\n"),
            (M::Host, "Host: b\r\n"),
            (M::Expectation, "Expect: 200-ok\r\n"),
        ] {
            let head = format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
            assert_eq!(judge(&head), Err(expected), "{fields:?}");
        }
    }

    #[test]
    fn odd_request_lines_are_refused() {
        use Malformed as M;
        for (expected, line) in [
            (M::RequestLine, "GET  / HTTP/1.1"),
            (M::RequestLine, "GET / HTTP/1.1 "),
            (M::RequestLine, "GET /"),
            (M::RequestLine, "get / HTTP/1.1"),
            (M::RequestLine, "G@T / HTTP/1.1"),
            (M::Method, "CONNECT / HTTP/1.1"),
            (M::Method, "TRACE / HTTP/1.1"),
            (M::Version, "GET / HTTP/2.0"),
            (M::Version, "GET / HTTP/1.2"),
            (M::Target, "GET secret HTTP/1.1"),
            (M::Target, "OPTIONS * HTTP/1.1"),
            (M::Target, "GET ftp://a/ HTTP/1.1"),
            (M::Target, "GET /\u{e9} HTTP/1.1"),
            (M::Target, "GET /\0 HTTP/1.1"),
        ] {
            let head = format!("{line}\r\nHost: a\r\n\r\n");
            assert_eq!(judge(&head), Err(expected), "{line:?}");
        }
        let long = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(100));
        assert_eq!(judge(&long), Err(M::TargetTooLong));
    }

    #[test]
    fn hosts_must_be_one_authority() {
        for fields in
            ["", "Host:\r\n", "Host: a b\r\n", "Host: a/b\r\n", "Host: u@a\r\n", "Host: a,b\r\n"]
        {
            let head = format!("GET / HTTP/1.1\r\n{fields}\r\n");
            assert_eq!(judge(&head), Err(Malformed::Host), "{fields:?}");
        }
    }

    #[test]
    fn the_bounds_hold() {
        let many = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(10));
        assert_eq!(judge(&many), Err(Malformed::TooLarge));
        let large = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "y".repeat(4096));
        assert_eq!(judge(&large), Err(Malformed::TooLarge));
    }

    #[test]
    fn the_end_is_found_wherever_the_bytes_were_cut() {
        let head = b"GET / HTTP/1.1\r\nHost: a\r\n\r\nbody\n";
        let end = head.len() - 5;
        for cut in 0..end {
            assert_eq!(find_end(&head[..cut], 0), Ok(None));
            assert_eq!(find_end(head, cut), Ok(Some(end)));
        }
        assert_eq!(find_end(b"GET / HTTP/1.1\nHost: a\n\n", 0), Err(Malformed::LineEnding));
        assert_eq!(find_end(b"\r\nGET / HTTP/1.1\r\n", 0), Err(Malformed::RequestLine));
    }

    #[test]
    fn http2_has_no_connection_fields() {
        for (name, value) in [
            ("connection", "x"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("keep-alive", "1"),
            ("proxy-connection", "x"),
            ("te", "gzip"),
            ("content_length", "1"),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(name, value.parse().unwrap());
            assert!(inspect_fields(&headers).is_err(), "{name}");
        }
        let mut headers = HeaderMap::new();
        headers.insert("te", "trailers".parse().unwrap());
        assert_eq!(inspect_fields(&headers), Ok(()));
    }
}
