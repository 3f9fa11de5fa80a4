//! Client authentication at `/oauth2`, by secret (RFC 6749 section 2.3.1) or certificate (RFC 8705 section 2.1).

use axum::extract::{FromRequest as _, Request};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, header};

use super::error::Rejection;
use super::form::FormFields;
use super::request_info::RequestInfo;
use guarita_auth::snapshot::IntrospectionClients;
use guarita_core::{Code, Secret};

/// A client's name and secret, as presented.
pub(super) struct Claimed {
    pub(super) id: String,
    pub(super) secret: Secret,
}

/// An error response in the format of RFC 6749 section 5.2.
pub(super) struct ClientRefused(Rejection);

impl From<Rejection> for ClientRefused {
    fn from(refused: Rejection) -> Self {
        Self(refused)
    }
}

impl IntoResponse for ClientRefused {
    fn into_response(self) -> Response {
        self.0.for_client()
    }
}

/// Reads the form. Every error except the size is 400, as required by RFC 6749 section 5.2.
pub(super) async fn fields(
    arrival: &RequestInfo,
    request: Request,
) -> Result<FormFields, Rejection> {
    FormFields::from_request(request, &()).await.map_err(|refused| {
        let other_type = refused.code() == Code::UnsupportedMediaType;
        if other_type { arrival.refuse(Code::InvalidBody) } else { refused }
    })
}

/// The name of the client, if it is valid. If a secret is presented, a certificate is ignored.
pub(super) fn authenticate(
    clients: &IntrospectionClients,
    arrival: &RequestInfo,
    claims: &[Claimed],
) -> Result<Box<str>, Code> {
    if !claims.is_empty() {
        let right = |it: &&Claimed| clients.is_secret_of(&it.id, it.secret.expose());
        let found = claims.iter().find(right).ok_or(Code::InvalidClient)?;
        return Ok(found.id.as_str().into());
    }
    match arrival.common_name.as_deref() {
        Some(name) if clients.is_common_name(name) => Ok(name.into()),
        Some(_) => Err(Code::Forbidden),
        None => Err(Code::InvalidClient),
    }
}

/// The presented secret. More than one method is an error (RFC 6749 section 2.3); empty if there is only a
/// certificate.
pub(super) fn claimed(headers: &HeaderMap, fields: &FormFields) -> Result<Vec<Claimed>, Code> {
    let mut lines = headers.get_all(header::AUTHORIZATION).iter();
    let (line, further) = (lines.next(), lines.next());
    let secret = fields.text("client_secret");
    match (line, further) {
        (None, _) if secret.is_empty() => Ok(Vec::new()),
        (None, _) => {
            let id = fields.text("client_id").to_owned();
            Ok(vec![Claimed { id, secret: Secret::new(secret) }])
        }
        (Some(line), None) if secret.is_empty() => {
            basic(line.as_bytes()).ok_or(Code::InvalidClient)
        }
        (Some(_), _) => Err(Code::InvalidBody),
    }
}

/// `Basic` (RFC 7617), both as sent and with both parts form-decoded: RFC 6749 requires them to be encoded, but
/// most clients do not do so.
fn basic(line: &[u8]) -> Option<Vec<Claimed>> {
    let (scheme, encoded) = line.split_at_checked(6)?;
    if !scheme.eq_ignore_ascii_case(b"basic ") {
        return None;
    }
    let decoded = zeroize::Zeroizing::new(STANDARD.decode(encoded.trim_ascii()).ok()?);
    let (id, secret) = std::str::from_utf8(&decoded).ok()?.split_once(':')?;
    let plain = Claimed { id: id.to_owned(), secret: Secret::new(secret) };
    let decoded = FormFields::read(&format!("id={id}&secret={secret}")).ok();
    let decoded = decoded.map(|fields| {
        let id = fields.text("id").to_owned();
        Claimed { id, secret: fields.secret("secret") }
    });
    Some(std::iter::once(plain).chain(decoded).collect())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use http::HeaderValue;

    use guarita_auth::EndpointRequest;
    use guarita_auth::snapshot::AuthSnapshot;

    use super::*;
    use guarita_auth::snapshot::introspection::IntrospectionClient;

    fn clients() -> IntrospectionClients {
        let client = |id: &str, secret| IntrospectionClient {
            id: id.into(),
            secrets: vec![Secret::new(secret)],
        };
        let all = vec![client("one", "s+1%41:&="), client("two words", "s 2")];
        IntrospectionClients::new(all, vec!["gateway".into()])
    }

    fn arrival(common_name: Option<&str>) -> RequestInfo {
        RequestInfo(EndpointRequest {
            request_id: "r".into(),
            host: "app.test".into(),
            client: "192.0.2.1".parse().unwrap(),
            common_name: common_name.map(Arc::from),
            presented: false,
            principal: None,
            half_proven: None,
            unknowable: false,
            snapshot: Arc::new(AuthSnapshot::sample()),
        })
    }

    fn who(lines: &[&str], form: &str, common_name: Option<&str>) -> Result<Box<str>, Code> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(header::AUTHORIZATION, HeaderValue::from_str(line).unwrap());
        }
        let claims = claimed(&headers, &FormFields::read(form).unwrap())?;
        authenticate(&clients(), &arrival(common_name), &claims)
    }

    fn basic(text: &str) -> String {
        format!("Basic {}", STANDARD.encode(text))
    }

    #[test]
    fn a_secret_counts_plain_and_encoded_in_the_header_and_in_the_form() {
        for text in ["one:s+1%41:&=", "one:s%2B1%2541%3A%26%3D", "two words:s 2", "two+words:s%202"]
        {
            assert!(who(&[&basic(text)], "", None).is_ok(), "{text}");
        }
        let form = "client_id=one&client_secret=s%2B1%2541%3A%26%3D";
        assert_eq!(who(&[], form, Some("stranger")).unwrap().as_ref(), "one");
    }

    #[test]
    fn whoever_brings_no_secret_that_counts_is_refused() {
        for line in ["one:", "one:s", "nobody:s+1%41:&=", ":", "one"] {
            assert_eq!(
                who(&[&basic(line)], "", Some("gateway")),
                Err(Code::InvalidClient),
                "{line}"
            );
        }
        for line in ["Basic", "Basic =", "Bearer x", "Basic /w==", ""] {
            assert_eq!(who(&[line], "", Some("gateway")), Err(Code::InvalidClient), "{line:?}");
        }
        for form in ["client_id=one&client_secret=s", "client_secret=s", "client_id=one"] {
            assert_eq!(who(&[], form, None), Err(Code::InvalidClient), "{form}");
        }
    }

    #[test]
    fn one_way_of_proof_counts_and_not_two() {
        let right = basic("one:s+1%41:&=");
        assert_eq!(who(&[&right, &right], "", None), Err(Code::InvalidBody));
        assert_eq!(who(&[&right], "client_secret=x", None), Err(Code::InvalidBody));
    }

    #[test]
    fn a_certificate_counts_by_its_common_name() {
        assert_eq!(who(&[], "", Some("gateway")).unwrap().as_ref(), "gateway");
        assert_eq!(who(&[], "client_id=gateway", Some("gateway")).unwrap().as_ref(), "gateway");
        assert_eq!(who(&[], "", Some("Gateway")), Err(Code::Forbidden));
    }
}
