//! Strict check of the raw head of an HTTP/1 request, before another parser normalizes it.
//!
//! One pass, without allocation. The grammar is that of RFC 9112 without its leniencies: what recipients
//! "may" repair, they repair differently, so it is rejected here.

use super::bytes;
pub use super::error::HeadError;
use super::framing::Fields;
pub use super::framing::{Framing, inspect_fields};
use super::method::{self, MAX_METHOD};

/// Limits of a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadLimits {
    /// Bytes of the whole head, request line and empty line included.
    pub bytes: usize,
    /// Number of field lines.
    pub fields: usize,
    /// Bytes of the request target.
    pub target: usize,
}

/// The HTTP version of the request line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadVersion {
    /// HTTP/1.0
    Http10,
    /// HTTP/1.1
    Http11,
}

/// The properties of a valid head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The version.
    pub version: HeadVersion,
    /// The framing of the body.
    pub framing: Framing,
    /// The client waits for `100 Continue`. Never on HTTP/1.0 (RFC 9110 section 10.1.1), never
    /// without a body.
    pub expects_continue: bool,
    /// The client wants the connection to be closed after the response (RFC 9112 section 9.3).
    pub close: bool,
    /// A WebSocket handshake: GET on HTTP/1.1 with one `Upgrade: websocket` named in `Connection`.
    /// Any other upgrade is ignored, and its fields are stripped as hop-by-hop fields.
    pub upgrade: bool,
    /// Length of the empty line that may precede the request line; 0 or 2 bytes.
    pub leading: usize,
}

/// Finds the index after the empty line that ends the head, in a growing buffer. The first
/// `already_searched` bytes are known not to contain the end. A bare line feed also ends the search, and so
/// does a second empty line before the request line: [`inspect`] then rejects the head instead of waiting
/// for an end that may never come.
pub fn find_end(buffer: &[u8], already_searched: usize) -> Option<usize> {
    // Three bytes back: an empty line may have been cut in two by the last read.
    let mut from = already_searched.saturating_sub(3);
    loop {
        let rest = buffer.get(from..)?;
        let end = from + bytes::run_without_line_feed(rest) + 1;
        let line = buffer.get(..end)?;
        if line.ends_with(b"\r\n\r\n") || !line.ends_with(b"\r\n") {
            return Some(end);
        }
        from = end;
    }
}

/// Whether an incomplete head already exceeds the limits.
pub fn overflow(partial: &[u8], limits: &HeadLimits) -> Option<HeadError> {
    let first_line = bytes::run_without_line_feed(partial);
    let other = MAX_METHOD + " HTTP/1.1\r\n ".len();
    if first_line > limits.target.saturating_add(other) {
        return Some(HeadError::TargetTooLong);
    }
    (partial.len() >= limits.bytes).then_some(HeadError::TooLarge)
}

/// Checks the head, from the first byte to the index returned by [`find_end`].
pub fn inspect(head: &[u8], limits: &HeadLimits) -> Result<Head, HeadError> {
    let (leading, mut rest) = match head.strip_prefix(b"\r\n") {
        Some(rest) => (2, rest),
        None => (0, head),
    };
    if rest.starts_with(b"\r\n") {
        return Err(HeadError::EmptyLines);
    }
    let line = RequestLine::take(&mut rest, limits)?;
    if head.len() > limits.bytes {
        return Err(HeadError::TooLarge);
    }
    let mut fields = Fields::default();
    let mut count = 0;
    loop {
        if let Some(after) = rest.strip_prefix(b"\r\n") {
            return if after.is_empty() {
                conclude(&line, &fields, leading)
            } else {
                Err(HeadError::Incomplete)
            };
        }
        count += 1;
        if count > limits.fields {
            return Err(HeadError::TooManyFields);
        }
        let (name, value) = take_field(&mut rest)?;
        fields.take(name, value)?;
    }
}

