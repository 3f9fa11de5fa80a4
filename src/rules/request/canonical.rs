//! One canonical form of host and path: the form that is matched, judged and forwarded.
//!
//! Nothing is repaired that could mean two things. Percent-encoded unreserved characters are
//! decoded once and hexadecimal digits are written in upper case (RFC 3986 section 6.2.2); dot
//! segments, empty segments, path parameters and encoded separators are refused.

use http::{HeaderMap, Method, Version, header, uri::PathAndQuery};

/// A request as it came in, before anything was believed.
#[derive(Clone, Copy, Debug)]
pub struct Arrived<'a> {
    /// The protocol version.
    pub version: Version,
    /// The method.
    pub method: &'a Method,
    /// The request target as sent: origin-form or absolute-form, raw bytes; for HTTP/2 `:path`.
    pub target: &'a [u8],
    /// The same, parsed: taken over where it is canonical already.
    pub parsed: Option<&'a PathAndQuery>,
    /// `:authority` of HTTP/2; `None` on HTTP/1.
    pub authority: Option<&'a str>,
    /// The header fields.
    pub headers: &'a HeaderMap,
}

/// Why a request has no single meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Ambiguity {
    /// Neither origin-form nor absolute-form.
    #[error("the request target is neither origin-form nor absolute-form")]
    Form,
    /// A byte that no URI has.
    #[error("the request target has a byte that no URI has")]
    Byte,
    /// `%` without two hexadecimal digits.
    #[error("a percent sign without two hexadecimal digits")]
    Percent,
    /// `%2f`, `%5c` or `\`.
    #[error("an encoded slash or a backslash")]
    Separator,
    /// An encoded control character.
    #[error("an encoded control character")]
    Control,
    /// `%25` followed by what looks like another encoding.
    #[error("a path that is encoded twice")]
    DoubleEncoding,
    /// Encoded bytes that are not UTF-8.
    #[error("encoded bytes that are not UTF-8")]
    Utf8,
    /// `.` or `..`, plain or encoded.
    #[error("a dot segment")]
    DotSegment,
    /// `//`.
    #[error("an empty path segment")]
    EmptySegment,
    /// `;`, plain or encoded.
    #[error("a path parameter")]
    Parameter,
    /// No host, two hosts, or one that is no authority.
    #[error("a missing, repeated or malformed host")]
    Host,
    /// `Host` and the target's or HTTP/2's authority differ.
    #[error("two hosts that differ")]
    HostMismatch,
}

/// What is matched, judged and forwarded.
#[derive(Clone, Debug)]
pub struct CanonicalRequest {
    authority: Box<str>,
    host_length: usize,
    path_and_query: PathAndQuery,
}

impl CanonicalRequest {
    /// Reads the one meaning, or says why there is none.
    pub fn parse(arrived: &Arrived<'_>) -> Result<Self, Ambiguity> {
        let target = std::str::from_utf8(arrived.target).map_err(|_| Ambiguity::Byte)?;
        let (target_authority, target) = split_target(target)?;
        let (authority, host_length) = read_authority(arrived, target_authority)?;
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (target, None),
        };
        if query.is_some_and(|query| !query.bytes().all(is_query)) {
            return Err(Ambiguity::Byte);
        }
        let path_and_query = match (canonical_path(path)?, arrived.parsed) {
            (None, Some(parsed)) if parsed.as_str() == target => parsed.clone(),
            (None, _) => PathAndQuery::try_from(target).map_err(|_| Ambiguity::Byte)?,
            (Some(mut path), _) => {
                if let Some(query) = query {
                    path.push('?');
                    path.push_str(query);
                }
                PathAndQuery::try_from(path).map_err(|_| Ambiguity::Byte)?
            }
        };
        Ok(Self { authority, host_length, path_and_query })
    }

    /// The host: lower case, without port and trailing dot.
    pub fn host(&self) -> &str {
        self.authority.get(..self.host_length).unwrap_or_default()
    }

    /// Host and, where one was named, port: what is forwarded as `Host`.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// The path in canonical form.
    pub fn path(&self) -> &str {
        self.path_and_query.path()
    }

    /// The query as sent, without `?`.
    pub fn query(&self) -> Option<&str> {
        self.path_and_query.query()
    }

    /// Path and query, to be forwarded.
    pub const fn path_and_query(&self) -> &PathAndQuery {
        &self.path_and_query
    }
}

/// Splits an absolute-form target into authority and the rest.
fn split_target(target: &str) -> Result<(Option<&str>, &str), Ambiguity> {
    if target.starts_with('/') {
        return Ok((None, target));
    }
    let (scheme, rest) = target.split_once("://").ok_or(Ambiguity::Form)?;
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        return Err(Ambiguity::Form);
    }
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at_checked(end).ok_or(Ambiguity::Form)?;
    match path.bytes().next() {
        Some(b'/') => Ok((Some(authority), path)),
        None => Ok((Some(authority), "/")),
        Some(_) => Err(Ambiguity::Form),
    }
}

