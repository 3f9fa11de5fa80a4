//! Forms of the pages.

use axum::extract::{FromRequest, Request};
use http::HeaderMap;

use super::super::error::Rejection;
pub(super) use super::super::form::FormFields;
use guarita_auth::access::csrf::{Bound, token_holds};

/// A form whose CSRF token is not checked yet; its fields are not accessible before.
pub(super) struct Form(FormFields);

/// The CSRF token is invalid: a form of another site, or an expired page.
#[derive(Debug)]
pub(super) struct Stale;

impl Form {
    /// The fields, if the CSRF token is valid.
    pub(super) fn open(self, headers: &HeaderMap, bound: Bound) -> Result<FormFields, Stale> {
        let holds = token_holds(headers, self.0.text("csrf_token"), bound);
        if holds { Ok(self.0) } else { Err(Stale) }
    }
}

impl<S: Send + Sync> FromRequest<S> for Form {
    type Rejection = Rejection;

    async fn from_request(request: Request, state: &S) -> Result<Self, Rejection> {
        FormFields::from_request(request, state).await.map(Self)
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderValue, header};

    use super::*;
    use guarita_core::Secret;
    use guarita_core::jose::session_cookie;

    #[test]
    fn a_form_opens_with_the_token_of_its_browser_only() {
        let seed = "s".repeat(43);
        let mut headers = HeaderMap::new();
        let cookies = format!("__Host-guarita-csrf={seed}; __Host-guarita-session=S");
        headers.insert(header::COOKIE, HeaderValue::from_str(&cookies).unwrap());
        let form = |token: &Secret| {
            Form(FormFields::read(&format!("csrf_token={}", token.expose())).unwrap())
        };
        let (nobody, session) =
            (session_cookie::csrf_token(&seed, ""), session_cookie::csrf_token(&seed, "S"));
        assert!(form(&nobody).open(&headers, Bound::ToBrowser).is_ok());
        assert!(form(&session).open(&headers, Bound::ToSession).is_ok());
        assert!(form(&session).open(&headers, Bound::ToBrowser).is_err());
        assert!(form(&nobody).open(&headers, Bound::ToSession).is_err());
        assert!(form(&nobody).open(&HeaderMap::new(), Bound::ToBrowser).is_err());
        assert!(form(&Secret::new("")).open(&headers, Bound::ToBrowser).is_err());
    }
}
