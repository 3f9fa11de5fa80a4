//! The credentials of a request, in the order in which they are tried.
//!
//! Parsing is strict: a credential that parsers could interpret differently counts as presented, but invalid.

use http::{HeaderMap, HeaderName, header};

use super::cookies::{self, CookieValue};
use super::provider_cookies::{FoundCookie, ProviderCookies};
use super::ws_ticket::{PresentedTicket, TicketParam};
use crate::Secret;

/// The header in which services send their key.
pub const API_KEY: HeaderName = HeaderName::from_static("x-service-api-key");
/// Maximum length of a key, in bytes.
const MAX_API_KEY: usize = 4096;

/// A credential that was presented and is not verified yet.
#[derive(Clone)]
pub enum Credential<'a> {
    /// `x-service-api-key`.
    ApiKey(&'a str),
    /// `Authorization: Bearer`.
    Bearer(&'a str),
    /// A session cookie.
    Session(&'a str),
    /// A provider's token from the cookie of its library.
    ProviderCookie(Secret),
    /// The ticket of a WebSocket handshake.
    Ticket(PresentedTicket<'a>),
    /// Malformed or ambiguous.
    Unusable,
}

/// Whether a field carries a credential, in any spelling of its separators. It is not forwarded unless the
/// route says so.
pub fn is_credential(name: &HeaderName) -> bool {
    const NAMES: [&[u8]; 2] = [b"authorization", b"x-service-api-key"];
    NAMES.iter().any(|known| {
        known.len() == name.as_str().len()
            && known.iter().zip(name.as_str().bytes()).all(|(known, sent)| {
                *known == sent || (*known == b'-' && matches!(sent, b'_' | b'.'))
            })
    })
}

/// The credentials of a request, in order.
pub struct Credentials<'a> {
    api_key: Option<Credential<'a>>,
    authorization: Option<Credential<'a>>,
    headers: &'a HeaderMap,
    cookies: &'a ProviderCookies,
    ticket: Option<Credential<'a>>,
}

impl<'a> Credentials<'a> {
    /// Reads them from the header fields; cookies are parsed on demand.
    pub fn read(headers: &'a HeaderMap, cookies: &'a ProviderCookies) -> Self {
        let api_key = read_one(headers, &API_KEY, read_api_key);
        let authorization = read_one(headers, &header::AUTHORIZATION, read_authorization);
        Self { api_key, authorization, headers, cookies, ticket: None }
    }

    /// Adds the ticket of a WebSocket handshake for this host and path as the last credential.
    #[must_use]
    pub fn with_ticket(self, brought: &'a TicketParam, host: &'a str, path: &'a str) -> Self {
        let ticket = match brought {
            TicketParam::Nothing => None,
            TicketParam::One(secret) => {
                Some(Credential::Ticket(PresentedTicket { secret, host, path }))
            }
            TicketParam::Several => Some(Credential::Unusable),
        };
        Self { ticket, ..self }
    }

    /// The ticket, if there is a valid one.
    pub const fn ticket(&self) -> Option<PresentedTicket<'a>> {
        match &self.ticket {
            Some(Credential::Ticket(ticket)) => Some(*ticket),
            Some(_) | None => None,
        }
    }

    /// Iterates in order.
    pub fn iter(&self) -> impl Iterator<Item = Credential<'a>> {
        let (headers, cookies) = (self.headers, self.cookies);
        let session = std::iter::once_with(|| read_session(headers)).flatten();
        let of_provider = std::iter::once_with(|| read_provider(headers, cookies)).flatten();
        let fields = self.api_key.iter().chain(&self.authorization).cloned();
        fields.chain(session).chain(of_provider).chain(self.ticket.clone())
    }

    /// Whether any credential was presented, even an invalid one: two `Authorization` fields, another
    /// scheme, a malformed token. An empty field is not a credential.
    pub fn presented(&self) -> bool {
        self.iter().next().is_some()
    }
}

/// Reads a field that must not be repeated.
fn read_one<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
    read: impl FnOnce(&'a [u8]) -> Option<Credential<'a>>,
) -> Option<Credential<'a>> {
    let mut fields = headers.get_all(name).iter();
    match (fields.next(), fields.next()) {
        (None, _) => None,
        (Some(field), None) => read(field.as_bytes()),
        (Some(_), Some(_)) => Some(Credential::Unusable),
    }
}

