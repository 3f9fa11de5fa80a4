//! Where a user is redirected after signing in: always a path of this origin.

use std::fmt::Write as _;

use super::canonical_path;
use super::path::check_query;

/// Maximum length of the target, in bytes.
const MAX_LENGTH: usize = 2048;

/// A path of this origin with its query, in canonical form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReturnTo(Box<str>);

impl ReturnTo {
    /// Parses the value of a form or query; [`None`] for anything that is not a path of this origin. Whatever
    /// the gateway rejects as ambiguous is not accepted: schemes, hosts, `//`, backslashes, dot segments and
    /// control characters, raw or encoded.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > MAX_LENGTH || !text.starts_with('/') {
            return None;
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) || text.contains('#') {
            return None;
        }
        let (path, query) = match text.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (text, None),
        };
        let path = canonical_path(path.as_bytes()).ok()?;
        let path = str::from_utf8(&path).ok()?;
        let Some(query) = query else { return Some(Self(path.into())) };
        check_query(query.as_bytes()).ok()?;
        Some(Self(format!("{path}?{query}").into()))
    }

    /// The value of `Location`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Percent-encoded, as the value of a query parameter.
    pub fn encoded(&self) -> String {
        let mut text = String::with_capacity(self.0.len() + 16);
        for byte in self.0.bytes() {
            if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
                text.push(char::from(byte));
            } else {
                // Writing to a string cannot fail.
                let _ = write!(text, "%{byte:02X}");
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::ReturnTo;

    #[test]
    fn a_path_of_this_origin_is_a_target() {
        for path in ["/", "/orders", "/orders/7?a=b&c=%2F", "/a-b_c~d", "/caf%C3%A9"] {
            assert_eq!(ReturnTo::parse(path).unwrap().as_str(), path);
        }
        let encoded = ReturnTo::parse("/orders?a=b&c=d").unwrap().encoded();
        assert_eq!(encoded, "/orders%3Fa%3Db%26c%3Dd");
    }

    /// redirect-001, redirect-002
    #[test]
    fn nothing_else_is() {
        for text in [
            "",
            "orders",
            "https://evil.test/",
            "//evil.test",
            "/\\evil.test",
            "/%5cevil.test",
            "https:evil.test",
            "https://app.example.test@evil.test",
            "https://app.example.test.evil.test",
            "https://evilexample.test",
            "javascript:alert(1)",
            "data:text/html,x",
            "/%09/evil.test",
            "/\t/evil.test",
            "ht\\ttps://evil.test",
            "https://evil.test#.example.test",
            "https://evil.test\\.example.test",
            "///evil.test",
            "/..//evil.test",
            "/../evil.test",
            "/%2e%2e/evil.test",
            "/%2f/evil.test",
            "/.//evil.test",
            "https://[::ffff:1.2.3.4]/",
            "/x\r\nSet-Cookie: a=b",
            "/x%0d%0aSet-Cookie:%20a=b",
            "/x%0aSet-Cookie:%20a=b",
            "/x#y",
            "/x y",
            "/\u{560a}evil",
            " /x",
        ] {
            assert_eq!(ReturnTo::parse(text), None, "{text:?}");
        }
        assert!(ReturnTo::parse(&format!("/{}", "a".repeat(2047))).is_some());
        assert!(ReturnTo::parse(&format!("/{}", "a".repeat(2048))).is_none());
    }
}
