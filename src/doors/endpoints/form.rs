//! Fields of a form or query, each at most once.

use std::collections::BTreeMap;

use axum::extract::{FromRequest, Request};

use super::arrival::RequestInfo;
use super::extract::read;
use super::path::FORM;
use super::refusal::Refused;
use crate::model::{Code, Secret};

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

impl<S: Send + Sync> FromRequest<S> for Fields {
    type Rejection = Refused;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Refused> {
        let (arrival, bytes) = read(request, FORM).await?;
        let invalid = |arrival: &RequestInfo| arrival.refuse(Code::InvalidBody);
        let text = str::from_utf8(&bytes).map_err(|_| invalid(&arrival))?;
        Self::read(text).map_err(|Ambiguous| invalid(&arrival))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
