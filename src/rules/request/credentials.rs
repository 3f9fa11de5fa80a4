//! The credentials that a request presents, in the order they are tried (contract section 5).
//!
//! Reading is strict: a credential that two parsers could read as two is presented, and unusable.

use http::{HeaderMap, HeaderName, header};

/// A credential presented, unproven.
#[derive(Clone, Copy)]
pub enum Credential<'a> {
    /// `Authorization: Bearer`.
    Bearer(&'a str),
}

/// Whether a field carries a credential, whatever its separators: it is not forwarded unless the
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

/// The ordered candidates.
pub struct Candidates<'a> {
    bearer: Option<&'a str>,
    presented: bool,
}

impl<'a> Candidates<'a> {
    /// Reads them from the header fields.
    pub fn read(headers: &'a HeaderMap) -> Self {
        let mut fields = headers.get_all(header::AUTHORIZATION).iter();
        let Some(field) = fields.next() else {
            return Self { bearer: None, presented: false };
        };
        if fields.next().is_some() {
            return Self { bearer: None, presented: true };
        }
        match read_authorization(field.as_bytes()) {
            Authorization::Empty => Self { bearer: None, presented: false },
            Authorization::Bearer(token) => Self { bearer: Some(token), presented: true },
            Authorization::Unusable => Self { bearer: None, presented: true },
        }
    }

    /// In order.
    pub fn iter(&self) -> impl Iterator<Item = Credential<'a>> {
        self.bearer.map(Credential::Bearer).into_iter()
    }

    /// Whether anything was brought, even if it cannot be used: two `Authorization` fields, another
    /// scheme, a malformed token. An empty field brings nothing.
    pub const fn presented(&self) -> bool {
        self.presented
    }
}

enum Authorization<'a> {
    Empty,
    Bearer(&'a str),
    Unusable,
}

/// `Bearer`, one space, a token68 (RFC 6750 section 2.1). The scheme is matched in any case (RFC
/// 9110 section 11.1); more than one space is refused, because parsers differ in what they take.
fn read_authorization(value: &[u8]) -> Authorization<'_> {
    const SCHEME: &[u8] = b"bearer";
    if value.trim_ascii().is_empty() {
        return Authorization::Empty;
    }
    match value.split_at_checked(SCHEME.len()) {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case(SCHEME) => match rest {
            [b' ', token @ ..] if is_token68(token) => {
                str::from_utf8(token).map_or(Authorization::Unusable, Authorization::Bearer)
            }
            _ if rest.trim_ascii().is_empty() => Authorization::Empty,
            _ => Authorization::Unusable,
        },
        _ => Authorization::Unusable,
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
        let candidates = Candidates::read(&headers);
        let bearer = candidates.iter().next().map(|Credential::Bearer(token)| token.to_owned());
        (bearer, candidates.presented())
    }

    #[test]
    fn a_bearer_token_is_a_candidate_whatever_the_scheme_s_case() {
        for scheme in ["Bearer", "bearer", "BEARER", "bEaReR"] {
            let field = format!("{scheme} aB1-._~+/==");
            assert_eq!(read(&[field.as_bytes()]), (Some("aB1-._~+/==".to_owned()), true));
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
