//! The gateway's own cookies: read from requests, and never forwarded to upstreams.
//!
//! The `__Host-` prefix binds them to this host, to TLS and to `Path=/` (RFC 6265bis section 4.1.3.2), so
//! that no sibling domain can set one.

use http::{HeaderMap, HeaderValue, header};

/// The session.
pub const SESSION: &str = "__Host-guarita-session";
/// The seed of the CSRF token.
pub const CSRF: &str = "__Host-guarita-csrf";
/// The token by which an account recognizes a known device.
pub const DEVICE: &str = "__Host-guarita-device";
/// The ticket of a login that is pending for its second factor.
pub const TICKET: &str = "__Host-guarita-mfa";
/// Prefix of the cookies of pending logins with a provider; one cookie per login.
pub const PROVIDER_LOGIN: &str = "__Host-guarita-provider-";
/// The language that the user chose.
pub const LANGUAGE: &str = "__Host-guarita-language";

/// Prefix of the names of the gateway's own cookies; browsers ignore its case.
const PREFIX: &[u8] = b"__host-guarita-";

/// The value of a cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CookieValue<'a> {
    /// No cookie, or an empty value.
    Nothing,
    /// One value, possibly repeated.
    One(&'a str),
    /// Different values or non-ASCII bytes: ambiguous.
    Ambiguous,
}

impl<'a> CookieValue<'a> {
    /// The value, if there is exactly one.
    pub const fn value(self) -> Option<&'a str> {
        match self {
            Self::One(value) => Some(value),
            Self::Nothing | Self::Ambiguous => None,
        }
    }
}

/// Reads the cookie of this name. Names are compared exactly.
pub fn read<'a>(headers: &'a HeaderMap, name: &str) -> CookieValue<'a> {
    let mut brought = CookieValue::Nothing;
    let fields = headers.get_all(header::COOKIE);
    let pairs = fields.iter().flat_map(|field| field.as_bytes().split(|byte| *byte == b';'));
    for pair in pairs {
        let Some(value) = pair.trim_ascii().strip_prefix(name.as_bytes()) else { continue };
        let Some(value) = value.strip_prefix(b"=") else { continue };
        brought = match (str::from_utf8(value.trim_ascii()), brought) {
            (Ok(""), _) => brought,
            (Ok(value), CookieValue::Nothing) => CookieValue::One(value),
            (Ok(value), CookieValue::One(before)) if value == before => brought,
            (Ok(_) | Err(_), _) => CookieValue::Ambiguous,
        };
    }
    brought
}

/// The cookies with this prefix, each with the rest of its name and its value.
pub fn beginning_with<'a>(
    headers: &'a HeaderMap,
    prefix: &'static str,
) -> impl Iterator<Item = (&'a str, &'a str)> {
    let fields = headers.get_all(header::COOKIE);
    let pairs = fields.iter().flat_map(|field| field.as_bytes().split(|byte| *byte == b';'));
    pairs.filter_map(move |pair| {
        let pair = str::from_utf8(pair.trim_ascii()).ok()?.strip_prefix(prefix)?;
        pair.split_once('=')
    })
}

/// The field without the gateway's own cookies: [`None`] if it has none of them, an empty value if it
/// has no others.
pub fn without_own(field: &HeaderValue) -> Option<HeaderValue> {
    let pairs = || field.as_bytes().split(|byte| *byte == b';');
    if !pairs().any(is_own) {
        return None;
    }
    let kept: Vec<&[u8]> = pairs().filter(|pair| !is_own(pair)).map(<[u8]>::trim_ascii).collect();
    let kept = kept.join(&b"; "[..]);
    Some(HeaderValue::from_bytes(&kept).unwrap_or(HeaderValue::from_static("")))
}

/// Whether a `Set-Cookie` field sets one of the gateway's own cookies, which upstreams must not do.
pub fn sets_own(field: &HeaderValue) -> bool {
    is_own(field.as_bytes())
}

