//! The session cookies of the Supabase libraries: `sb-access-token` (a token),
//! `sb-<project>-auth-token` (JSON, plain or as `base64-`, whole or in chunks `.0`, `.1`, …) and
//! `supabase-auth-token` (a JSON list).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderMap;
use serde::Deserialize;

use super::cookies::{self, CookieValue};
use crate::Secret;

/// The token itself.
const TOKEN: &str = "sb-access-token";
/// The predecessor of `sb-<project>-auth-token`.
const LIST: &str = "supabase-auth-token";
/// Prefix of a base64url value.
const BASE64: &str = "base64-";
/// Maximum number of chunks of a cookie.
const MAX_CHUNKS: usize = 16;
/// Maximum length of a value, in bytes.
const MAX_BYTES: usize = 64 << 10;

/// The names of these cookies; empty if no provider has one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProviderCookies(Vec<Box<str>>);

/// The value of a provider's cookie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FoundCookie {
    /// An access token, not verified.
    Token(Secret),
    /// An ambiguous value.
    Unusable,
}

/// The JSON that a library stores.
#[derive(Deserialize)]
#[serde(untagged)]
enum KeptCookie {
    Session { access_token: String },
    List(Vec<Option<String>>),
}

impl ProviderCookies {
    /// Cookies of these names, and the two names that do not depend on the project.
    pub fn new(names: Vec<Box<str>>) -> Self {
        Self(names)
    }

    /// The first that is present. A value that cannot be decoded is treated as absent.
    pub fn read(&self, headers: &HeaderMap) -> Option<FoundCookie> {
        if self.0.is_empty() {
            return None;
        }
        match cookies::read(headers, TOKEN) {
            CookieValue::One(token) => return Some(FoundCookie::Token(Secret::new(token))),
            CookieValue::Ambiguous => return Some(FoundCookie::Unusable),
            CookieValue::Nothing => {}
        }
        let names = self.0.iter().map(|name| &**name).chain([LIST]);
        let mut found = names.filter_map(|name| read_kept(headers, name));
        found.next()
    }
}

fn read_kept(headers: &HeaderMap, name: &str) -> Option<FoundCookie> {
    let whole = cookies::read(headers, name);
    let chunks = read_chunks(headers, name);
    let value = match (whole, chunks) {
        (CookieValue::Nothing, Ok(None)) => return None,
        (CookieValue::One(value), Ok(None)) => value.to_owned(),
        (CookieValue::Nothing, Ok(Some(value))) => value,
        // A session beside the pieces of another: either could be meant.
        (CookieValue::One(_), Ok(Some(_))) | (CookieValue::Ambiguous, _) | (_, Err(Ambiguous)) => {
            return Some(FoundCookie::Unusable);
        }
    };
    decode(&value).map(Secret::new).map(FoundCookie::Token)
}

struct Ambiguous;

/// The chunks up to the first that is missing, joined.
fn read_chunks(headers: &HeaderMap, name: &str) -> Result<Option<String>, Ambiguous> {
    let mut joined = None;
    for number in 0..MAX_CHUNKS {
        match cookies::read(headers, &format!("{name}.{number}")) {
            CookieValue::Nothing => break,
            CookieValue::One(chunk) => joined.get_or_insert_with(String::new).push_str(chunk),
            CookieValue::Ambiguous => return Err(Ambiguous),
        }
    }
    Ok(joined)
}