/// The one authority that `Host`, the target and HTTP/2 agree on, with the length of its host.
fn read_authority(
    arrived: &Arrived<'_>,
    in_target: Option<&str>,
) -> Result<(Box<str>, usize), Ambiguity> {
    let mut hosts = arrived.headers.get_all(header::HOST).iter();
    let in_field = match (hosts.next(), hosts.next()) {
        (Some(host), None) => Some(host.to_str().map_err(|_| Ambiguity::Host)?),
        (None, _) => None,
        (Some(_), Some(_)) => return Err(Ambiguity::Host),
    };
    // HTTP/1.1 demands the field (RFC 9112 section 3.2); HTTP/2 may do without.
    if in_field.is_none() && arrived.authority.is_none() {
        return Err(Ambiguity::Host);
    }
    let mut agreed: Option<(Box<str>, usize)> = None;
    for text in [arrived.authority, in_target, in_field].into_iter().flatten() {
        let canonical = canonical_authority(text)?;
        match &agreed {
            None => agreed = Some(canonical),
            Some(first) if *first == canonical => {}
            Some(_) => return Err(Ambiguity::HostMismatch),
        }
    }
    agreed.ok_or(Ambiguity::Host)
}

/// Lower case, no trailing dot; the port stays as written.
fn canonical_authority(text: &str) -> Result<(Box<str>, usize), Ambiguity> {
    if text.len() > 261 {
        return Err(Ambiguity::Host);
    }
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, port)) => {
            address.parse::<std::net::Ipv6Addr>().map_err(|_| Ambiguity::Host)?;
            (text.get(..address.len() + 2).unwrap_or_default(), port)
        }
        None => {
            let (host, port) = text
                .split_at_checked(text.find(':').unwrap_or(text.len()))
                .ok_or(Ambiguity::Host)?;
            if !is_host_name(host.strip_suffix('.').unwrap_or(host)) {
                return Err(Ambiguity::Host);
            }
            (host.strip_suffix('.').unwrap_or(host), port)
        }
    };
    let port_holds = match port.strip_prefix(':') {
        Some(digits) => {
            !digits.is_empty()
                && digits.bytes().all(|byte| byte.is_ascii_digit())
                && digits.parse::<u16>().is_ok()
        }
        None => port.is_empty(),
    };
    if !port_holds {
        return Err(Ambiguity::Host);
    }
    let mut authority = String::with_capacity(host.len() + port.len());
    authority.push_str(host);
    authority.push_str(port);
    authority.make_ascii_lowercase();
    Ok((authority.into(), host.len()))
}

fn is_host_name(host: &str) -> bool {
    (1..=253).contains(&host.len())
        && host.split('.').all(|label| {
            !label.is_empty()
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        })
}

/// The canonical path where it differs from what was sent.
fn canonical_path(path: &str) -> Result<Option<String>, Ambiguity> {
    let mut rewritten: Option<String> = None;
    let bytes = path.as_bytes();
    let mut segment = Segment::default();
    let mut position = 0;
    while let Some(byte) = bytes.get(position) {
        let (written, width) = match byte {
            b'%' => decode(bytes.get(position + 1..).unwrap_or_default())?,
            b'\\' => return Err(Ambiguity::Separator),
            b';' => return Err(Ambiguity::Parameter),
            byte if is_path(*byte) => (Written::Plain(*byte), 1),
            _ => return Err(Ambiguity::Byte),
        };
        if written == Written::Plain(b'/') {
            segment.end(position == 0)?;
        } else {
            segment.add(written);
        }
        let sent = bytes.get(position..position + width).unwrap_or_default();
        match (&mut rewritten, written.changes(sent)) {
            (Some(text), _) => written.push_to(text),
            (None, true) => {
                let mut text = String::with_capacity(path.len());
                text.push_str(path.get(..position).unwrap_or_default());
                written.push_to(&mut text);
                rewritten = Some(text);
            }
            (None, false) => {}
        }
        position += width;
    }
    segment.dots_only()?;
    encoded_text(rewritten.as_deref().unwrap_or(path))?;
    Ok(rewritten)
}

/// One character of the canonical path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Written {
    Plain(u8),
    Encoded(u8),
}

impl Written {
    fn push_to(self, text: &mut String) {
        const DIGITS: [char; 16] =
            ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F'];
        match self {
            Self::Plain(byte) => text.push(char::from(byte)),
            Self::Encoded(byte) => {
                text.push('%');
                for digit in [byte >> 4, byte & 15] {
                    text.push(DIGITS.get(usize::from(digit)).copied().unwrap_or('0'));
                }
            }
        }
    }

