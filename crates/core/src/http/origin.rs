//! The site that a browser's request comes from (Fetch Metadata, RFC 6454).

use http::{HeaderMap, HeaderName, Method, header};

/// Fetch Metadata: the relation between the page that made the request and its target.
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Where a request comes from, as stated by the browser.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FetchMetadata {
    /// From Guarita's own pages or directly from the user: nothing that the browser states contradicts it.
    Own,
    /// From a page of another site, or of unknown origin.
    Foreign,
    /// Nothing is stated: not a current browser.
    Unsaid,
}

/// The origins that are accepted as own origins.
#[derive(Clone, Copy, Debug)]
pub struct AllowedOrigins<'a> {
    /// `public_url`.
    pub public: &'a str,
    /// The scheme that the client used.
    pub scheme: &'a str,
    /// The canonical authority that the client requested.
    pub authority: &'a str,
}

impl AllowedOrigins<'_> {
    fn contain(&self, origin: &str) -> bool {
        let asked = || origin.strip_prefix(self.scheme)?.strip_prefix("://");
        origin == self.public || asked().is_some_and(|authority| authority == self.authority)
    }
}

impl FetchMetadata {
    /// Evaluates `Sec-Fetch-Site` and `Origin`; each that is present must be an own origin. A page of a
    /// sibling domain (`same-site`) is another site. The origin `null` is sent by pages without a referrer
    /// and by opaque origins: alone it is another site, together with `same-origin` it is ignored.
    pub fn read(headers: &HeaderMap, own: &AllowedOrigins<'_>) -> Self {
        let mut said = Self::Unsaid;
        let mut same_origin = false;
        for site in headers.get_all(SEC_FETCH_SITE) {
            said = Self::Own;
            if !matches!(site.as_bytes(), b"same-origin" | b"none") {
                return Self::Foreign;
            }
            same_origin = site == "same-origin";
        }
        for origin in headers.get_all(header::ORIGIN) {
            said = Self::Own;
            let hidden = same_origin && origin == "null";
            if !hidden && !origin.to_str().is_ok_and(|origin| own.contain(origin)) {
                return Self::Foreign;
            }
        }
        said
    }
}

/// Whether a method is safe (RFC 9110 section 9.2.1).
pub fn is_safe(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::FetchMetadata::{Foreign, Own, Unsaid};
    use super::*;

    #[test]
    fn everything_the_browser_says_must_be_for_us() {
        let own = AllowedOrigins {
            public: "https://app.example.test",
            scheme: "https",
            authority: "localhost:8443",
        };
        for (fields, provenance) in [
            (&[][..], Unsaid),
            (&[("sec-fetch-site", "same-origin")], Own),
            (&[("sec-fetch-site", "none")], Own),
            (&[("sec-fetch-site", "same-site")], Foreign),
            (&[("sec-fetch-site", "cross-site")], Foreign),
            (&[("sec-fetch-site", "")], Foreign),
            (&[("sec-fetch-site", "same-origin"), ("sec-fetch-site", "cross-site")], Foreign),
            (&[("origin", "https://app.example.test")], Own),
            (&[("origin", "https://localhost:8443")], Own),
            (&[("origin", "http://localhost:8443")], Foreign),
            (&[("origin", "https://localhost")], Foreign),
            (&[("origin", "https://app.example.test.evil.test")], Foreign),
            (&[("origin", "https://app.example.test:8443")], Foreign),
            (&[("origin", "null")], Foreign),
            (&[("origin", "null"), ("sec-fetch-site", "same-origin")], Own),
            (&[("origin", "null"), ("sec-fetch-site", "none")], Foreign),
            (&[("origin", "null"), ("sec-fetch-site", "cross-site")], Foreign),
            (&[("origin", "")], Foreign),
            (&[("origin", "https://evil.test"), ("sec-fetch-site", "same-origin")], Foreign),
            (&[("origin", "https://localhost:8443"), ("sec-fetch-site", "cross-site")], Foreign),
            (&[("origin", "https://localhost:8443"), ("origin", "https://evil.test")], Foreign),
        ] {
            let mut headers = HeaderMap::new();
            for (name, value) in fields {
                headers.append(*name, HeaderValue::from_static(value));
            }
            assert_eq!(FetchMetadata::read(&headers, &own), provenance, "{fields:?}");
        }
    }

    #[test]
    fn a_method_that_is_not_known_to_be_safe_is_not() {
        for method in ["GET", "HEAD", "OPTIONS"] {
            assert!(is_safe(&method.parse().unwrap()), "{method}");
        }
        for method in ["POST", "PUT", "PATCH", "DELETE", "QUERY", "get"] {
            assert!(!is_safe(&method.parse().unwrap()), "{method}");
        }
    }
}
