//! The cookie by which an account knows a device again (decision 0006).

use http::{HeaderMap, HeaderValue, header};

use crate::model::Secret;
use crate::services::login::device::LIFETIME;

/// Its name; the prefix holds it to this host and to TLS (RFC 6265bis section 4.1.3.2).
pub const COOKIE: &str = "__Host-guarita-device";

/// The token that came with a request; of several the first.
pub(super) fn presented(headers: &HeaderMap) -> Option<Secret> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|field| field.to_str().ok())
        .flat_map(|field| field.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(name, _)| *name == COOKIE)
        .map(|(_, value)| Secret::new(value))
}

/// The field that gives a device its token. It is not sent from other sites, nor read by scripts.
pub(super) fn field(token: &Secret) -> Option<HeaderValue> {
    let text = format!(
        "{COOKIE}={}; Path=/; Max-Age={}; Secure; HttpOnly; SameSite=Strict",
        token.expose(),
        LIFETIME.as_secs()
    );
    let mut field = HeaderValue::try_from(text).ok()?;
    field.set_sensitive(true);
    Some(field)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_cookie_of_the_name_counts_and_what_is_broken_is_none() {
        let read = |fields: &[&str]| {
            let mut headers = HeaderMap::new();
            for field in fields {
                headers.append(header::COOKIE, HeaderValue::from_bytes(field.as_bytes()).unwrap());
            }
            presented(&headers).map(|token| token.expose().to_owned())
        };
        assert_eq!(read(&["a=b; __Host-guarita-device=x; __Host-guarita-device=y"]).unwrap(), "x");
        assert_eq!(read(&["a=b", "__Host-guarita-device=x=y"]).unwrap(), "x=y");
        for fields in
            [&[][..], &["a"], &["__host-guarita-device=x"], &["__Host-guarita-device"], &["é"]]
        {
            assert_eq!(read(fields), None, "{fields:?}");
        }
    }
}
