//! CSRF protection: browsers send cookies with every request, whichever page caused it.
//!
//! Explicit credentials (a bearer token, an API key) are never sent automatically and need no protection.

use http::{HeaderMap, HeaderName, HeaderValue, Method, header};

use guarita_core::http::origin::is_safe;
use guarita_core::http::{AllowedOrigins, FetchMetadata, cookies};
use guarita_core::jose::session_cookie;
use guarita_core::route::policy::Protection;
use guarita_core::{Principal, Source};

/// The header of the CSRF token.
pub const TOKEN: HeaderName = HeaderName::from_static("x-csrf-token");

/// The properties of a request for the CSRF check.
#[derive(Clone, Copy, Debug)]
pub struct CsrfContext<'a> {
    /// The method.
    pub method: &'a Method,
    /// The header fields.
    pub headers: &'a HeaderMap,
    /// The own origins.
    pub own: AllowedOrigins<'a>,
}

impl CsrfContext<'_> {
    /// Whether a request with a session cookie passes the CSRF check. Safe methods pass, except for WebSocket
    /// handshakes: browsers allow them from any page and send its origin (RFC 6455 section 10.2), which must be
    /// present and an own one.
    pub fn is_meant(&self, protection: Protection) -> bool {
        if is_safe(self.method) {
            return !self.opens_websocket() || self.names_own_origin();
        }
        match (FetchMetadata::read(self.headers, &self.own), protection) {
            (FetchMetadata::Foreign, _) => false,
            (FetchMetadata::Own, Protection::Origin) => true,
            (FetchMetadata::Own, Protection::Token) | (FetchMetadata::Unsaid, _) => {
                self.has_token()
            }
        }
    }

    /// Whether a request to an own endpoint passes the CSRF check. `proves_itself` if the endpoint accepts a form and
    /// checks the token in it. Logins and requests for mail from other sites are rejected too.
    pub fn is_meant_for_us(&self, caller: Option<&Principal>, proves_itself: bool) -> bool {
        if is_safe(self.method) {
            return true;
        }
        let source = caller.map(|caller| caller.identity().source());
        match source {
            Some(Source::Bearer | Source::ApiKey) => true,
            Some(Source::Session) if !proves_itself => self.is_meant(Protection::Token),
            Some(Source::Session) | None => {
                FetchMetadata::read(self.headers, &self.own) != FetchMetadata::Foreign
            }
        }
    }

    /// Whether it is a handshake. A proxy that uses forward authentication may have removed `Upgrade`, but forwards the
    /// browser's other WebSocket fields.
    fn opens_websocket(&self) -> bool {
        let named = |value: &HeaderValue| {
            let mut names = value.as_bytes().split(|octet| *octet == b',');
            names.any(|name| name.trim_ascii().eq_ignore_ascii_case(b"websocket"))
        };
        self.headers.contains_key(header::SEC_WEBSOCKET_KEY)
            || self.headers.get_all(header::UPGRADE).iter().any(named)
    }

    /// The origin `null` is that of a page with an opaque origin.
    fn names_own_origin(&self) -> bool {
        let mut origins = self.headers.get_all(header::ORIGIN).iter();
        origins.next().is_some_and(|origin| origin != "null")
            && origins.next().is_none()
            && FetchMetadata::read(self.headers, &self.own) == FetchMetadata::Own
    }

    fn has_token(&self) -> bool {
        let mut fields = self.headers.get_all(TOKEN).iter();
        let (Some(token), None) = (fields.next(), fields.next()) else { return false };
        token.to_str().is_ok_and(|token| token_holds(self.headers, token, Bound::ToSession))
    }
}

/// What a CSRF token is bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// The browser only, for signing in, when there is no session yet.
    ToBrowser,
    /// The browser and its session.
    ToSession,
}

impl Bound {
    /// What the token is bound to besides the seed: nothing, or the session cookie. [`None`] if the cookie is missing or
    /// ambiguous.
    pub fn session(self, headers: &HeaderMap) -> Option<&str> {
        match self {
            Self::ToBrowser => Some(""),
            Self::ToSession => cookies::read(headers, cookies::SESSION).value(),
        }
    }
}