/// Some browsers treat text after a leading `=` as a nameless cookie, and send it back without the `=`.
fn is_own(mut pair: &[u8]) -> bool {
    while let [b'=' | b' ' | b'\t', rest @ ..] = pair {
        pair = rest;
    }
    let name = pair.get(..PREFIX.len());
    name.is_some_and(|name| name.eq_ignore_ascii_case(PREFIX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_cookies_go_and_others_stay_as_they_are() {
        for (field, left) in [
            ("a=1; __Host-guarita-device=x; b=2", Some("a=1; b=2")),
            ("__Host-guarita-device=x", Some("")),
            ("__HOST-GUARITA-session=x;a=1;__host-guarita-y", Some("a=1")),
            ("a=1; =__Host-guarita-session=x; == __Host-guarita-csrf", Some("a=1")),
            ("a=1;  b=2", None),
            ("x__Host-guarita-device=1", None),
            ("", None),
        ] {
            let field = HeaderValue::from_str(field).unwrap();
            let left = left.map(|left| HeaderValue::from_str(left).unwrap());
            assert_eq!(without_own(&field), left, "{field:?}");
        }
    }

    #[test]
    fn a_field_that_sets_one_of_ours_is_known_however_it_is_written() {
        for (field, own) in [
            ("__Host-guarita-session=x; Path=/", true),
            ("  __HOST-Guarita-csrf = x", true),
            ("__Host-guarita-", true),
            ("=__Host-guarita-session=x", true),
            (" = =\t__host-guarita-session=x", true),
            ("__Host-other=x", false),
            ("a=__Host-guarita-session", false),
            ("", false),
        ] {
            assert_eq!(sets_own(&HeaderValue::from_static(field)), own, "{field}");
        }
    }

    #[test]
    fn cookies_are_found_by_how_their_names_begin() {
        let mut headers = HeaderMap::new();
        for field in ["a=1; __Host-guarita-provider-x=1.y=; b=2", "__Host-guarita-provider-z=2"] {
            headers.append(header::COOKIE, HeaderValue::from_static(field));
        }
        let bytes = HeaderValue::from_bytes(b"__Host-guarita-provider-\xe9=1").unwrap();
        headers.append(header::COOKIE, bytes);
        let found: Vec<_> = beginning_with(&headers, PROVIDER_LOGIN).collect();
        assert_eq!(found, [("x", "1.y="), ("z", "2")]);
    }

    /// csrf-origin-006
    #[test]
    fn a_cookie_that_differs_from_its_twin_counts_for_nothing() {
        for (fields, brought) in [
            (&[][..], CookieValue::Nothing),
            (&["a=b"], CookieValue::Nothing),
            (&["__Host-guarita-session="], CookieValue::Nothing),
            (&["__Host-guarita-session"], CookieValue::Nothing),
            (&["__host-guarita-session=x"], CookieValue::Nothing),
            (&["guarita-session=x; a__Host-guarita-session=y"], CookieValue::Nothing),
            (&["__Host-guarita-session2=x"], CookieValue::Nothing),
            (&["a=b; __Host-guarita-session=x"], CookieValue::One("x")),
            (&["a=b", "__Host-guarita-session=x=y"], CookieValue::One("x=y")),
            (&["__Host-guarita-session=; __Host-guarita-session=x"], CookieValue::One("x")),
            (&["__Host-guarita-session=x", "__Host-guarita-session=x"], CookieValue::One("x")),
            (&["__Host-guarita-session=x; __Host-guarita-session=y"], CookieValue::Ambiguous),
            (&["__Host-guarita-session=x", "__Host-guarita-session=y"], CookieValue::Ambiguous),
        ] {
            let mut headers = HeaderMap::new();
            for field in fields {
                headers.append(header::COOKIE, HeaderValue::from_str(field).unwrap());
            }
            assert_eq!(read(&headers, SESSION), brought, "{fields:?}");
        }
        let mut headers = HeaderMap::new();
        let field = HeaderValue::from_bytes(b"__Host-guarita-session=\xe9").unwrap();
        headers.append(header::COOKIE, field);
        assert_eq!(read(&headers, SESSION), CookieValue::Ambiguous);
    }
}
