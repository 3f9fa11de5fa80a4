//! Extractors that reject with Guarita's problem responses.

use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use bytes::Bytes;
use http::header;
use http_body_util::{BodyExt as _, Limited};
use serde::de::DeserializeOwned;

use super::error::Rejection;
use super::request_info::RequestInfo;
use guarita_auth::EndpointRequest;
use guarita_core::Code;
use guarita_core::http::local_paths::is_type;

/// Maximum size of a body, in bytes.
const MAX_BODY: usize = 16 * 1024;

/// A JSON object of at most 16 KiB with `Content-Type: application/json`.
#[derive(Debug)]
pub struct Json<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Rejection;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Rejection> {
        let (arrival, bytes) = read(request, "application/json").await?;
        // An array would be taken for the members of an object, in their order.
        let object = bytes.trim_ascii_start().first() == Some(&b'{');
        let body = if object { serde_json::from_slice(&bytes).ok() } else { None };
        body.map(Self).ok_or_else(|| arrival.refuse(Code::InvalidBody))
    }
}

/// The whole body of a request, at most 16 KiB, if it has this media type.
pub(super) async fn read(
    request: Request,
    media_type: &str,
) -> Result<(RequestInfo, Bytes), Rejection> {
    let arrival = arrival(request.extensions())?;
    // A small encoded body can be a large decoded one.
    let encoded = request.headers().contains_key(header::CONTENT_ENCODING);
    if encoded || !is_type(request.headers(), media_type) {
        return Err(arrival.refuse(Code::UnsupportedMediaType));
    }
    let body = Limited::new(request.into_body(), MAX_BODY).collect().await;
    let bytes = body.map_err(|_| arrival.refuse(Code::BodyTooLarge))?.to_bytes();
    Ok((arrival, bytes))
}

/// A JSON body, or no body.
#[derive(Debug)]
pub struct OptionalJson<T>(pub Option<T>);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for OptionalJson<T> {
    type Rejection = Rejection;

    async fn from_request(request: Request, state: &S) -> Result<Self, Rejection> {
        let empty = axum::body::HttpBody::is_end_stream(request.body());
        if empty {
            return Ok(Self(None));
        }
        Json::from_request(request, state).await.map(|Json(body)| Self(Some(body)))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for RequestInfo {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Rejection> {
        arrival(&parts.extensions)
    }
}

/// The proxy always sets it; a request without it is an internal error.
fn arrival(extensions: &http::Extensions) -> Result<RequestInfo, Rejection> {
    extensions
        .get::<EndpointRequest>()
        .cloned()
        .map(RequestInfo)
        .ok_or_else(|| Rejection::new(Code::Internal, &"".into()))
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    #[derive(serde::Deserialize)]
    struct Numbered {
        number: u8,
    }

    async fn read(content_type: Option<&str>, body: impl Into<Body>) -> Result<u8, u16> {
        let mut request = Request::new(body.into());
        if let Some(content_type) = content_type {
            request.headers_mut().insert(header::CONTENT_TYPE, content_type.parse().unwrap());
        }
        request.extensions_mut().insert(EndpointRequest {
            request_id: "r".into(),
            host: "app.test".into(),
            client: "192.0.2.1".parse().unwrap(),
            common_name: None,
            presented: false,
            principal: None,
            half_proven: None,
            unknowable: false,
            snapshot: std::sync::Arc::new(guarita_auth::snapshot::AuthSnapshot::sample()),
        });
        use axum::response::IntoResponse as _;
        Json::<Numbered>::from_request(request, &())
            .await
            .map(|Json(body)| body.number)
            .map_err(|refused| refused.into_response().status().as_u16())
    }

    #[tokio::test]
    async fn a_body_is_bounded_typed_and_well_formed() {
        let json = Some("application/json; charset=utf-8");
        let seven = r#" {"number":7}"#;
        assert_eq!(read(json, seven).await, Ok(7));
        assert_eq!(read(None, seven).await, Err(415));
        assert_eq!(read(Some("text/plain"), seven).await, Err(415));
        assert_eq!(read(Some("application/jsonx"), seven).await, Err(415));
        assert_eq!(read(json, "[7]").await, Err(400));
        assert_eq!(read(json, "{").await, Err(400));
        assert_eq!(read(json, "\"7\"").await, Err(400));
        assert_eq!(read(json, vec![b' '; MAX_BODY + 1]).await, Err(413));
        assert_eq!(read(json, "[".repeat(MAX_BODY)).await, Err(400));
    }
}
