//! The patterns of a route's `hosts` and `path`.

use std::fmt;

use crate::http::{Authority, Host, canonical_path};

/// Maximum length of a path pattern, in bytes.
pub const MAX_PATTERN: usize = 1024;
/// Maximum number of segments of a path pattern.
pub const MAX_SEGMENTS: usize = 32;

/// A host pattern: a name or address, or `*.` and a name.
///
/// As in certificates (RFC 6125 section 6.4.3) the star matches exactly one label, the leftmost:
/// `*.example.test` matches `api.example.test`, but neither `example.test` nor `a.api.example.test`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HostPattern {
    /// Canonical; without `*.`.
    name: Box<str>,
    wildcard: bool,
}

impl HostPattern {
    /// Parses `api.example.test` or `*.example.test`, in any case, without a port.
    pub fn parse(text: &str) -> Result<Self, InvalidPattern> {
        let (name, wildcard) = match text.strip_prefix("*.") {
            Some(name) => (name, true),
            None => (text, false),
        };
        let authority = Authority::parse(name.as_bytes()).ok_or(InvalidPattern(
            "a host must be a DNS name in ASCII, an IP address ([…] for IPv6), or `*.` and a name",
        ))?;
        if name.contains(':') && !name.ends_with(']') {
            return Err(InvalidPattern("a host must not have a port"));
        }
        if wildcard && matches!(authority.host, Host::Address(_)) {
            return Err(InvalidPattern("`*.` must be followed by a name, not by an address"));
        }
        Ok(Self { name: authority.host.to_string().into(), wildcard })
    }

    /// The name after the star; [`None`] if there is no star.
    pub(super) fn wildcard_suffix(&self) -> Option<&str> {
        self.wildcard.then_some(&*self.name)
    }

    /// The host itself, or the name after the star.
    pub(super) fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let star = if self.wildcard { "*." } else { "" };
        write!(formatter, "{star}{}", self.name)
    }
}

/// A path pattern: literal segments, `{name}` for one whole segment that is not empty, `{*rest}`
/// at the end for everything below.
///
/// `/orders/{*rest}` also matches `/orders` and `/orders/`: a policy for everything below a path also covers
/// the path itself, so that it is not left unprotected. Otherwise `/a` and `/a/` are different paths. Paths
/// are case-sensitive.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PathPattern {
    text: Box<str>,
    segments: Box<[Segment]>,
}

/// One segment of a pattern.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Segment {
    /// Matches a segment with the same folded form, see [`fold`].
    Literal(Box<str>),
    /// `{name}`
    One,
    /// `{*rest}`
    Rest,
}

impl PathPattern {
    /// Parses `/a/{name}/b` or `/a/{*rest}`. Literal segments must be in the canonical form of requests.
    pub fn parse(text: &str) -> Result<Self, InvalidPattern> {
        if text.len() > MAX_PATTERN {
            return Err(InvalidPattern("a path pattern must have at most 1024 bytes"));
        }
        let path = text
            .strip_prefix('/')
            .ok_or(InvalidPattern("a path pattern must start with a slash"))?;
        let mut segments = Vec::new();
        let mut names = Vec::new();
        let mut written = path.split('/').peekable();
        while let Some(segment) = written.next() {
            let last = written.peek().is_none();
            segments.push(parse_segment(segment, last, &mut names)?);
        }
        if segments.len() > MAX_SEGMENTS {
            return Err(InvalidPattern("a path pattern must have at most 32 segments"));
        }
        Ok(Self { text: text.into(), segments: segments.into() })
    }

    /// As written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    pub(super) const fn segments(&self) -> &[Segment] {
        &self.segments
    }
}

fn parse_segment<'a>(
    segment: &'a str,
    last: bool,
    names: &mut Vec<&'a str>,
) -> Result<Segment, InvalidPattern> {
    let Some(inner) = segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) else {
        return parse_literal(segment, last);
    };
    let (name, parsed) = match inner.strip_prefix('*') {
        Some(name) => (name, Segment::Rest),
        None => (inner, Segment::One),
    };
    let fits = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    if name.is_empty() || !name.chars().all(fits) {
        return Err(InvalidPattern("a name in braces must be letters, digits and `_`"));
    }
    if parsed == Segment::Rest && !last {
        return Err(InvalidPattern("`{*rest}` must be the last segment"));
    }
    if names.contains(&name) {
        return Err(InvalidPattern("a name occurs twice in the pattern"));
    }
    names.push(name);
    Ok(parsed)
}

fn parse_literal(segment: &str, last: bool) -> Result<Segment, InvalidPattern> {
    if segment.contains(['{', '}']) {
        return Err(InvalidPattern("braces must enclose a whole segment"));
    }
    if segment.contains(['?', '#']) {
        return Err(InvalidPattern("a path pattern must not have a query or fragment"));
    }
    if segment.contains('*') {
        return Err(InvalidPattern("a wildcard must be written `{name}` or `{*rest}`"));
    }
    if segment.is_empty() && !last {
        return Err(InvalidPattern("a path pattern must not have empty segments"));
    }
    let path = format!("/{segment}");
    let canonical = canonical_path(path.as_bytes())
        .map_err(|_| InvalidPattern("requests with this path are rejected as ambiguous"))?;
    if *canonical != *path.as_bytes() {
        return Err(InvalidPattern(
            "not in canonical form: letters and digits must not be encoded, hexadecimal digits must be upper case",
        ));
    }
    let mut buffer = [0; MAX_PATTERN];
    fold(segment, &mut buffer)
        .map(|folded| Segment::Literal(folded.into()))
        .ok_or(InvalidPattern("a segment is too long"))
}