    fn changes(self, sent: &[u8]) -> bool {
        match self {
            Self::Plain(_) => sent.len() != 1,
            Self::Encoded(_) => sent.iter().any(u8::is_ascii_lowercase),
        }
    }
}

/// What two hexadecimal digits stand for, and how many bytes were sent for it.
fn decode(digits: &[u8]) -> Result<(Written, usize), Ambiguity> {
    let (Some(high), Some(low)) = (digits.first().and_then(hex), digits.get(1).and_then(hex))
    else {
        return Err(Ambiguity::Percent);
    };
    let byte = high << 4 | low;
    match byte {
        b'/' | b'\\' => Err(Ambiguity::Separator),
        b';' => Err(Ambiguity::Parameter),
        0..=31 | 127 => Err(Ambiguity::Control),
        b'%' if matches!(
            (digits.get(2).and_then(hex), digits.get(3).and_then(hex)),
            (Some(_), Some(_))
        ) =>
        {
            Err(Ambiguity::DoubleEncoding)
        }
        byte if is_unreserved(byte) => Ok((Written::Plain(byte), 3)),
        byte => Ok((Written::Encoded(byte), 3)),
    }
}

fn hex(digit: &u8) -> Option<u8> {
    char::from(*digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

/// One path segment: its length, and whether it is dots only.
#[derive(Default)]
struct Segment {
    length: usize,
    dots: usize,
}

impl Segment {
    fn add(&mut self, written: Written) {
        self.length += 1;
        if written == Written::Plain(b'.') {
            self.dots += 1;
        }
    }

    fn end(&mut self, first: bool) -> Result<(), Ambiguity> {
        if self.length == 0 && !first {
            return Err(Ambiguity::EmptySegment);
        }
        self.dots_only()?;
        *self = Self::default();
        Ok(())
    }

    fn dots_only(&self) -> Result<(), Ambiguity> {
        if self.length > 0 && self.length <= 2 && self.dots == self.length {
            return Err(Ambiguity::DotSegment);
        }
        Ok(())
    }
}

/// Encoded bytes above ASCII must be UTF-8: overlong forms hide dots and slashes.
fn encoded_text(path: &str) -> Result<(), Ambiguity> {
    if !path.as_bytes().contains(&b'%') {
        return Ok(());
    }
    let mut decoded = Vec::with_capacity(path.len());
    let mut bytes = path.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let (Some(high), Some(low)) = (bytes.next(), bytes.next()) else {
                return Err(Ambiguity::Percent);
            };
            decoded.push(hex(&high).unwrap_or(0) << 4 | hex(&low).unwrap_or(0));
        } else {
            decoded.push(byte);
        }
    }
    let text = std::str::from_utf8(&decoded).map_err(|_| Ambiguity::Utf8)?;
    if text.chars().any(|letter| letter.is_control() || is_lookalike(letter)) {
        return Err(Ambiguity::Control);
    }
    Ok(())
}

/// Full-width forms that some servers fold into `.`, `/` and `\`.
const fn is_lookalike(letter: char) -> bool {
    matches!(
        letter,
        '\u{ff0e}' | '\u{ff0f}' | '\u{ff3c}' | '\u{2024}' | '\u{2215}' | '\u{2044}' | '\u{29f5}'
    )
}

const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// `pchar` and `/` (RFC 3986 section 3.3), without `;`.
const fn is_path(byte: u8) -> bool {
    is_unreserved(byte)
        || matches!(
            byte,
            b'/' | b':'
                | b'@'
                | b'!'
                | b'$'
                | b'&'
                | b'\''
                | b'('
                | b')'
                | b'*'
                | b'+'
                | b','
                | b'='
        )
}