/// Visible ASCII, at most 4 KiB.
fn read_api_key(value: &[u8]) -> Option<Credential<'_>> {
    let value = value.trim_ascii();
    if value.is_empty() {
        return None;
    }
    let fits = value.len() <= MAX_API_KEY && value.iter().all(u8::is_ascii_graphic);
    let text = str::from_utf8(value).ok().filter(|_| fits);
    Some(text.map_or(Credential::Unusable, Credential::ApiKey))
}

fn read_session(headers: &HeaderMap) -> Option<Credential<'_>> {
    match cookies::read(headers, cookies::SESSION) {
        CookieValue::Nothing => None,
        CookieValue::One(cookie) => Some(Credential::Session(cookie)),
        CookieValue::Ambiguous => Some(Credential::Unusable),
    }
}

fn read_provider<'a>(headers: &HeaderMap, cookies: &ProviderCookies) -> Option<Credential<'a>> {
    Some(match cookies.read(headers)? {
        FoundCookie::Token(token) => Credential::ProviderCookie(token),
        FoundCookie::Unusable => Credential::Unusable,
    })
}

/// `Bearer`, one space, a token68 (RFC 6750 section 2.1). The case of the scheme is ignored (RFC 9110
/// section 11.1); more than one space is rejected, because parsers treat it differently.
fn read_authorization(value: &[u8]) -> Option<Credential<'_>> {
    const SCHEME: &[u8] = b"bearer";
    if value.trim_ascii().is_empty() {
        return None;
    }
    match value.split_at_checked(SCHEME.len()) {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case(SCHEME) => match rest {
            [b' ', token @ ..] if is_token68(token) => {
                Some(str::from_utf8(token).map_or(Credential::Unusable, Credential::Bearer))
            }
            _ if rest.trim_ascii().is_empty() => None,
            _ => Some(Credential::Unusable),
        },
        _ => Some(Credential::Unusable),
    }
}