/// Folds a canonical segment into the form in which literals are compared: `%40` becomes `@`.
///
/// The canonical form keeps characters encoded that RFC 3986 section 2.2 reserves, because decoding may
/// change the meaning. Nearly every upstream decodes them nevertheless; if `/%40admin` did not match the
/// route `/@admin`, a less specific route would match. The request is forwarded unchanged: this is for
/// comparison only. [`None`] if the result does not fit the buffer, which is longer than any literal.
pub(super) fn fold<'a>(segment: &'a str, buffer: &'a mut [u8; MAX_PATTERN]) -> Option<&'a str> {
    if !segment.contains('%') {
        return Some(segment);
    }
    let mut octets = segment.bytes();
    let mut length = 0;
    while let Some(octet) = octets.next() {
        let mut written = [octet, 0, 0];
        let mut width = 1;
        if octet == b'%' {
            let digits = [octets.next()?, octets.next()?];
            match decode_reserved(digits) {
                Some(decoded) => written = [decoded, 0, 0],
                None => {
                    written = [octet, digits[0], digits[1]];
                    width = 3;
                }
            }
        }
        let end = length + width;
        buffer.get_mut(length..end)?.copy_from_slice(written.get(..width)?);
        length = end;
    }
    str::from_utf8(buffer.get(..length)?).ok()
}

/// The reserved characters that a segment may also contain unencoded.
const fn decode_reserved(digits: [u8; 2]) -> Option<u8> {
    Some(match &digits {
        b"21" => b'!',
        b"24" => b'$',
        b"26" => b'&',
        b"27" => b'\'',
        b"28" => b'(',
        b"29" => b')',
        b"2A" => b'*',
        b"2B" => b'+',
        b"2C" => b',',
        b"3A" => b':',
        b"3D" => b'=',
        b"40" => b'@',
        _ => return None,
    })
}

/// An invalid pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidPattern(pub &'static str);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_pattern_has_one_spelling() {
        for (text, meant) in [
            ("API.Example.test", "api.example.test"),
            ("api.example.test.", "api.example.test"),
            ("*.Example.test", "*.example.test"),
            ("[0::1]", "[::1]"),
            ("127.0.0.1", "127.0.0.1"),
        ] {
            assert_eq!(HostPattern::parse(text).unwrap().to_string(), meant);
        }
    }

    #[test]
    fn a_host_pattern_that_could_never_match_is_refused() {
        for text in [
            "",
            "*",
            "*.",
            "a*.test",
            "*.*.test",
            "a.*.test",
            "a.test:443",
            "[::1]:443",
            "a.test:",
            "*.[::1]",
            "a/b",
            "bücher.test",
            "a..b",
            "**.a",
            "a b",
            "user@a.test",
        ] {
            assert!(HostPattern::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_path_pattern_is_kept_as_written() {
        for text in [
            "/",
            "/a",
            "/a/",
            "/a/{name}/b",
            "/a/{*rest}",
            "/{*rest}",
            "/{a}/{b_2}/{*c}",
            "/v1/items:batch",
            "/@me",
            "/caf%C3%A9",
            "/100%25",
            "/a%20b",
        ] {
            assert_eq!(PathPattern::parse(text).unwrap().as_str(), text);
        }
    }

    #[test]
    fn a_path_pattern_that_could_never_match_is_refused() {
        for text in [
            "",
            "a",
            "//",
            "/a//b",
            "/a/../b",
            "/a/.",
            "/a/%2e",
            "/%61",
            "/%c3%a9",
            "/%zz",
            "/a%2Fb",
            "/a;b",
            "/a\\b",
            "/a b",
            "/é",
            "/a?b",
            "/a#b",
            "/{*rest}/a",
            "/{*rest}/",
            "/{}",
            "/{*}",
            "/{a b}",
            "/{a}x",
            "/x{a}",
            "/{a}/{a}",
            "/{a}{b}",
            "/a*",
            "/*",
            "/a/**",
            "/{a",
            "/a}",
            "/a|b",
            "/%252e",
            "{*rest}",
        ] {
            assert!(PathPattern::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_path_pattern_is_bounded() {
        assert!(PathPattern::parse(&"/a".repeat(32)).is_ok());
        assert!(PathPattern::parse(&"/a".repeat(33)).is_err());
        assert!(PathPattern::parse(&format!("/{}", "a".repeat(1023))).is_ok());
        assert!(PathPattern::parse(&format!("/{}", "a".repeat(1024))).is_err());
    }

    #[test]
    fn reserved_characters_compare_alike_raw_and_encoded() {
        let folded = |segment: &str| {
            let mut buffer = [0; MAX_PATTERN];
            fold(segment, &mut buffer).map(str::to_owned)
        };
        let encoded = "%21%24%26%27%28%29%2A%2B%2C%3A%3D%40";
        assert_eq!(folded(encoded).as_deref(), Some("!$&'()*+,:=@"));
        assert_eq!(folded("a%20%3F%23%25%C3%A9").as_deref(), Some("a%20%3F%23%25%C3%A9"));
        assert_eq!(folded(&"%20".repeat(342)), None);
        assert_eq!(folded(&"a".repeat(2000)).map(|text| text.len()), Some(2000));
    }
}