/// Whether a token is valid for the browser that sent these fields.
pub fn token_holds(headers: &HeaderMap, token: &str, bound: Bound) -> bool {
    let seed = cookies::read(headers, cookies::CSRF).value();
    let session = bound.session(headers);
    seed.zip(session)
        .is_some_and(|(seed, session)| session_cookie::csrf_matches(token, seed, session))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: AllowedOrigins<'_> =
        AllowedOrigins { public: "https://app.test", scheme: "https", authority: "app.test" };
    const SITE: (&str, &str) = ("sec-fetch-site", "same-origin");
    const EVIL: (&str, &str) = ("origin", "https://evil.test");
    const UPGRADE: (&str, &str) = ("upgrade", "websocket");

    fn meant(method: &str, protection: Protection, fields: &[(&str, &str)]) -> bool {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            let name: HeaderName = name.parse().unwrap();
            headers.append(name, HeaderValue::from_str(value).unwrap());
        }
        let method = method.parse().unwrap();
        CsrfContext { method: &method, headers: &headers, own: OWN }.is_meant(protection)
    }

    /// csrf-origin-003
    #[test]
    fn an_unsafe_request_under_a_cookie_needs_its_token_and_no_foreign_page() {
        let seed = "s".repeat(43);
        let cookies = format!("__Host-guarita-session=S; __Host-guarita-csrf={seed}");
        let cookies = ("cookie", cookies.as_str());
        let token = session_cookie::csrf_token(&seed, "S").expose().to_owned();
        let token = ("x-csrf-token", token.as_str());
        let of_nobody = session_cookie::csrf_token(&seed, "").expose().to_owned();
        let (by_token, by_origin) = (Protection::Token, Protection::Origin);
        for (expected, protection, fields) in [
            (true, by_token, &[cookies, token][..]),
            (true, by_token, &[cookies, token, SITE]),
            (false, by_token, &[cookies, token, EVIL]),
            (false, by_token, &[cookies, token, SITE, EVIL]),
            (false, by_token, &[cookies, token, token]),
            (false, by_token, &[cookies, SITE]),
            (false, by_token, &[cookies]),
            (false, by_token, &[cookies, ("x-csrf-token", ""), SITE]),
            (false, by_token, &[cookies, ("x-csrf-token", &of_nobody), SITE]),
            (false, by_token, &[("cookie", "__Host-guarita-session=S"), token, SITE]),
            (true, by_origin, &[cookies, SITE]),
            (true, by_origin, &[cookies, ("origin", "https://app.test")]),
            (false, by_origin, &[cookies, EVIL]),
            (false, by_origin, &[cookies]),
            (true, by_origin, &[cookies, token]),
        ] {
            for method in ["POST", "PUT", "PATCH", "DELETE", "UNKNOWN"] {
                assert_eq!(meant(method, protection, fields), expected, "{method} {fields:?}");
            }
        }
    }

    /// websocket-001, websocket-002
    #[test]
    fn a_safe_request_needs_nothing_but_a_websocket_our_own_origin() {
        const KEY: (&str, &str) = ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
        const OWN: (&str, &str) = ("origin", "https://app.test");
        const NULL: (&str, &str) = ("origin", "null");
        for method in ["GET", "HEAD", "OPTIONS"] {
            assert!(meant(method, Protection::Token, &[EVIL]), "{method}");
        }
        for opens in [UPGRADE, KEY, ("upgrade", "h2c, WebSocket")] {
            assert!(meant("GET", Protection::Token, &[opens, OWN]), "{opens:?}");
            assert!(meant("GET", Protection::Token, &[opens, OWN, SITE]), "{opens:?}");
            for said in
                [&[][..], &[EVIL], &[NULL], &[NULL, SITE], &[SITE], &[OWN, OWN], &[OWN, EVIL]]
            {
                let fields = [&[opens], said].concat();
                assert!(!meant("GET", Protection::Token, &fields), "{fields:?}");
                assert!(!meant("GET", Protection::Origin, &fields), "{fields:?}");
            }
        }
        assert!(meant("GET", Protection::Token, &[("upgrade", "h2c")]));
    }
}
