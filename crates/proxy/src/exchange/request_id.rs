//! The request id, sent to client and upstream and written to the log.

use http::{HeaderMap, HeaderName, HeaderValue};

use guarita_core::http::request_id::find;
use guarita_core::random;

/// The header's name.
pub static HEADER: HeaderName = guarita_core::http::request_id::HEADER;

/// The client's request id if it sent exactly one and it is well formed, else a new UUID of version 7.
#[derive(Clone, Debug)]
pub struct RequestId(HeaderValue);

impl RequestId {
    /// The client's id, or a new one.
    pub fn of(headers: &HeaderMap) -> Self {
        find(headers).map_or_else(Self::fresh, |id| Self(id.clone()))
    }

    /// A placeholder until the request is read.
    pub(crate) const fn unread() -> Self {
        Self(HeaderValue::from_static("unread"))
    }

    /// A new id.
    pub fn fresh() -> Self {
        let mut buffer = [0; uuid::fmt::Hyphenated::LENGTH];
        let text = random::ordered_uuid().hyphenated().encode_lower(&mut buffer);
        Self(HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static("unknown")))
    }

    /// As a header value.
    pub const fn header(&self) -> &HeaderValue {
        &self.0
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_ids_or_an_odd_one_are_replaced() {
        let mut headers = HeaderMap::new();
        headers.append(&HEADER, HeaderValue::from_static("caller-1"));
        assert_eq!(RequestId::of(&headers).as_str(), "caller-1");
        headers.append(&HEADER, HeaderValue::from_static("caller-2"));
        assert_eq!(RequestId::of(&headers).as_str().len(), 36);
        headers.insert(&HEADER, HeaderValue::from_static("a b"));
        assert_eq!(RequestId::of(&headers).as_str().len(), 36);
    }
}
