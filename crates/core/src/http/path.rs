//! The canonical form of a path (RFC 3986 section 6.2.2), and the rejection of ambiguous paths.
//!
//! Unreserved characters are decoded once. `"`, `<`, `>`, `[`, `]`, `^`, backtick, `{`, `|` and `}`, which
//! are not allowed raw in a path but are sent by clients, are encoded. Everything else is kept as sent,
//! with hexadecimal digits in upper case. Paths that upstreams interpret differently are rejected. That
//! includes `;`, raw and encoded (some strip path parameters, some do not), and empty segments (some merge
//! slashes, some do not).

use std::borrow::Cow;

use super::bytes;
use crate::http::canonicalization_error::CanonicalizationError;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    /// Kept unchanged.
    Plain,
    Slash,
    Percent,
    /// To be percent-encoded.
    Quoted,
    Refused,
}

#[expect(
    clippy::indexing_slicing,
    reason = "evaluated by the compiler, which would refuse a panic"
)]
const CLASSES: [Class; 256] = {
    let mut table = [Class::Refused; 256];
    let mut octet: u8 = 0;
    while octet < 128 {
        table[octet as usize] = match octet {
            b'/' => Class::Slash,
            b'%' => Class::Percent,
            b'"' | b'<' | b'>' | b'[' | b']' | b'^' | b'`' | b'{' | b'|' | b'}' => Class::Quoted,
            b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b'=' | b':' | b'@' => {
                Class::Plain
            }
            _ if bytes::is_unreserved(octet) => Class::Plain,
            _ => Class::Refused,
        };
        octet += 1;
    }
    table
};

fn class(octet: u8) -> Class {
    CLASSES.get(usize::from(octet)).copied().unwrap_or(Class::Refused)
}

/// The canonical form of a path, from its leading slash to before any `?`. Borrowed if it already is
/// canonical.
pub(crate) fn canonical_path(path: &[u8]) -> Result<Cow<'_, [u8]>, CanonicalizationError> {
    let segments = path.strip_prefix(b"/").ok_or(CanonicalizationError::Target)?;
    let mut start = 0;
    for (position, octet) in segments.iter().enumerate() {
        match class(*octet) {
            Class::Plain => {}
            Class::Slash => {
                check_segment(segments.get(start..position).unwrap_or_default(), false)?;
                start = position + 1;
            }
            Class::Percent | Class::Quoted => return rewrite(path).map(Cow::Owned),
            Class::Refused => return Err(refusal(*octet)),
        }
    }
    check_segment(segments.get(start..).unwrap_or_default(), true)?;
    Ok(Cow::Borrowed(path))
}

/// Checks a query. It is kept as sent, so it must contain only characters that are valid in a URI.
pub(crate) fn check_query(query: &[u8]) -> Result<(), CanonicalizationError> {
    let fits = |octet: &u8| octet.is_ascii_graphic() && !matches!(octet, b'#' | b'"' | b'<' | b'>');
    match query.iter().find(|octet| !fits(octet)) {
        None => Ok(()),
        Some(b'"' | b'<' | b'>') => Err(CanonicalizationError::Query),
        Some(octet) => Err(refusal(*octet)),
    }
}

fn check_segment(segment: &[u8], last: bool) -> Result<(), CanonicalizationError> {
    match segment {
        [] if !last => Err(CanonicalizationError::EmptySegment),
        b"." | b".." => Err(CanonicalizationError::DotSegment),
        _ => Ok(()),
    }
}

const fn refusal(octet: u8) -> CanonicalizationError {
    match octet {
        b'\\' => CanonicalizationError::Backslash,
        b';' => CanonicalizationError::PathParameter,
        b'#' => CanonicalizationError::Fragment,
        0x80.. => CanonicalizationError::NotAscii,
        _ => CanonicalizationError::Control,
    }
}

