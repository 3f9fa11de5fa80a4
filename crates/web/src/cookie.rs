//! `Set-Cookie` fields of the gateway's own cookies.

use std::time::Duration;

use axum::response::Response;
use http::{HeaderValue, header};

/// How a cookie is kept. All are for this host, for TLS and for every path, and no script reads them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cookie<'a> {
    /// One of [`guarita_core::http::cookies`].
    pub(super) name: &'a str,
    /// `Lax` goes along when a link elsewhere leads here, `Strict` never does.
    pub(super) same_site: &'static str,
    /// How long it is kept; until the browser closes where it is left out.
    pub(super) lifetime: Option<Duration>,
}

impl<'a> Cookie<'a> {
    /// `Lax`, until the browser closes.
    pub(super) const fn new(name: &'a str) -> Self {
        Self { name, same_site: "Lax", lifetime: None }
    }

    /// The field that sets it. `None` for a value that no field can hold.
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

    /// The field that removes it.
    pub(super) fn removal(self) -> Option<HeaderValue> {
        Self { lifetime: Some(Duration::ZERO), ..self }.field("")
    }
}

/// Sets or removes a cookie with an answer.
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
