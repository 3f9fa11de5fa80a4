//! The credentials that a request presents, in the order they are tried (contract section 5).

use http::{HeaderMap, header};

/// A credential presented, unproven.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Credential<'a> {
    /// `Authorization: Bearer` (RFC 6750 section 2.1).
    Bearer(&'a str),
}

/// The ordered candidates.
#[derive(Clone, Copy)]
pub struct Candidates<'a> {
    bearer: Option<&'a str>,
    presented: bool,
}

impl<'a> Candidates<'a> {
    /// Reads them from the header fields. Two `Authorization` fields are no credential: which one
    /// an upstream would believe cannot be known.
    pub fn read(headers: &'a HeaderMap) -> Self {
        let mut fields = headers.get_all(header::AUTHORIZATION).iter();
        let bearer = match (fields.next(), fields.next()) {
            (Some(field), None) => std::str::from_utf8(field.as_bytes()).ok().and_then(bearer),
            (None, _) | (Some(_), Some(_)) => None,
        };
        Self { bearer, presented: headers.contains_key(header::AUTHORIZATION) }
    }

    /// In order.
    pub fn iter(&self) -> impl Iterator<Item = Credential<'a>> + use<'a> {
        self.bearer.map(Credential::Bearer).into_iter()
    }

    /// Whether anything was brought, usable or not.
    pub const fn presented(&self) -> bool {
        self.presented
    }
}

/// The token of `Bearer <b64token>`; the scheme in any case, one space or more. Whether the token is
/// one is for its verification to say: a look at each byte here would be paid on every request.
fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    let token = token.trim_matches(' ');
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(values: &[&str]) -> (Option<String>, bool) {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::AUTHORIZATION, value.parse().unwrap());
        }
        let candidates = Candidates::read(&headers);
        let token = candidates.iter().next().map(|Credential::Bearer(token)| token.to_owned());
        (token, candidates.presented())
    }

    #[test]
    fn one_bearer_token_is_read_whatever_the_case_of_its_scheme() {
        assert_eq!(read(&["Bearer a.b.c"]), (Some("a.b.c".into()), true));
        assert_eq!(read(&["bEARER  a.b.c"]), (Some("a.b.c".into()), true));
    }

    #[test]
    fn what_is_no_single_bearer_token_is_no_credential() {
        assert_eq!(read(&[]), (None, false));
        for values in [
            &["Bearer a", "Bearer a"][..],
            &["Bearer"],
            &["Bearer "],
            &["Basic YTpi"],
            &["Bearer\ta"],
            &["a.b.c"],
        ] {
            assert_eq!(read(values), (None, true), "{values:?}");
        }
    }
}
