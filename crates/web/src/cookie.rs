//! `Set-Cookie` fields of the gateway's own cookies.

use std::time::Duration;

use axum::response::Response;
use http::{HeaderValue, header};

/// The attributes of a cookie. All cookies are for this host, `Secure`, for every path and `HttpOnly`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cookie<'a> {
    /// One of [`guarita_core::http::cookies`].
    pub(super) name: &'a str,
    /// `SameSite`: `Lax` is sent when a link on another site leads here, `Strict` is not.
    pub(super) same_site: &'static str,
    /// `Max-Age`; without it, the cookie is kept until the browser closes.
    pub(super) lifetime: Option<Duration>,
}

impl<'a> Cookie<'a> {
    /// A cookie with `SameSite=Lax`, kept until the browser closes.
    pub(super) const fn new(name: &'a str) -> Self {
        Self { name, same_site: "Lax", lifetime: None }
    }

    /// The field that sets the cookie. [`None`] if the value is not valid in a header field.
    pub(super) fn field(self, value: &str) -> Option<HeaderValue> {
        let Self { name, same_site, lifetime } = self;
        let mut text = format!("{name}={value}; Path=/; Secure; HttpOnly; SameSite={same_site}");
        if let Some(lifetime) = lifetime {
            text.push_str("; Max-Age=");
            text.push_str(&lifetime.as_secs().to_string());
        }
        let mut field = HeaderValue::try_from(text).ok()?;
        field.set_sensitive(true);
        Some(field)
    }

    /// The field that removes the cookie.
    pub(super) fn removal(self) -> Option<HeaderValue> {
        Self { lifetime: Some(Duration::ZERO), ..self }.field("")
    }
}

/// Adds a `Set-Cookie` field to a response.
pub(super) fn set(response: &mut Response, field: Option<HeaderValue>) {
    response.headers_mut().extend(field.map(|field| (header::SET_COOKIE, field)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_for_this_host_tls_and_no_script() {
        let cookie = Cookie::new("__Host-guarita-session");
        assert_eq!(
            cookie.field("x").unwrap(),
            "__Host-guarita-session=x; Path=/; Secure; HttpOnly; SameSite=Lax"
        );
        assert_eq!(
            cookie.removal().unwrap(),
            "__Host-guarita-session=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0"
        );
        assert!(cookie.field("x\r\nSet-Cookie: a=b").is_none());
    }
}