/// `token68` of RFC 9110 section 11.2.
fn is_token68(token: &[u8]) -> bool {
    let mut body = token;
    while let [rest @ .., b'='] = body {
        body = rest;
    }
    let fits = |octet: &u8| {
        octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'.' | b'_' | b'~' | b'+' | b'/')
    };
    // Without an early end: tokens are long and mostly sound, and this way goes many octets at once.
    !body.is_empty() && body.iter().fold(true, |sound, octet| sound & fits(octet))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn read(fields: &[&[u8]]) -> (Option<String>, bool) {
        let mut headers = HeaderMap::new();
        for field in fields {
            headers.append(header::AUTHORIZATION, HeaderValue::from_bytes(field).unwrap());
        }
        let cookies = ProviderCookies::default();
        let candidates = Credentials::read(&headers, &cookies);
        let bearer = candidates.iter().find_map(|credential| match credential {
            Credential::Bearer(token) => Some(token.to_owned()),
            Credential::ApiKey(_)
            | Credential::Session(_)
            | Credential::ProviderCookie(_)
            | Credential::Ticket(_)
            | Credential::Unusable => None,
        });
        (bearer, candidates.presented())
    }

    #[test]
    fn a_key_comes_before_the_bearer_and_a_session_cookie_after_it() {
        let kinds = |fields: &[(&'static str, &'static str)]| -> String {
            let mut headers = HeaderMap::new();
            for (name, value) in fields {
                headers.append(*name, HeaderValue::from_static(value));
            }
            let kind = |credential| match credential {
                Credential::ApiKey(_) => 'a',
                Credential::Bearer(_) => 'b',
                Credential::Session(_) => 's',
                Credential::ProviderCookie(_) => 'p',
                Credential::Ticket(_) => 't',
                Credential::Unusable => 'u',
            };
            let cookies = ProviderCookies::new(vec!["sb-a-auth-token".into()]);
            Credentials::read(&headers, &cookies).iter().map(kind).collect()
        };
        let cookie = ("cookie", "a=b; __Host-guarita-session=x");
        let two = ("cookie", "__Host-guarita-session=y");
        assert_eq!(kinds(&[]), "");
        assert_eq!(kinds(&[("cookie", "a=b")]), "");
        assert_eq!(kinds(&[cookie]), "s");
        assert_eq!(kinds(&[cookie, two]), "u");
        assert_eq!(kinds(&[cookie, ("authorization", "Bearer x")]), "bs");
        assert_eq!(kinds(&[cookie, ("authorization", "Basic x")]), "us");
        assert_eq!(kinds(&[cookie, ("authorization", "")]), "s");
        let provider = ("cookie", "sb-access-token=a.b.c");
        assert_eq!(kinds(&[provider, cookie]), "sp");
        assert_eq!(kinds(&[provider, ("authorization", "Bearer x")]), "bp");
        let key = ("x-service-api-key", "key");
        assert_eq!(kinds(&[cookie, ("authorization", "Bearer x"), key]), "abs");
        assert_eq!(kinds(&[key, key]), "u");
        assert_eq!(kinds(&[("x-service-api-key", " ")]), "");
        assert_eq!(kinds(&[("x-service-api-key", "a b")]), "u");
        let long: &str = &"x".repeat(MAX_API_KEY + 1);
        assert_eq!(kinds(&[("x-service-api-key", String::leak(long.to_owned()))]), "u");
    }

    #[test]
    fn a_bearer_token_is_a_candidate_whatever_the_scheme_s_case() {
        for scheme in ["Bearer", "bearer", "BEARER", "bEaReR"] {
            let field = format!("{scheme} aB1-._~+/==");
            assert_eq!(read(&[field.as_bytes()]), (Some("aB1-._~+/==".to_owned()), true));
        }
    }

    #[test]
    fn a_ticket_comes_last_and_two_are_none() {
        let mut headers = HeaderMap::new();
        headers.append("cookie", HeaderValue::from_static("__Host-guarita-session=x"));
        let one = TicketParam::One(crate::Secret::new("t"));
        for (brought, expected) in
            [(TicketParam::Nothing, "s"), (one, "st"), (TicketParam::Several, "su")]
        {
            let cookies = ProviderCookies::default();
            let candidates = Credentials::read(&headers, &cookies);
            let candidates = candidates.with_ticket(&brought, "app.test", "/a");
            let kinds = candidates.iter().map(|credential| match credential {
                Credential::ApiKey(_) | Credential::Bearer(_) | Credential::ProviderCookie(_) => {
                    '?'
                }
                Credential::Session(_) => 's',
                Credential::Ticket(ticket) => {
                    assert_eq!((ticket.host, ticket.path), ("app.test", "/a"));
                    't'
                }
                Credential::Unusable => 'u',
            });
            assert_eq!(kinds.collect::<String>(), expected);
            assert_eq!(candidates.ticket().is_some(), expected.ends_with('t'));
        }
    }

    /// header-spoofing-019, and `Authorization: Basic` of header-spoofing-018
    #[test]
    fn a_malformed_credential_is_presented_and_no_candidate() {
        for field in [
            "Bearer  abc",
            "Bearer\tabc",
            "Bearer abc, Bearer def",
            "Bearer abc def",
            "Bearer abc,",
            "Bearer a=b",
            "Bearer =",
            "Bearer abc\t",
            "Bearer \"abc\"",
            "Bearerabc",
            "Bearer,abc",
            "abc",
            "Token abc",
            "Basic YTpi",
            "Bear",
            " Bearer abc",
        ] {
            assert_eq!(read(&[field.as_bytes()]), (None, true), "{field:?}");
        }
        assert_eq!(read(&[b"Bearer \xe9"]), (None, true));
    }

    #[test]
    fn two_fields_are_presented_and_neither_counts() {
        assert_eq!(read(&[b"Bearer abc", b"Bearer abc"]), (None, true));
        assert_eq!(read(&[b"", b"Bearer abc"]), (None, true));
    }

    #[test]
    fn an_empty_field_brings_nothing() {
        for field in ["", " ", "Bearer", "bearer ", "Bearer \t "] {
            assert_eq!(read(&[field.as_bytes()]), (None, false), "{field:?}");
        }
        assert_eq!(read(&[]), (None, false));
    }
}
