//! The cookie by which an account recognizes a known device (decision 0007).

use http::{HeaderMap, HeaderValue};

use super::cookie::Cookie;
use guarita_auth::login::device::LIFETIME;
use guarita_core::Secret;
use guarita_core::http::cookies;

/// The token of a request.
pub(super) fn presented(headers: &HeaderMap) -> Option<Secret> {
    cookies::read(headers, cookies::DEVICE).value().map(Secret::new)
}

/// The field that sets the token. The cookie is `SameSite=Strict`.
pub(super) fn field(token: &Secret) -> Option<HeaderValue> {
    Cookie { same_site: "Strict", lifetime: Some(LIFETIME), ..Cookie::new(cookies::DEVICE) }
        .field(token.expose())
}
