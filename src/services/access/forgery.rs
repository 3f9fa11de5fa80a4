//! Whether a request that a browser sent by itself was meant by the person: cookies go along with
//! whatever any page makes a browser send.
//!
//! Explicit credentials (a bearer token, an API key) are never sent by accident, so they need no
//! more.

use http::{HeaderMap, HeaderName, Method, header};

use crate::model::{Principal, Source};
use crate::rules::request::origin::is_safe;
use crate::rules::request::{OwnOrigins, Provenance, cookies};
use crate::rules::route::policy::Protection;
use crate::rules::token::browser;

/// Where the token is sent back.
pub const TOKEN: HeaderName = HeaderName::from_static("x-csrf-token");

/// What is asked, as far as it shows who meant it.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The method.
    pub method: &'a Method,
    /// The header fields.
    pub headers: &'a HeaderMap,
    /// Our own origins.
    pub own: OwnOrigins<'a>,
}

impl Asked<'_> {
    /// Whether a request under a session cookie was meant: safe ones are, unless they open a
    /// WebSocket, which a browser lets any page do and which says its origin.
    pub fn is_meant(&self, protection: Protection) -> bool {
        if is_safe(self.method) && !self.opens_websocket() {
            return true;
        }
        match (Provenance::read(self.headers, &self.own), protection) {
            (Provenance::Foreign, _) => false,
            (Provenance::Own | Provenance::Unsaid, _) if is_safe(self.method) => true,
            (Provenance::Own, Protection::Origin) => true,
            (Provenance::Own, Protection::Token) | (Provenance::Unsaid, _) => self.has_token(),
        }
    }

    /// Whether a request for one of our own endpoints was meant. `proves_itself` where the endpoint
    /// takes a form and checks the token in it. What logs in or asks for mail is not to be sent by
    /// other sites either.
    pub fn is_meant_for_us(&self, caller: Option<&Principal>, proves_itself: bool) -> bool {
        if is_safe(self.method) {
            return true;
        }
        let source = caller.map(|caller| caller.identity().source());
        match source {
            Some(Source::Bearer | Source::ApiKey) => true,
            Some(Source::Session) if !proves_itself => self.is_meant(Protection::Token),
            Some(Source::Session) | None => {
                Provenance::read(self.headers, &self.own) != Provenance::Foreign
            }
        }
    }

    /// A proxy that asks about a handshake may have taken `Upgrade` from it; what a browser says beside
    /// it goes on.
    fn opens_websocket(&self) -> bool {
        [header::UPGRADE, header::SEC_WEBSOCKET_KEY]
            .iter()
            .any(|name| self.headers.contains_key(name))
    }

    fn has_token(&self) -> bool {
        let mut fields = self.headers.get_all(TOKEN).iter();
        let (Some(token), None) = (fields.next(), fields.next()) else { return false };
        token.to_str().is_ok_and(|token| token_holds(self.headers, token, Bound::ToSession))
    }
}

/// Whose token a request brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// The browser's, whoever is signed in: what signs in has no session yet.
    ToBrowser,
    /// The browser's and its session's.
    ToSession,
}

impl Bound {
    /// What the token of these fields' browser hangs on beside its seed: nothing, or its session's
    /// cookie. `None` where that is not there or has no single meaning.
    pub fn session(self, headers: &HeaderMap) -> Option<&str> {
        match self {
            Self::ToBrowser => Some(""),
            Self::ToSession => cookies::read(headers, cookies::SESSION).value(),
        }
    }
}

/// Whether a token is the one of the browser that sent these fields.
pub fn token_holds(headers: &HeaderMap, token: &str, bound: Bound) -> bool {
    let seed = cookies::read(headers, cookies::CSRF).value();
    let session = bound.session(headers);
    seed.zip(session).is_some_and(|(seed, session)| browser::csrf_matches(token, seed, session))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    const OWN: OwnOrigins<'_> =
        OwnOrigins { public: "https://app.test", scheme: "https", authority: "app.test" };
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
        Asked { method: &method, headers: &headers, own: OWN }.is_meant(protection)
    }

    /// csrf-origin-003
    #[test]
    fn an_unsafe_request_under_a_cookie_needs_its_token_and_no_foreign_page() {
        let seed = "s".repeat(43);
        let cookies = format!("__Host-guarita-session=S; __Host-guarita-csrf={seed}");
        let cookies = ("cookie", cookies.as_str());
        let token = browser::csrf_token(&seed, "S").expose().to_owned();
        let token = ("x-csrf-token", token.as_str());
        let of_nobody = browser::csrf_token(&seed, "").expose().to_owned();
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

    #[test]
    fn a_safe_request_needs_nothing_but_a_websocket_no_foreign_page() {
        for method in ["GET", "HEAD", "OPTIONS"] {
            assert!(meant(method, Protection::Token, &[EVIL]), "{method}");
        }
        assert!(meant("GET", Protection::Token, &[UPGRADE]));
        assert!(meant("GET", Protection::Token, &[UPGRADE, ("origin", "https://app.test")]));
        assert!(!meant("GET", Protection::Token, &[UPGRADE, EVIL]));
    }
}
