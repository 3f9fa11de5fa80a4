//! The cookie by which an account knows a device again (decision 0006).

use http::{HeaderMap, HeaderValue};

use super::cookie::Cookie;
use crate::model::Secret;
use crate::rules::request::cookies;
use crate::services::login::device::LIFETIME;

/// The token that came with a request.
pub(super) fn presented(headers: &HeaderMap) -> Option<Secret> {
    cookies::read(headers, cookies::DEVICE).value().map(Secret::new)
}

/// The field that gives a device its token. It is not sent from other sites.
pub(super) fn field(token: &Secret) -> Option<HeaderValue> {
    Cookie { same_site: "Strict", lifetime: Some(LIFETIME), ..Cookie::new(cookies::DEVICE) }
        .field(token.expose())
}