fn rewrite(path: &[u8]) -> Result<Vec<u8>, CanonicalizationError> {
    let mut written = Vec::with_capacity(path.len() + 16);
    let mut decoded = Vec::with_capacity(path.len());
    let mut octets = path.iter().copied();
    while let Some(octet) = octets.next() {
        let meant = match class(octet) {
            Class::Percent => decode(&mut octets)?,
            Class::Plain | Class::Slash | Class::Quoted => octet,
            Class::Refused => return Err(refusal(octet)),
        };
        decoded.push(meant);
        let stays =
            if octet == b'%' { bytes::is_unreserved(meant) } else { class(octet) != Class::Quoted };
        if stays {
            written.push(meant);
        } else {
            encode(meant, &mut written);
        }
    }
    check_text(&decoded)?;
    check_segments(&written)?;
    Ok(written)
}

/// Decodes the two digits after a percent sign and rejects characters that must not be encoded.
fn decode(octets: &mut impl Iterator<Item = u8>) -> Result<u8, CanonicalizationError> {
    let mut digit = || {
        octets.next().and_then(bytes::hexadecimal).ok_or(CanonicalizationError::MalformedPercent)
    };
    let meant = digit()? * 16 + digit()?;
    match meant {
        b'/' => Err(CanonicalizationError::EncodedSlash),
        b'\\' => Err(CanonicalizationError::Backslash),
        b';' => Err(CanonicalizationError::PathParameter),
        0..=0x1f | 0x7f => Err(CanonicalizationError::Control),
        _ => Ok(meant),
    }
}

fn encode(octet: u8, written: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let digit = |value: u8| DIGITS.get(usize::from(value & 15)).copied().unwrap_or(b'0');
    written.extend([b'%', digit(octet >> 4), digit(octet)]);
}

/// Checks that encoded bytes are UTF-8 in its shortest form; otherwise upstreams disagree on their meaning.
fn check_text(decoded: &[u8]) -> Result<(), CanonicalizationError> {
    let text = str::from_utf8(decoded).map_err(|_| CanonicalizationError::NotUtf8)?;
    if text.chars().any(char::is_control) { Err(CanonicalizationError::Control) } else { Ok(()) }
}

