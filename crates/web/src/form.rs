//! Fields of a form or query, each at most once.

use std::collections::BTreeMap;

use axum::extract::{FromRequest, Request};

use super::error::Rejection;
use super::extract::read;
use super::request_info::RequestInfo;
use guarita_core::http::local_paths::FORM;
use guarita_core::{Code, Secret};

/// Maximum number of fields.
const MAX_FIELDS: usize = 16;

/// The fields by name.
#[derive(Default)]
pub(super) struct FormFields(BTreeMap<String, Secret>);

/// A field is repeated, or there are too many.
#[derive(Debug)]
pub(super) struct AmbiguousForm;

impl FormFields {
    /// The fields of a query.
    pub(super) fn of_query(uri: &http::Uri) -> Result<Self, AmbiguousForm> {
        Self::read(uri.query().unwrap_or_default())
    }

    /// Reads `application/x-www-form-urlencoded`.
    pub(super) fn read(text: &str) -> Result<Self, AmbiguousForm> {
        let pairs: Vec<(String, Secret)> =
            serde_urlencoded::from_str(text).map_err(|_| AmbiguousForm)?;
        let count = pairs.len();
        let fields: BTreeMap<_, _> = pairs.into_iter().collect();
        if count > MAX_FIELDS || fields.len() != count {
            return Err(AmbiguousForm);
        }
        Ok(Self(fields))
    }

    /// The text of a field; empty if it is missing.
    pub(super) fn text(&self, name: &str) -> &str {
        self.0.get(name).map(Secret::expose).unwrap_or_default()
    }

    /// The text of a secret field.
    pub(super) fn secret(&self, name: &str) -> Secret {
        Secret::new(self.text(name))
    }
}

impl<S: Send + Sync> FromRequest<S> for FormFields {
    type Rejection = Rejection;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Rejection> {
        let (arrival, bytes) = read(request, FORM).await?;
        let invalid = |arrival: &RequestInfo| arrival.refuse(Code::InvalidBody);
        let text = str::from_utf8(&bytes).map_err(|_| invalid(&arrival))?;
        Self::read(text).map_err(|AmbiguousForm| invalid(&arrival))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_comes_once() {
        let fields = FormFields::read("a=1&b=%C3%A9+x&c=").unwrap();
        assert_eq!((fields.text("a"), fields.text("b")), ("1", "é x"));
        assert_eq!((fields.text("c"), fields.text("d")), ("", ""));
        // redirect-003
        for text in ["a=1&a=1", "a=1&%61=2"] {
            assert!(FormFields::read(text).is_err(), "{text}");
        }
        let many: Vec<_> = (0..=MAX_FIELDS).map(|number| format!("{number}=x")).collect();
        assert!(FormFields::read(&many.join("&")).is_err());
        assert!(FormFields::read(&many[1..].join("&")).is_ok());
    }
}
