//! What a route's `hosts` and `path` may say.

use http::{HeaderMap, Method, Version, header};

use crate::rules::request::{Arrived, CanonicalRequest};

/// A pattern that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidPattern(pub &'static str);

/// A host to match, in canonical form.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HostPattern {
    /// One host.
    Exact(Box<str>),
    /// `*.example.test`: one label in place of `*`, as in certificates. Held without `*.`.
    Wildcard(Box<str>),
}

impl HostPattern {
    /// Parses `api.example.test` or `*.example.test`; no port.
    pub fn parse(text: &str) -> Result<Self, InvalidPattern> {
        let host = text.strip_prefix("*.").unwrap_or(text);
        let canonical = canonical(host, "/")
            .ok_or(InvalidPattern("a host is a name or an address, without scheme and path"))?;
        if canonical.authority() != canonical.host() {
            return Err(InvalidPattern("a host is written without its port"));
        }
        let host = canonical.host().into();
        Ok(if text.starts_with("*.") { Self::Wildcard(host) } else { Self::Exact(host) })
    }
}

/// One segment of a path pattern.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Segment {
    /// These characters, exactly.
    Literal(Box<str>),
    /// `{name}`: any one segment that is not empty.
    Any,
}

/// A path to match: segments, and whether anything may follow (`{*rest}`).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PathPattern {
    text: Box<str>,
    segments: Vec<Segment>,
    rest: bool,
}

impl PathPattern {
    /// Parses `/a/{name}/b` or `/a/{*rest}`.
    ///
    /// `/a/{*rest}` also matches `/a` and `/a/`: a protected tree has no unprotected door.
    pub fn parse(text: &str) -> Result<Self, InvalidPattern> {
        let Some(path) = text.strip_prefix('/') else {
            return Err(InvalidPattern("a path begins with /"));
        };
        if text.contains("//") {
            return Err(InvalidPattern("the path has an empty segment"));
        }
        let mut segments = Vec::new();
        let mut rest = false;
        for part in path.split('/') {
            if rest {
                return Err(InvalidPattern("{*rest} is the last segment of a path"));
            }
            match part.strip_prefix('{').and_then(|name| name.strip_suffix('}')) {
                Some(name) if name.starts_with('*') => {
                    rest = is_name(name.trim_start_matches('*'))?
                }
                Some(name) => {
                    is_name(name)?;
                    segments.push(Segment::Any);
                }
                None => segments.push(Segment::Literal(literal(part)?)),
            }
        }
        // `/{*rest}` stands for everything.
        Ok(Self { text: text.into(), segments, rest })
    }

    /// As written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The segments before `{*rest}`.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// Whether anything may follow.
    pub const fn has_rest(&self) -> bool {
        self.rest
    }
}

fn is_name(name: &str) -> Result<bool, InvalidPattern> {
    let holds = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if holds { Ok(true) } else { Err(InvalidPattern("a placeholder is {name} or {*name}")) }
}

/// A literal segment must be what the canonical form of a request can be; else it would never match.
fn literal(part: &str) -> Result<Box<str>, InvalidPattern> {
    if part.contains(['{', '}', '*', '?', '#']) {
        return Err(InvalidPattern("placeholders are whole segments: {name} or {*rest}"));
    }
    if part.is_empty() {
        return Ok("".into());
    }
    match canonical("a", &format!("/{part}")) {
        Some(request) if request.path().get(1..) == Some(part) => Ok(part.into()),
        _ => Err(InvalidPattern("the path is not in canonical form, so no request could match it")),
    }
}

fn canonical(host: &str, path: &str) -> Option<CanonicalRequest> {
    let mut headers = HeaderMap::new();
    headers.insert(header::HOST, host.parse().ok()?);
    CanonicalRequest::parse(&Arrived {
        version: Version::HTTP_11,
        method: &Method::GET,
        target: path.as_bytes(),
        parsed: None,
        authority: None,
        headers: &headers,
    })
    .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_that_no_request_could_match_is_refused() {
        for path in [
            "a",
            "",
            "/a//b",
            "/a/../b",
            "/a%2fb",
            "/%61",
            "/a;b",
            "/a/{*rest}/b",
            "/{",
            "/a{b}",
            "/{}",
            "/*",
            "/a?b",
        ] {
            assert!(PathPattern::parse(path).is_err(), "{path}");
        }
        for path in ["/", "/a", "/a/", "/a/{id}/b", "/a/{*rest}", "/{*rest}", "/%C3%A9"] {
            assert_eq!(PathPattern::parse(path).unwrap().as_str(), path);
        }
    }

    #[test]
    fn hosts_are_names_without_port() {
        assert_eq!(HostPattern::parse("API.test.").unwrap(), HostPattern::Exact("api.test".into()));
        assert_eq!(HostPattern::parse("*.a.test").unwrap(), HostPattern::Wildcard("a.test".into()));
        for host in ["a:80", "https://a", "a/b", "*", "*a.test", "a b", ""] {
            assert!(HostPattern::parse(host).is_err(), "{host}");
        }
    }
}