fn check_segments(written: &[u8]) -> Result<(), CanonicalizationError> {
    let hidden = |octets: &[u8]| {
        matches!(octets, [b'%', b'2', b'5', high, low]
            if high.is_ascii_hexdigit() && low.is_ascii_hexdigit())
    };
    if written.windows(5).any(hidden) {
        return Err(CanonicalizationError::DoubleEncoding);
    }
    let mut segments =
        written.strip_prefix(b"/").unwrap_or(written).split(|octet| *octet == b'/').peekable();
    while let Some(segment) = segments.next() {
        check_segment(segment, segments.peek().is_none())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(path: &str) -> Result<String, CanonicalizationError> {
        canonical_path(path.as_bytes()).map(|path| String::from_utf8(path.into_owned()).unwrap())
    }

    #[test]
    fn a_usual_path_is_not_copied() {
        for path in
            ["/", "/a", "/a/", "/a/b.c/~d_e-f", "/@me/a:b/c+d,e=f!$&'()*", "/...", "/.a/..b"]
        {
            let found = canonical_path(path.as_bytes()).unwrap();
            assert!(matches!(found, Cow::Borrowed(_)), "{path}");
            assert_eq!(&*found, path.as_bytes());
        }
    }

    /// path-confusion-005, path-confusion-015, path-confusion-016
    #[test]
    fn one_path_has_one_spelling() {
        for (sent, meant) in [
            ("/%61%64min/x", "/admin/x"),
            ("/%41dmin/x", "/Admin/x"),
            ("/a%2db%5Fc%7e", "/a-b_c~"),
            ("/a%20b", "/a%20b"),
            ("/a%3fb%23c", "/a%3Fb%23c"),
            ("/a%40b", "/a%40b"),
            ("/caf%c3%a9", "/caf%C3%A9"),
            ("/a[b]|{c}^\"<>`", "/a%5Bb%5D%7C%7Bc%7D%5E%22%3C%3E%60"),
            ("/100%25", "/100%25"),
            ("/%2e%2ex", "/..x"),
        ] {
            assert_eq!(canonical(sent).as_deref(), Ok(meant), "{sent}");
            assert_eq!(canonical(meant).as_deref(), Ok(meant), "{meant}");
        }
    }

    /// path-confusion-001 to -004, -006, -013, -014, -017, -018
    #[test]
    fn a_path_without_one_meaning_is_refused() {
        use CanonicalizationError;
        for (path, expected) in [
            ("/public/../admin/x", CanonicalizationError::DotSegment),
            ("/public/./../admin/x", CanonicalizationError::DotSegment),
            ("/public/a/../../admin/x", CanonicalizationError::DotSegment),
            ("/app/%2e%2e/admin", CanonicalizationError::DotSegment),
            ("/app/.%2E/admin", CanonicalizationError::DotSegment),
            ("/app/.", CanonicalizationError::DotSegment),
            ("/app/%2e", CanonicalizationError::DotSegment),
            ("/public/%252e%252e/admin/x", CanonicalizationError::DoubleEncoding),
            ("/public/%252e%252e%252fadmin/x", CanonicalizationError::DoubleEncoding),
            ("/public/%25%32%65/x", CanonicalizationError::DoubleEncoding),
            ("/public/%2525", CanonicalizationError::DoubleEncoding),
            ("/public/..;/admin/x", CanonicalizationError::PathParameter),
            ("/public;x=1/../admin/x", CanonicalizationError::PathParameter),
            ("/admin;a=b/x", CanonicalizationError::PathParameter),
            ("/admin%3ba=b/x", CanonicalizationError::PathParameter),
            ("/public/x;/../../admin", CanonicalizationError::PathParameter),
            ("//admin/x", CanonicalizationError::EmptySegment),
            ("///admin/x", CanonicalizationError::EmptySegment),
            ("/public//../admin/x", CanonicalizationError::EmptySegment),
            ("/app//admin%20", CanonicalizationError::EmptySegment),
            ("/a//", CanonicalizationError::EmptySegment),
            ("/app%2fadmin", CanonicalizationError::EncodedSlash),
            ("/app%2Fadmin", CanonicalizationError::EncodedSlash),
            ("/app%5cadmin", CanonicalizationError::Backslash),
            ("/app\\admin", CanonicalizationError::Backslash),
            ("/admin/%", CanonicalizationError::MalformedPercent),
            ("/admin/%zz", CanonicalizationError::MalformedPercent),
            ("/admin/%2", CanonicalizationError::MalformedPercent),
            ("/admin/%u002e", CanonicalizationError::MalformedPercent),
            ("/admin/%2%65", CanonicalizationError::MalformedPercent),
            ("/health%0a/admin", CanonicalizationError::Control),
            ("/health%0d%0a", CanonicalizationError::Control),
            ("/admin%09", CanonicalizationError::Control),
            ("/admin%00", CanonicalizationError::Control),
            ("/admin%7f", CanonicalizationError::Control),
            ("/admin%c2%85", CanonicalizationError::Control),
            ("/a b", CanonicalizationError::Control),
            ("/a\0b", CanonicalizationError::Control),
            ("/a#b", CanonicalizationError::Fragment),
            ("/é", CanonicalizationError::NotAscii),
            ("/%c0%ae%c0%ae/admin", CanonicalizationError::NotUtf8),
            ("/%e0%80%af", CanonicalizationError::NotUtf8),
            ("/%ff", CanonicalizationError::NotUtf8),
            ("/%c3", CanonicalizationError::NotUtf8),
            ("/%ed%a0%80", CanonicalizationError::NotUtf8),
            ("admin", CanonicalizationError::Target),
            ("", CanonicalizationError::Target),
        ] {
            assert_eq!(canonical(path), Err(expected), "{path:?}");
        }
    }

    #[test]
    fn a_query_is_kept_or_refused() {
        assert_eq!(check_query(b"a=/../%2f%zz;b=`|\\^{}[]'&c=%00?d"), Ok(()));
        assert_eq!(check_query(b"a b"), Err(CanonicalizationError::Control));
        assert_eq!(check_query(b"a\r"), Err(CanonicalizationError::Control));
        assert_eq!(check_query(b"a#b"), Err(CanonicalizationError::Fragment));
        assert_eq!(check_query(b"a<b"), Err(CanonicalizationError::Query));
        assert_eq!(check_query("é".as_bytes()), Err(CanonicalizationError::NotAscii));
    }
}
