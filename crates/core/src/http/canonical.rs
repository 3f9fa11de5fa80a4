//! The canonical form of method, host and path, which is matched, authorized and forwarded.

use std::borrow::Cow;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Version, header, uri::PathAndQuery};

use super::authority::Authority;
use super::method;
use super::path::{canonical_path, check_query};
use crate::http::canonicalization_error::CanonicalizationError;

/// Maximum length of the request target, in bytes.
pub const MAX_TARGET: usize = 8 * 1024;

/// A request as received, before any validation.
#[derive(Clone, Copy, Debug)]
pub struct RawRequest<'a> {
    /// The protocol version.
    pub version: Version,
    /// The method.
    pub method: &'a Method,
    /// The request target as sent: origin-form or absolute-form, raw bytes; for HTTP/2 `:path`.
    pub target: &'a [u8],
    /// `:authority` of HTTP/2; `None` on HTTP/1.
    pub authority: Option<&'a str>,
    /// The header fields.
    pub headers: &'a HeaderMap,
}

/// A request in canonical form: this is what is matched, authorized and forwarded. Parsing the forwarded request
/// yields the same value again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CanonicalRequest {
    authority: HeaderValue,
    host_length: usize,
    path_and_query: PathAndQuery,
}

impl CanonicalRequest {
    /// Parses a request.
    pub fn parse(arrived: &RawRequest<'_>) -> Result<Self, CanonicalizationError> {
        Self::parse_shared(arrived, None)
    }

    /// Like [`Self::parse`]. If `parsed` is the target in canonical form, which is the usual case, its
    /// buffer is shared instead of copied. The result does not depend on it.
    pub fn parse_shared(
        arrived: &RawRequest<'_>,
        parsed: Option<&PathAndQuery>,
    ) -> Result<Self, CanonicalizationError> {
        method::check(arrived.method.as_str().as_bytes()).map_err(CanonicalizationError::Method)?;
        if arrived.target.len() > MAX_TARGET {
            return Err(CanonicalizationError::TargetTooLong);
        }
        let (absolute, target) = split_target(arrived)?;
        let (authority, host_length) = canonical_authority(arrived, absolute)?;
        let path_and_query = canonical_target(target, parsed)?;
        Ok(Self { authority, host_length, path_and_query })
    }

    /// The host: lower case, without port and trailing dot; IPv6 addresses in brackets.
    pub fn host(&self) -> &str {
        self.authority().get(..self.host_length).unwrap_or_default()
    }
    /// The host, with the port if the request has one: forwarded as `Host`.
    pub fn authority(&self) -> &str {
        self.authority.to_str().unwrap_or_default()
    }
    /// [`Self::authority`] as a header value.
    pub const fn authority_header(&self) -> &HeaderValue {
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
    /// Path and query, as forwarded.
    pub const fn path_and_query(&self) -> &PathAndQuery {
        &self.path_and_query
    }

    /// Replaces the query by a part of it.
    pub(super) fn set_query(&mut self, query: Option<&str>) {
        let path = self.path();
        let whole = query.map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"));
        // A part of what was parsed: it cannot fail. Nothing was matched yet.
        let parsed = PathAndQuery::try_from(whole);
        self.path_and_query = parsed.unwrap_or(PathAndQuery::from_static("/"));
    }
}

/// The authority of an absolute URI and the default port of its scheme.
#[derive(Clone, Copy)]
struct Absolute<'a> {
    authority: &'a [u8],
    default_port: u16,
}

/// Splits an absolute-form target (RFC 9112 section 3.2.2) into authority and the rest.
fn split_target<'a>(
    arrived: &RawRequest<'a>,
) -> Result<(Option<Absolute<'a>>, &'a [u8]), CanonicalizationError> {
    let target = arrived.target;
    if target.starts_with(b"/") {
        return Ok((None, target));
    }
    let behind = |scheme: &[u8]| {
        let (start, rest) = target.split_at_checked(scheme.len())?;
        start.eq_ignore_ascii_case(scheme).then_some(rest)
    };
    let (rest, default_port) = match (behind(b"https://"), behind(b"http://")) {
        _ if arrived.version >= Version::HTTP_2 => return Err(CanonicalizationError::Target),
        (Some(rest), _) => (rest, 443),
        (None, Some(rest)) => (rest, 80),
        (None, None) => return Err(CanonicalizationError::Target),
    };
    let end = rest.iter().position(|octet| matches!(octet, b'/' | b'?' | b'#'));
    let (authority, target) =
        rest.split_at_checked(end.unwrap_or(rest.len())).ok_or(CanonicalizationError::Target)?;
    Ok((Some(Absolute { authority, default_port }), target))
}

fn canonical_authority(
    arrived: &RawRequest<'_>,
    absolute: Option<Absolute<'_>>,
) -> Result<(HeaderValue, usize), CanonicalizationError> {
    let mut hosts = arrived.headers.get_all(header::HOST).iter();
    let host = hosts.next();
    if hosts.next().is_some() {
        return Err(CanonicalizationError::HostRepeated);
    }
    let read = |octets| Authority::parse(octets).ok_or(CanonicalizationError::HostMalformed);
    let named = host.map(|value| read(value.as_bytes())).transpose()?;
    let stated = arrived.authority.map(|text| read(text.as_bytes())).transpose()?;
    if let (Some(named), Some(stated)) = (&named, &stated)
        && !named.agrees(stated, None)
    {
        return Err(CanonicalizationError::HostDiffers);
    }
    let meant = named.or(stated).ok_or(CanonicalizationError::HostMissing)?;
    if let Some(absolute) = absolute
        && !meant.agrees(&read(absolute.authority)?, Some(absolute.default_port))
    {
        return Err(CanonicalizationError::HostDiffers);
    }
    let value = match host {
        Some(value) if meant.is_canonical() => value.clone(),
        _ => HeaderValue::try_from(meant.to_string())
            .map_err(|_| CanonicalizationError::HostMalformed)?,
    };
    Ok((value, meant.host_length()))
}

fn canonical_target(
    target: &[u8],
    parsed: Option<&PathAndQuery>,
) -> Result<PathAndQuery, CanonicalizationError> {
    let end = target.iter().position(|octet| *octet == b'?').unwrap_or(target.len());
    let (path, query) = target.split_at_checked(end).ok_or(CanonicalizationError::Target)?;
    check_query(query)?;
    // Only an absolute URI can come without a path (RFC 9110 section 4.2.3).
    let path = if path.is_empty() { b"/" } else { path };
    let canonical = canonical_path(path)?;
    let is_as_sent = matches!(canonical, Cow::Borrowed(_));
    if let Some(parsed) = parsed
        && is_as_sent
        && parsed.as_str().as_bytes() == target
    {
        return Ok(parsed.clone());
    }
    let mut whole = canonical.into_owned();
    whole.extend_from_slice(query);
    if whole.len() > MAX_TARGET {
        return Err(CanonicalizationError::TargetTooLong);
    }
    PathAndQuery::from_maybe_shared(Bytes::from(whole)).map_err(|_| CanonicalizationError::Target)
}

#[cfg(test)]
mod tests;