fn decode(value: &str) -> Option<String> {
    if value.len() > MAX_BYTES {
        return None;
    }
    let plain = percent_encoding::percent_decode_str(value).decode_utf8().ok()?;
    let json = match plain.strip_prefix(BASE64) {
        Some(encoded) => URL_SAFE_NO_PAD.decode(encoded.trim_end_matches('=')).ok()?,
        None => plain.into_owned().into_bytes(),
    };
    match serde_json::from_slice(&json).ok()? {
        KeptCookie::Session { access_token } => Some(access_token),
        KeptCookie::List(list) => list.into_iter().next().flatten(),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    const NAME: &str = "sb-ref-auth-token";
    const SESSION: &str = r#"{"access_token":"a.b.c","refresh_token":"r","user":{"id":"1"}}"#;

    fn read(pairs: &[(&str, &str)]) -> Option<FoundCookie> {
        let text: Vec<_> = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut headers = HeaderMap::new();
        headers.insert("cookie", HeaderValue::from_str(&text.join("; ")).unwrap());
        ProviderCookies::new(vec![NAME.into()]).read(&headers)
    }

    fn token(text: &str) -> Option<FoundCookie> {
        Some(FoundCookie::Token(Secret::new(text)))
    }

    fn base64() -> String {
        format!("{BASE64}{}", URL_SAFE_NO_PAD.encode(SESSION))
    }

    #[test]
    fn a_session_is_read_whole_and_in_chunks_plain_and_encoded() {
        let encoded = base64();
        let percent =
            percent_encoding::utf8_percent_encode(SESSION, percent_encoding::NON_ALPHANUMERIC);
        let percent = percent.to_string();
        for value in [encoded.as_str(), &percent, r#"{"access_token":"a.b.c"}"#] {
            assert_eq!(read(&[(NAME, value)]), token("a.b.c"), "{value}");
            let (one, rest) = value.split_at(7);
            let (two, three) = rest.split_at(rest.len() / 2);
            let chunk = |number: usize| format!("{NAME}.{number}");
            let pieces = [(chunk(0), one), (chunk(1), two), (chunk(2), three)];
            let mut pieces: Vec<_> = pieces.iter().map(|(name, it)| (name.as_str(), *it)).collect();
            assert_eq!(read(&pieces), token("a.b.c"), "{value}");
            pieces.reverse();
            assert_eq!(read(&pieces), token("a.b.c"), "{value}");
            // One is missing: what is left has no meaning, or ends early.
            pieces.remove(1);
            assert_eq!(read(&pieces), None, "{value}");
        }
        assert_eq!(read(&[(LIST, r#"["a.b.c","r",null]"#)]), token("a.b.c"));
        assert_eq!(read(&[(LIST, "[null]")]), None);
    }

    #[test]
    fn the_token_comes_first_and_another_project_s_cookie_is_none() {
        assert_eq!(read(&[(NAME, &base64()), (TOKEN, "x.y.z")]), token("x.y.z"));
        assert_eq!(read(&[(LIST, r#"["x.y.z"]"#), (NAME, &base64())]), token("a.b.c"));
        assert_eq!(read(&[("sb-other-auth-token", &base64())]), None);
        assert_eq!(read(&[("a", "b")]), None);
        let mut headers = HeaderMap::new();
        headers.insert("cookie", HeaderValue::from_static("sb-access-token=x.y.z"));
        assert_eq!(ProviderCookies::default().read(&headers), None);
    }

    #[test]
    fn mixed_cookies_are_unusable_and_nonsense_is_absent() {
        let (encoded, other) = (base64(), "base64-e30");
        let chunk = format!("{NAME}.0");
        assert_eq!(read(&[(NAME, &encoded), (&chunk, other)]), Some(FoundCookie::Unusable));
        assert_eq!(read(&[(NAME, &encoded), (NAME, other)]), Some(FoundCookie::Unusable));
        assert_eq!(read(&[(&chunk, &encoded), (&chunk, other)]), Some(FoundCookie::Unusable));
        assert_eq!(read(&[(TOKEN, "a"), (TOKEN, "b")]), Some(FoundCookie::Unusable));
        let second = format!("{NAME}.1");
        // The pieces of two sessions.
        assert_eq!(read(&[(&chunk, &encoded), (&second, &encoded)]), None);
        for value in ["base64-!", "base64-", "x", "{}", "[]", "[1]", "%ff", r#"{"access_token":1}"#]
        {
            assert_eq!(read(&[(NAME, value)]), None, "{value}");
        }
        assert_eq!(read(&[(NAME, &format!("base64-{}", "e".repeat(MAX_BYTES)))]), None);
    }
}