fn conclude(line: &RequestLine, fields: &Fields, leading: usize) -> Result<Head, HeadError> {
    if !fields.has_host() {
        return Err(HeadError::Host);
    }
    let framing = fields.framing()?;
    let recent = line.version == HeadVersion::Http11;
    if fields.chunked && !recent {
        return Err(HeadError::TransferEncoding);
    }
    let upgrade = recent && line.is_get && fields.asks_for_websocket();
    let empty = matches!(framing, Framing::None | Framing::Length(0));
    if upgrade && !empty {
        return Err(HeadError::UpgradeWithBody);
    }
    Ok(Head {
        version: line.version,
        framing,
        expects_continue: fields.expects_continue && recent && !empty,
        close: fields.close || !(recent || fields.keep_alive),
        upgrade,
        leading,
    })
}

struct RequestLine {
    version: HeadVersion,
    is_get: bool,
}

impl RequestLine {
    fn take(rest: &mut &[u8], limits: &HeadLimits) -> Result<Self, HeadError> {
        let line = take_line(rest)?;
        let mut parts = line.splitn(3, |octet| *octet == b' ');
        let (Some(method), Some(target), Some(version)) =
            (parts.next(), parts.next(), parts.next())
        else {
            return Err(HeadError::RequestLine);
        };
        let version = match version {
            b"HTTP/1.1" => HeadVersion::Http11,
            b"HTTP/1.0" => HeadVersion::Http10,
            [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
                if major.is_ascii_digit() && minor.is_ascii_digit() =>
            {
                return Err(HeadError::Version);
            }
            _ => return Err(HeadError::RequestLine),
        };
        method::check(method)?;
        if target.len() > limits.target {
            return Err(HeadError::TargetTooLong);
        }
        check_target(method, target)?;
        Ok(Self { version, is_get: method == b"GET" })
    }
}

/// Accepts the origin-form, and the absolute-form of http and https (RFC 9112 section 3.2). Bytes that are
/// not valid in a URI are rejected here, because parsers drop or repair them (for example a fragment); the
/// rest is checked by the canonical form.
fn check_target(method: &[u8], target: &[u8]) -> Result<(), HeadError> {
    let known_form = match target {
        [b'/', ..] => true,
        b"*" => method == b"OPTIONS",
        _ => {
            let begins = |scheme: &[u8]| {
                target.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme))
            };
            begins(b"http://") || begins(b"https://")
        }
    };
    let fits = |octet: &u8| octet.is_ascii_graphic() && !matches!(octet, b'#' | b'"' | b'<' | b'>');
    let in_path = |octet: &u8| !matches!(octet, b'`' | b'\\');
    let path = target.split(|octet| *octet == b'?').next().unwrap_or_default();
    if known_form && target.iter().all(fits) && path.iter().all(in_path) {
        Ok(())
    } else {
        Err(HeadError::Target)
    }
}

fn take_field<'a>(rest: &mut &'a [u8]) -> Result<(&'a [u8], &'a [u8]), HeadError> {
    let length = rest.iter().position(|octet| !bytes::is_token(*octet)).unwrap_or(rest.len());
    let (name, after) = rest.split_at_checked(length).ok_or(HeadError::Incomplete)?;
    match (name, after) {
        ([], [b' ' | b'\t', ..]) => Err(HeadError::Folding),
        ([_, ..], [b':', after @ ..]) => {
            *rest = after;
            Ok((name, bytes::trim(take_line(rest)?)))
        }
        (_, []) => Err(HeadError::Incomplete),
        (_, [b'\n', ..]) => Err(HeadError::BareLineFeed),
        (_, _) => Err(HeadError::FieldName),
    }
}

/// Takes the line up to the next CRLF. Horizontal tab is the only control character allowed in it.
fn take_line<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], HeadError> {
    let mut length = 0;
    loop {
        length += bytes::run_without_controls(rest.get(length..).unwrap_or_default());
        let (line, end) = rest.split_at_checked(length).ok_or(HeadError::Incomplete)?;
        match end {
            [b'\r', b'\n', after @ ..] => {
                *rest = after;
                return Ok(line);
            }
            [b'\t', ..] => length += 1,
            [] | [b'\r'] => return Err(HeadError::Incomplete),
            [b'\r', ..] => return Err(HeadError::BareCarriageReturn),
            [b'\n', ..] => return Err(HeadError::BareLineFeed),
            [_, ..] => return Err(HeadError::Control),
        }
    }
}

#[cfg(test)]
mod tests;