/// What a query may hold: any graphic character but `#`; brackets, braces and the like are sent
/// unencoded by real clients and mean nothing to a gateway.
const fn is_query(byte: u8) -> bool {
    byte.is_ascii_graphic() && byte != b'#'
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(target: &str, host: &str) -> Result<CanonicalRequest, Ambiguity> {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, host.parse().unwrap());
        CanonicalRequest::parse(&Arrived {
            version: Version::HTTP_11,
            method: &Method::GET,
            target: target.as_bytes(),
            parsed: None,
            authority: None,
            headers: &headers,
        })
    }

    fn path(target: &str) -> Result<String, Ambiguity> {
        parse(target, "a.test").map(|request| request.path_and_query().to_string())
    }

    #[test]
    fn what_is_canonical_stays() {
        for target in [
            "/",
            "/a/b",
            "/a/b/",
            "/a?b=c/../d&e=[1]",
            "/%C3%A9",
            "/a%20b",
            "/a:b@c",
            "/.well-known/x",
            "/a..b/...",
            "/100%25",
        ] {
            assert_eq!(path(target).as_deref(), Ok(target));
        }
    }

    #[test]
    fn spellings_of_one_path_become_one() {
        assert_eq!(path("/%61dmin").as_deref(), Ok("/admin"));
        assert_eq!(path("/%41dmin/%7euser").as_deref(), Ok("/Admin/~user"));
        assert_eq!(path("/%c3%a9?q=%61").as_deref(), Ok("/%C3%A9?q=%61"));
        assert_eq!(path("http://A.test/x").as_deref(), Ok("/x"));
        assert_eq!(path("https://a.TEST").as_deref(), Ok("/"));
    }

    #[test]
    fn what_has_no_single_meaning_is_refused() {
        use Ambiguity as A;
        for (target, reason) in [
            ("/a/../b", A::DotSegment),
            ("/a/..", A::DotSegment),
            ("/./a", A::DotSegment),
            ("/%2e%2e/a", A::DotSegment),
            ("/a/.%2E/b", A::DotSegment),
            ("//a", A::EmptySegment),
            ("/a//b", A::EmptySegment),
            ("/a%2fb", A::Separator),
            ("/a%2Fb", A::Separator),
            ("/a%5cb", A::Separator),
            ("/a\\b", A::Separator),
            ("/a%00", A::Control),
            ("/a%0d%0a", A::Control),
            ("/a%7f", A::Control),
            ("/a;x=1", A::Parameter),
            ("/a%3bx", A::Parameter),
            ("/a%252fb", A::DoubleEncoding),
            ("/a%", A::Percent),
            ("/a%zz", A::Percent),
            ("/a%2", A::Percent),
            ("/%c0%af", A::Utf8),
            ("/%ff", A::Utf8),
            ("/%ef%bc%8e", A::Control),
            ("/a#b", A::Byte),
            ("/a?b#c", A::Byte),
            ("/a b", A::Byte),
            ("/a\"b", A::Byte),
            ("/\u{e9}", A::Byte),
            ("secret/x", A::Form),
            ("*", A::Form),
            ("ftp://a.test/", A::Form),
            ("http://b.test/", A::HostMismatch),
            ("http://u@a.test/", A::Host),
        ] {
            assert_eq!(path(target), Err(reason), "{target}");
        }
    }

    #[test]
    fn a_host_is_lower_case_without_trailing_dot() {
        let request = parse("/", "API.Example.TEST.:8443").unwrap();
        assert_eq!(request.host(), "api.example.test");
        assert_eq!(request.authority(), "api.example.test:8443");
        assert_eq!(parse("/", "[::1]:80").unwrap().host(), "[::1]");
        for host in [
            "a..b", "a b", "a:", "a:b", "a:99999", "a/b", "u@a", "[::1", "[x]", ".a", "a:80:80", "",
        ] {
            assert!(parse("/", host).is_err(), "{host}");
        }
    }

    #[test]
    fn two_hosts_are_refused() {
        let mut headers = HeaderMap::new();
        headers.append(header::HOST, "a.test".parse().unwrap());
        let mut arrived = Arrived {
            version: Version::HTTP_2,
            method: &Method::GET,
            target: b"/",
            parsed: None,
            authority: Some("b.test"),
            headers: &headers,
        };
        assert_eq!(CanonicalRequest::parse(&arrived).unwrap_err(), Ambiguity::HostMismatch);
        arrived.authority = Some("A.test");
        assert!(CanonicalRequest::parse(&arrived).is_ok());
        let mut twice = headers.clone();
        twice.append(header::HOST, "a.test".parse().unwrap());
        arrived.headers = &twice;
        assert_eq!(CanonicalRequest::parse(&arrived).unwrap_err(), Ambiguity::Host);
    }

    proptest! {
        #[test]
        fn the_forwarded_form_reads_as_itself(target in "/[a-zA-Z0-9%._~/;?&=\\\\-]{0,40}") {
            if let Ok(first) = parse(&target, "a.test") {
                let sent = first.path_and_query().to_string();
                let second = parse(&sent, first.authority()).unwrap();
                prop_assert_eq!(second.path_and_query().as_str(), sent.as_str());
                prop_assert_eq!(second.path(), first.path());
            }
        }

        #[test]
        fn a_refused_part_is_refused_anywhere(
            before in "(/[a-z]{1,5}){0,3}",
            part in prop::sample::select(vec!["/..", "/%2e%2e", "/a%2fb", "/a\\b", "/a%00", "//", "/a;b", "/%252e"]),
            after in "(/[a-z]{1,5}){1,3}",
        ) {
            let target = format!("{before}{part}{after}");
            prop_assert!(parse(&target, "a.test").is_err(), "{}", target);
        }
    }
}
