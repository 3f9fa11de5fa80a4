//! What a page brings: the fields of a form or of a query, each at most once.

use std::collections::BTreeMap;

use axum::extract::{FromRequest, Request};
use http::HeaderMap;

use super::super::extract::read;
use super::super::path::FORM;
use super::super::refusal::Refused;
use crate::model::{Code, Secret};
use crate::services::access::forgery::{Bound, token_holds};

/// Most fields.
const MAX_FIELDS: usize = 16;

/// The fields that came, by name.
#[derive(Default)]
pub(super) struct Fields(BTreeMap<String, Secret>);

/// A field came twice, or there are too many: no single meaning.
#[derive(Debug)]
pub(super) struct Ambiguous;

impl Fields {
    /// Those of a query.
    pub(super) fn of_query(uri: &http::Uri) -> Result<Self, Ambiguous> {
        Self::read(uri.query().unwrap_or_default())
    }

    /// Reads `application/x-www-form-urlencoded`.
    pub(super) fn read(text: &str) -> Result<Self, Ambiguous> {
        let pairs: Vec<(String, Secret)> =
            serde_urlencoded::from_str(text).map_err(|_| Ambiguous)?;
        let count = pairs.len();
        let fields: BTreeMap<_, _> = pairs.into_iter().collect();
        if count > MAX_FIELDS || fields.len() != count {
            return Err(Ambiguous);
        }
        Ok(Self(fields))
    }

    /// A field's text, empty where it did not come.
    pub(super) fn text(&self, name: &str) -> &str {
        self.0.get(name).map(Secret::expose).unwrap_or_default()
    }

    /// A field that is not to be seen.
    pub(super) fn secret(&self, name: &str) -> Secret {
        Secret::new(self.text(name))
    }
}

/// A form whose anti-forgery token was not looked at yet: nothing else of it can be.
pub(super) struct Form(Fields);

/// The token is not the one of this browser: another site's form, or a page of long ago.
#[derive(Debug)]
pub(super) struct Stale;

impl Form {
    /// The fields, once the token holds.
    pub(super) fn open(self, headers: &HeaderMap, bound: Bound) -> Result<Fields, Stale> {
        let holds = token_holds(headers, self.0.text("csrf_token"), bound);
        if holds { Ok(self.0) } else { Err(Stale) }
    }
}

impl<S: Send + Sync> FromRequest<S> for Form {
    type Rejection = Refused;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Refused> {
        let (arrival, bytes) = read(request, FORM).await?;
        let invalid = || arrival.refuse(Code::InvalidBody);
        let text = str::from_utf8(&bytes).map_err(|_| invalid())?;
        Fields::read(text).map(Self).map_err(|Ambiguous| invalid())
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderValue, header};

    use super::*;
    use crate::rules::token::browser;

    #[test]
    fn a_field_comes_once() {
        let fields = Fields::read("a=1&b=%C3%A9+x&c=").unwrap();
        assert_eq!((fields.text("a"), fields.text("b")), ("1", "é x"));
        assert_eq!((fields.text("c"), fields.text("d")), ("", ""));
        // redirect-003
        for text in ["a=1&a=1", "a=1&%61=2"] {
            assert!(Fields::read(text).is_err(), "{text}");
        }
        let many: Vec<_> = (0..=MAX_FIELDS).map(|number| format!("{number}=x")).collect();
        assert!(Fields::read(&many.join("&")).is_err());
        assert!(Fields::read(&many[1..].join("&")).is_ok());
    }

    #[test]
    fn a_form_opens_with_the_token_of_its_browser_only() {
        let seed = "s".repeat(43);
        let mut headers = HeaderMap::new();
        let cookies = format!("__Host-guarita-csrf={seed}; __Host-guarita-session=S");
        headers.insert(header::COOKIE, HeaderValue::from_str(&cookies).unwrap());
        let form =
            |token: &Secret| Form(Fields::read(&format!("csrf_token={}", token.expose())).unwrap());
        let (nobody, session) = (browser::csrf_token(&seed, ""), browser::csrf_token(&seed, "S"));
        assert!(form(&nobody).open(&headers, Bound::ToBrowser).is_ok());
        assert!(form(&session).open(&headers, Bound::ToSession).is_ok());
        assert!(form(&session).open(&headers, Bound::ToBrowser).is_err());
        assert!(form(&nobody).open(&headers, Bound::ToSession).is_err());
        assert!(form(&nobody).open(&HeaderMap::new(), Bound::ToBrowser).is_err());
        assert!(form(&Secret::new("")).open(&headers, Bound::ToBrowser).is_err());
    }
}
